"""git, hardened: whose configuration counts, and what reaches its environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.errors import Gone, ToolFailed
from workers.git import Git

TOKEN = "ghs_" + "t" * 36


@pytest.fixture
def git(tmp_path: Path) -> Git:
    made = Git(tmp_path / "mirror.git", token=TOKEN)
    made.git_dir.mkdir()
    made.run("init", "--quiet", "--bare", "--template=")
    return made


def test_token_is_in_no_argument_and_no_file(git: Git) -> None:
    assert git.run("config", "--get", "http.extraHeader").startswith("Authorization: Basic ")
    assert all(TOKEN not in file.read_text("utf-8", "replace") for file in git.git_dir.rglob("*") if file.is_file())


def test_configuration_of_user_and_system_does_not_count(
    git: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".gitconfig").write_text("[core]\n\tfsmonitor = touch pwned\n[alias]\n\tx = !echo pwned\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / ".gitconfig"))
    assert git.run("config", "--get", "core.fsmonitor").strip() == "false"
    with pytest.raises(ToolFailed):
        git.run("x")


def test_proxy_of_the_operator_is_used_and_secrets_are_not_handed_on(git: Git, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("ASSAY_GITHUB_WEBHOOK_SECRET", "c4n4ry")
    shown = git.run("-c", "alias.show-env=!env", "show-env")
    assert "https_proxy=http://127.0.0.1:9" in shown
    assert "c4n4ry" not in shown


def test_unknown_commit_is_gone(git: Git) -> None:
    with pytest.raises((Gone, ToolFailed)):
        git.run("rev-parse", "--verify", "0" * 39 + "1^{commit}")


def test_transport_that_runs_programs_is_refused(git: Git, tmp_path: Path) -> None:
    with pytest.raises(ToolFailed, match="not allowed"):
        git.run("fetch", f"ext::touch {tmp_path}/pwned")
    assert not (tmp_path / "pwned").exists()
