"""Re-runs: the buttons and links on GitHub, what they run again, and what they leave as it is."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from bot.demo.github import StandInGitHub
from bot.demo.github_state import CheckRun
from bot.domain.events import AgentStarted, TriggerEnded
from bot.domain.run import RunKey
from bot.domain.verdict import Conclusion
from tests.flow.assay import CLEAN, CONFIG, DIRTY, QUICK, REPOSITORY, Assay

# The command fails until it is run for the third time, counted outside the repository.
TWO = """
agents:
  test: {{enabled: false}}
  lint: {{tools: [ruff]}}
  security: {{enabled: false}}
  review: {{enabled: false}}
  flaky: {{run: "echo x >> {count}; test $(wc -l < {count}) -gt {bad}", required: true}}
"""


@pytest.fixture(autouse=True)
def outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """What these commands count lies outside of their sandbox."""
    monkeypatch.setenv("ASSAY_SANDBOX", "none")


@pytest.fixture
def two(assay: Assay, github: StandInGitHub, tmp_path: Path) -> str:
    """A commit on which `lint` is clean and `flaky` failed once."""
    text = TWO.format(count=tmp_path / "count", bad=1)
    sha = github.push(REPOSITORY, "main", {CONFIG: text, "demo.py": CLEAN + "\n\nX = 1\n"})
    assay.settle()
    assert attempts(assay, sha) == {"lint": 1, "flaky": 1}
    assert assay.verdict(sha) is Conclusion.FAILURE
    return sha


def attempts(assay: Assay, sha: str) -> dict[str, int]:
    return {agent.plan.name: agent.attempt for agent in assay.run(sha).agents}


def _key(sha: str) -> RunKey:
    return RunKey(repository=REPOSITORY, sha=sha)


def buttons(check: CheckRun) -> list[str]:
    return [action["identifier"] for action in check.actions]


def test_rerun_of_one_check_runs_that_agent_only(assay: Assay, github: StandInGitHub, two: str) -> None:
    lint = assay.check(two, "assay / lint")
    github.click_rerun(assay.check(two, "assay / flaky").id)
    assay.settle()
    assert attempts(assay, two) == {"lint": 1, "flaky": 2}
    assert assay.verdict(two) is Conclusion.SUCCESS
    assert assay.check(two, "assay / flaky").conclusion == "success"
    assert assay.check(two, "assay / lint").id == lint.id


def test_rerun_of_the_joined_check_runs_all(assay: Assay, github: StandInGitHub, two: str) -> None:
    github.click_rerun(assay.check(two).id)
    assay.settle()
    assert attempts(assay, two) == {"lint": 2, "flaky": 2}
    assert assay.verdict(two) is Conclusion.SUCCESS


def test_button_runs_again_what_failed(assay: Assay, github: StandInGitHub, two: str) -> None:
    github.click_action(assay.check(two).id, "rerun_failed")
    assay.settle()
    assert attempts(assay, two) == {"lint": 1, "flaky": 2}
    assert assay.verdict(two) is Conclusion.SUCCESS


def test_button_runs_all_again(assay: Assay, github: StandInGitHub, two: str) -> None:
    github.click_action(assay.check(two).id, "rerun")
    assay.settle()
    assert attempts(assay, two) == {"lint": 2, "flaky": 2}


def test_all_checks_can_be_run_again(assay: Assay, github: StandInGitHub, two: str) -> None:
    github.rerequest_suite(REPOSITORY, two)
    assay.settle()
    assert attempts(assay, two) == {"lint": 2, "flaky": 2}


def test_buttons_are_there_where_they_help(assay: Assay, github: StandInGitHub, two: str) -> None:
    assert buttons(assay.check(two)) == ["rerun_failed", "rerun"]
    github.click_action(assay.check(two).id, "rerun_failed")
    assay.settle("intake", "publish")
    assert buttons(assay.check(two)) == []
    assay.settle()
    assert buttons(assay.check(two)) == ["rerun"]


def test_delivery_that_comes_twice_is_one_rerun(assay: Assay, github: StandInGitHub, two: str) -> None:
    github.click_rerun(assay.check(two, "assay / flaky").id)
    delivery = next(made for made in github.deliveries if made.payload.get("action") == "rerequested")
    assay.settle()
    # Even where the ledger has forgotten it.
    assay.redis.delete(f"assay:delivery:{delivery.guid}")
    github.deliver(delivery.event, delivery.payload, delivery.guid)
    assay.settle()
    assert attempts(assay, two) == {"lint": 1, "flaky": 2}


def test_rerun_of_what_is_still_at_work_changes_nothing(assay: Assay, github: StandInGitHub, two: str) -> None:
    github.click_rerun(assay.check(two).id)
    assay.settle("intake", "publish")
    github.click_rerun(assay.check(two).id)
    assay.settle()
    assert attempts(assay, two) == {"lint": 2, "flaky": 2}


def test_new_attempt_leaves_no_check_unfinished(assay: Assay, github: StandInGitHub) -> None:
    """The base changes while the first attempt is under way."""
    other = github.commit(REPOSITORY, "other", {"notes.txt": "x"})
    sha = github.commit(REPOSITORY, "feature", {"demo.py": DIRTY}, parent=other)
    number = github.open_pull(REPOSITORY, "feature")
    assay.settle("intake", "publish")
    assay.store.update(_key(sha), AgentStarted(at=time.time(), agent="lint", attempt=1))
    assay.settle("publish")
    github.retarget(REPOSITORY, number, "other")
    assay.settle()
    assert attempts(assay, sha) == {"lint": 2}
    assert {check.name: check.status for check in github.checks(REPOSITORY, sha)} == {
        "assay": "completed",
        "assay / lint": "completed",
    }


def test_check_of_an_agent_that_the_run_has_no_more_is_ended(
    assay: Assay, github: StandInGitHub, tmp_path: Path
) -> None:
    github.commit(REPOSITORY, "lax", {CONFIG: QUICK})
    strict = TWO.format(count=tmp_path / "count", bad=0)
    github.push(REPOSITORY, "main", {CONFIG: strict})
    assay.settle()
    fork = github.fork(REPOSITORY, "mallory")
    sha = github.commit(fork, "feature", {"demo.py": DIRTY})
    number = github.open_pull(REPOSITORY, "feature", head_repo=fork)
    assay.settle("intake", "publish")
    github.retarget(REPOSITORY, number, "lax")
    assay.settle()
    ended = assay.check(sha, "assay / flaky")
    assert (ended.status, ended.conclusion) == ("completed", "cancelled")
    assert assay.verdict(sha) is Conclusion.FAILURE


# -- runs that Redis has forgotten


def test_forgotten_run_of_a_branch_is_started_from_what_github_knows(
    assay: Assay, github: StandInGitHub, two: str
) -> None:
    before = assay.run(two).base_sha
    assay.redis.flushall()
    github.click_rerun(assay.check(two, "assay / flaky").id)
    assay.settle()
    assert assay.verdict(two) is Conclusion.SUCCESS
    assert assay.run(two).base_sha == before


def test_forgotten_run_of_a_pull_request_is_started_from_what_github_knows(assay: Assay, github: StandInGitHub) -> None:
    sha = github.commit(REPOSITORY, "feature", {"demo.py": DIRTY})
    number = github.open_pull(REPOSITORY, "feature")
    assay.settle()
    assay.redis.flushall()
    github.click_rerun(assay.check(sha).id)
    assay.settle()
    assert assay.verdict(sha) is Conclusion.FAILURE
    assert [pull.number for pull in assay.run(sha).pulls] == [number]
    assert len(github.review_comments(REPOSITORY, number)) == 1
    assert sha[:7] in assay.comment(number)


def test_forgotten_run_of_an_older_commit_of_the_default_branch_is_started(
    assay: Assay, github: StandInGitHub, two: str
) -> None:
    github.commit(REPOSITORY, "main", {"notes.txt": "x"})
    assay.redis.flushall()
    github.rerequest_suite(REPOSITORY, two)
    assay.settle()
    assert assay.verdict(two) is Conclusion.SUCCESS


def test_forgotten_run_of_a_closed_fork_is_not_taken_for_one_of_our_own(assay: Assay, github: StandInGitHub) -> None:
    """Its commit is in this repository's network, but no branch of it has it: its code is not to be trusted."""
    fork = github.fork(REPOSITORY, "mallory")
    sha = github.commit(fork, "feature", {"demo.py": DIRTY})
    number = github.open_pull(REPOSITORY, "feature", head_repo=fork)
    assay.settle()
    github.close_pull(REPOSITORY, number)
    assay.settle()
    assay.redis.flushall()
    github.click_rerun(assay.check(sha).id)
    assay.settle()
    assert not assay.has_run(sha)
    assert any("neither a branch of this repository" in outcome for outcome in assay.outcomes())


