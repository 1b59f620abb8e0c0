"""`ASSAY_SANDBOX=none`: an operator's own commits are executed, and each check says in what; a stranger's never."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from redis import Redis

from bot.cli import serve
from bot.cli.serve import check_sandbox
from bot.demo.github import StandInGitHub
from bot.domain.findings import Outcome
from bot.redis.embedded import EmbeddedRedis
from config.settings import load
from tests.flow.assay import CLEAN, CONFIG, REPOSITORY, running
from tests.flow.test_people import press
from tests.hostile.test_canaries import SHELL, github
from workers.sandbox.choice import choose

__all__ = ["github"]


def test_a_strangers_code_is_not_executed_though_it_is_approved(
    github: StandInGitHub, redis: Redis, redis_server: EmbeddedRedis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {CONFIG: SHELL.format(python=f"touch {tmp_path}/executed; true"), "demo.py": CLEAN}
    github.add_repository(REPOSITORY, files, collaborators={"alice": "write"})
    github.world.user("mallory")
    with running(github, redis, redis_server.url, tmp_path, monkeypatch, ASSAY_SANDBOX="none") as assay:
        own = github.push(REPOSITORY, "main", {"own.py": CLEAN})
        assay.settle()
        assert (tmp_path / "executed").exists()
        for name in ("assay", "assay / shell"):
            summary = str(assay.check(own, name).output.get("summary"))
            assert summary.startswith("> **Warning:** commands ran without a sandbox (`ASSAY_SANDBOX=none`)"), name
        (tmp_path / "executed").unlink()

        fork = github.fork(REPOSITORY, "mallory")
        theirs = github.commit(fork, "feature", {"theirs.py": CLEAN}, author="mallory")
        github.open_pull(REPOSITORY, "feature", author="mallory", head_repo=fork)
        assay.settle()
        press(assay, github, theirs, "alice")
        assert not (tmp_path / "executed").exists()
        agent = assay.run(theirs).agent("shell")
        assert agent is not None
        assert agent.outcome is Outcome.NOT_RUN
        assert agent.result is not None
        assert "is executed in a sandbox only, though it was approved" in agent.result.reason
        assert "ASSAY_SANDBOX=auto" in agent.result.remedy


@pytest.mark.parametrize(
    ("kind", "path", "words"),
    [
        ("none", os.environ["PATH"], "ASSAY_SANDBOX=none: what repositories run sees the App's key"),
        ("auto", "", "There is no sandbox, so nothing of a repository is executed: bwrap"),
        ("auto", os.environ["PATH"], ""),
    ],
)
def test_who_starts_without_a_sandbox_is_warned(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, kind: str, path: str, words: str
) -> None:
    """`assay serve` and `assay worker` look before they start any process."""
    if not words and choose("auto", path).why_not:
        pytest.skip("no sandbox here")
    monkeypatch.setenv("PATH", path)
    check_sandbox(load({"ASSAY_SANDBOX": kind}, None))
    told = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(told) == bool(words)
    assert all(one.startswith(words) for one in told)


@pytest.mark.parametrize("command", [serve.run_all, serve.run_workers])
def test_both_that_run_agents_look(command: Callable[..., None]) -> None:
    assert "check_sandbox" in command.__code__.co_names
