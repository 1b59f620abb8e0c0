"""What people read before they run Assay, held against what there is."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from bot.cli.examination import EVENTS, OPTIONAL_EVENTS, OPTIONAL_PERMISSIONS, PERMISSION_LABELS, PERMISSIONS
from bot.cli.main import assay
from config.settings import Settings, variable

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
DEPLOYMENT = [ROOT / "Dockerfile", ROOT / "fly.toml"]

_LINK = re.compile(r"\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`\n]+)`")
_ACCESS = {"Read-only": "read", "Read and write": "write"}
# Words that stand for `assay`'s commands in prose, such as `assay config validate|schema|explain`.
_COMMAND = re.compile(r"(?<![\w/.-])assay ((?:[a-z]+(?:\|[a-z]+)* ?)+)")
_SETTING = re.compile(r"\bASSAY_[A-Z_]*[A-Z]\b(?!_)")


def names(paths: list[Path]) -> list[str]:
    return [path.relative_to(ROOT).as_posix() for path in paths]


def prose(page: Path) -> str:
    return _FENCE.sub("", page.read_text("utf-8"))


def shell_lines(page: Path) -> Iterator[str]:
    """The lines of a page's shell blocks, without comments and what is quoted."""
    for language, text in _FENCE.findall(page.read_text("utf-8")):
        if language == "sh":
            yield from (line.partition(" #")[0] for line in text.splitlines() if not line.lstrip().startswith("#"))


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives a page's headings."""
    titles = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_links_within_the_repository_lead_somewhere(page: Path) -> None:
    for target in _LINK.findall(prose(page)):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.is_file(), f"{page.name}: {target}"
        assert not anchor or anchor in anchors(file), f"{page.name}: {target}"


@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_named_commands_exist(page: Path) -> None:
    context = click.Context(assay)
    for code in (*_SPAN.findall(prose(page)), *shell_lines(page)):
        for words in _COMMAND.findall(code):
            first, *rest = words.split()
            for name in first.split("|"):
                command = assay.get_command(context, name)
                assert command is not None, f"{page.name}: {code}"
                if rest and isinstance(command, click.Group):
                    missing = set(rest[0].split("|")) - set(command.list_commands(context))
                    assert not missing, f"{page.name}: {code}"


def test_every_command_is_told_of() -> None:
    text = "".join(page.read_text("utf-8") for page in PAGES)
    missing = [name for name in assay.list_commands(click.Context(assay)) if f"assay {name}" not in text]
    assert missing == []


@pytest.mark.parametrize("page", [*PAGES, *DEPLOYMENT], ids=names([*PAGES, *DEPLOYMENT]))
def test_named_settings_exist(page: Path) -> None:
    known = {variable(name) for name in Settings.model_fields}
    # Kubernetes sets these by itself where a Service is called `assay`.
    known |= {"ASSAY_SERVICE_HOST"}
    assert set(_SETTING.findall(page.read_text("utf-8"))) <= known


def test_readme_asks_for_the_permissions_that_the_doctor_asks_for() -> None:
    rows = re.findall(r"^ *\| ([\w ]+?)( \(optional\))? \| (Read[\w -]+?) \|", _readme(), re.MULTILINE)
    names = {label: name for name, label in PERMISSION_LABELS.items()}
    asked = {
        (names.get(name, name.lower().replace(" ", "_")), _ACCESS[access], bool(optional))
        for name, optional, access in rows
    }
    needed = {(name, level, False) for name, level in PERMISSIONS.items()}
    assert asked == needed | {(name, level, True) for name, level in OPTIONAL_PERMISSIONS.items()}


def test_readme_subscribes_to_the_events_that_the_doctor_asks_for() -> None:
    table = _readme().partition("*Subscribe to events*")[2].partition("*Where can")[0]
    rows = re.findall(r"^ *\| ([A-Z][\w ]+?)( \(optional\))? \|", table, re.MULTILINE)
    asked = {(name.lower().replace(" ", "_"), bool(optional)) for name, optional in rows}
    assert asked == {(name, False) for name in EVENTS} | {(name, True) for name in OPTIONAL_EVENTS}


def _readme() -> str:
    return (ROOT / "README.md").read_text("utf-8")


def test_fly_runs_commands_that_exist_and_looks_at_the_web_process() -> None:
    fly = tomllib.loads((ROOT / "fly.toml").read_text("utf-8"))
    assert fly["processes"] == {"web": "web", "worker": "worker", "sweep": "sweep"}
    commands = assay.list_commands(click.Context(assay))
    assert set(fly["processes"].values()) <= set(commands)
    assert fly["http_service"]["processes"] == ["web"]
    assert [check["path"] for check in fly["http_service"]["checks"]] == ["/healthz"]
    assert fly["kill_signal"] == "SIGTERM"


def test_image_runs_as_nobody_in_particular_and_installs_what_is_locked() -> None:
    lines = (ROOT / "Dockerfile").read_text("utf-8").splitlines()
    users = [line.split()[1] for line in lines if line.startswith("USER ")]
    assert users
    assert users[-1] not in ("0", "root")
    pip = [line for line in lines if "pip install" in line]
    assert any("--require-hashes" in line and "requirements.lock" in line for line in pip)
    # Which registry packages come from is the builder's to say.
    assert not any("://" in line or "index" in line for line in lines if not line.startswith("#"))


def test_image_is_given_what_it_copies() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text("utf-8")
    ignored = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    copied = [word for line in re.findall(r"^COPY (?!--)(.+) \S+$", dockerfile, re.MULTILINE) for word in line.split()]
    assert copied
    for name in copied:
        assert (ROOT / name).exists()
        assert f"!{name}" in ignored


def test_pictures_are_small() -> None:
    pictures = [ROOT / target for target in _LINK.findall(_readme()) if target.endswith(".png")]
    assert pictures
    assert all(picture.stat().st_size < 200_000 for picture in pictures)
