"""A command that reads the App's credentials, and goes on as a process that never had them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bot.safe import Safe, open_safe
from config.settings import SettingsError, load
from tests.config.test_settings import PEM

ROOT = Path(__file__).parents[1]
GIVEN = {
    "ASSAY_GITHUB_APP_ID": "1",
    "ASSAY_GITHUB_PRIVATE_KEY": PEM,
    "ASSAY_GITHUB_WEBHOOK_SECRET_PREVIOUS": "old-secret",
    "OPENAI_API_KEY": "sk-1",
    "ELSE": "kept",
}
COMMAND = """
import json, os, sys
from bot.safe import keep_apart, open_safe
keep_apart()
safe = open_safe()
def told():
    values = safe.settings.model_dump()
    return {name: value.get_secret_value() for name, value in values.items() if hasattr(value, "get_secret_value")}
before = told()
safe.unlock(*sys.argv[1:])
safe.unlock("github_private_key", "github_webhook_secret", "github_webhook_secret_previous")
print(json.dumps([dict(os.environ), before, told(), safe.settings.port]))
"""


def run(folder: Path, *names: str, **more: str) -> tuple[dict[str, str], dict[str, str], dict[str, str], int]:
    (folder / ".env").write_text("ASSAY_GITHUB_WEBHOOK_SECRET=new-secret\nASSAY_PORT=8123\n")
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, *names],
        env=GIVEN | {"PYTHONPATH": str(ROOT), "HOME": str(folder)} | more,
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    environ, before, after, port = json.loads(done.stdout)
    return environ, before, after, port


def test_it_goes_on_without_credentials_and_with_all_else(tmp_path: Path) -> None:
    environ, before, after, port = run(tmp_path)
    assert before == after == {"openai_api_key": "sk-1"}
    assert port == 8123
    assert environ["ELSE"] == "kept"
    assert not [name for name in environ if "ASSAY" in name or "OPENAI" in name]


@pytest.mark.parametrize(
    ("names", "taken"),
    [
        (["github_private_key"], {"github_private_key": PEM}),
        (
            ["github_webhook_secret", "github_webhook_secret_previous"],
            {"github_webhook_secret": "new-secret", "github_webhook_secret_previous": "old-secret"},
        ),
    ],
)
def test_what_it_takes_out_is_all_it_ever_has(tmp_path: Path, names: list[str], taken: dict[str, str]) -> None:
    _, _, after, _ = run(tmp_path, *names)
    assert after == taken | {"openai_api_key": "sk-1"}


def test_what_lies_apart_is_not_missing() -> None:
    safe = Safe(load({"ASSAY_GITHUB_APP_ID": "1", "HOME": "/nowhere"}), {"github_private_key": 99})
    safe.require("github_app_id", "github_private_key")
    assert safe.holds("github_private_key")
    with pytest.raises(SettingsError, match="ASSAY_GITHUB_WEBHOOK_SECRET is missing"):
        safe.require("github_private_key", "github_webhook_secret")


def test_a_process_that_was_handed_nothing_has_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ASSAY_GITHUB_PRIVATE_KEY", PEM)
    key = open_safe().unlock().github_private_key
    assert key is not None
    assert key.get_secret_value() == PEM
