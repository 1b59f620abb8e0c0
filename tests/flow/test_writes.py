"""How many writes a commit costs, which docs/architecture.md states."""

from __future__ import annotations

import time

from bot.demo.github import StandInGitHub
from bot.domain.events import AgentStarted
from bot.domain.run import RunKey
from bot.publishing.check_plan import STEP_INTERVAL
from tests.flow.assay import DIRTY, REPOSITORY, Assay


def writes(github: StandInGitHub) -> list[str]:
    """What was written so far; tokens are not."""
    calls = (call for call in github.requests if call.method != "GET")
    return [f"{call.method} {call.path}" for call in calls if not call.path.endswith("/access_tokens")]


def test_pull_request_takes_three_writes_a_check_a_comment_and_a_review(assay: Assay, github: StandInGitHub) -> None:
    """Where agents take their time."""
    sha = github.commit(REPOSITORY, "feature", {"demo.py": DIRTY})
    github.open_pull(REPOSITORY, "feature")
    assay.settle("intake", "publish")
    assay.wait(STEP_INTERVAL)
    begun = AgentStarted(at=time.time(), agent="lint", attempt=1)
    assay.store.update(RunKey(repository=REPOSITORY, sha=sha), begun)
    assay.settle("publish")
    assay.settle()
    checks = len(github.checks(REPOSITORY, sha))
    assert checks == 2
    assert len(writes(github)) == 3 * checks + 2, writes(github)


def test_agents_that_end_within_a_second_save_a_write_a_check(assay: Assay, github: StandInGitHub) -> None:
    sha = github.commit(REPOSITORY, "feature", {"demo.py": DIRTY})
    github.open_pull(REPOSITORY, "feature")
    assay.settle()
    checks = len(github.checks(REPOSITORY, sha))
    assert len(writes(github)) == 2 * checks + 2, writes(github)
