"""Publishing: each finding once and everything in order, whatever fails in between and however often it is repeated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

import bot.wiring
from bot.demo.api import Recorded
from bot.demo.github import StandInGitHub
from bot.domain.run import RunKey
from bot.domain.verdict import Conclusion
from bot.queues import JobSpec
from bot.store import Store
from tests.flow.assay import CLEAN, CONFIG, DIRTY, QUICK, REPOSITORY, Assay

MANY = "\n".join(f"import unused_{number}" for number in range(120)) + "\n"
FIXED = CLEAN + "\n\nX = 1\n"
FOUR = """
agents:
  test: {run: "true"}
  lint: {tools: [ruff]}
  security: {tools: [detect-secrets]}
"""


def opened(github: StandInGitHub, text: str = DIRTY) -> tuple[int, str]:
    sha = github.commit(REPOSITORY, "feature", {"demo.py": text})
    return github.open_pull(REPOSITORY, "feature"), sha


def writes(github: StandInGitHub) -> list[Recorded]:
    """What Assay wrote; tokens and GraphQL's queries are no writes."""
    sent = (r for r in github.requests if r.method != "GET" and not r.path.endswith("/access_tokens"))
    return [r for r in sent if r.path != "/graphql" or "mutation" in r.body["query"]]


def publish(assay: Assay, sha: str) -> None:
    assay.store.enqueue(JobSpec.publish(RunKey(repository=REPOSITORY, sha=sha)))
    assay.settle()


# -- annotations and states


def test_findings_beyond_one_call_go_out_in_chunks_with_none_lost_or_doubled(
    assay: Assay, github: StandInGitHub
) -> None:
    _, sha = opened(github, MANY)
    assay.settle()
    check = assay.check(sha, "assay / lint")
    assert sorted(note["start_line"] for note in check.annotations) == list(range(1, 121))
    sent = [len(write.body["output"].get("annotations", ())) for write in writes(github) if "output" in write.body]
    assert sorted(sent, reverse=True)[:3] == [50, 50, 20]


def test_check_with_many_findings_is_completed_with_its_last_chunk(assay: Assay, github: StandInGitHub) -> None:
    _, sha = opened(github, MANY)
    assay.settle()
    assert _statuses(github)["assay / lint"][-3:] == ["in_progress", "in_progress", "completed"]
    assert assay.check(sha, "assay / lint").conclusion == "failure"


def test_checks_go_from_queued_to_in_progress_to_completed_and_never_back(assay: Assay, github: StandInGitHub) -> None:
    opened(github)
    assay.settle("intake", "publish")
    bot.wiring.control().store.enqueue(JobSpec.publish(RunKey(repository=REPOSITORY, sha="0" * 40)))
    while any(assay.waiting().values()):
        for name in assay.waiting():
            _one_job(assay, name)
    for name, statuses in _statuses(github).items():
        order = [("queued", "in_progress", "completed").index(status) for status in statuses]
        assert order == sorted(order), (name, statuses)
        assert (statuses[0], statuses[-1]) == ("queued", "completed")


def _one_job(assay: Assay, name: str) -> None:
    assay.work(name, jobs=1)