def test_run_of_which_only_the_end_was_heard_is_started_by_a_rerun(assay: Assay, github: StandInGitHub) -> None:
    github.lose_deliveries(1)
    sha = github.commit(REPOSITORY, "feature", {"demo.py": DIRTY})
    number = github.open_pull(REPOSITORY, "feature")
    github.close_pull(REPOSITORY, number)
    assay.settle()
    github.lose_deliveries(1)
    github.reopen(REPOSITORY, number)
    github.rerequest_suite(REPOSITORY, sha)
    assay.settle()
    assert assay.verdict(sha) is Conclusion.FAILURE


# -- what nobody waits for any more


def test_running_agent_stops_when_nobody_waits_for_it(assay: Assay, github: StandInGitHub, tmp_path: Path) -> None:
    run = f"echo $$ > {tmp_path}/pid; sleep 60"
    slow = QUICK.replace("lint: {tools: [ruff]}", f'lint: {{enabled: false}}\n  slow: {{run: "{run}", required: true}}')
    sha = github.commit(REPOSITORY, "feature", {CONFIG: slow})
    number = github.open_pull(REPOSITORY, "feature")
    assay.settle("intake", "publish")
    key, begun = _key(sha), time.monotonic()
    closed = TriggerEnded(
        at=time.time(), trigger=f"pull:{number}", updated_at=time.time() + 60, reason="the pull request was closed"
    )
    with_a_closing = threading.Timer(0.5, assay.store.update, [key, closed])
    with_a_closing.start()
    assay.settle()
    assert time.monotonic() - begun < 5
    assert assay.verdict(sha) is Conclusion.CANCELLED
    assert isinstance(assay.store.log(key)[-1], TriggerEnded), "that it stopped is no news"
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
