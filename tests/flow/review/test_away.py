"""Providers that are away."""

from __future__ import annotations

import pytest

from bot.demo.github import StandInGitHub
from bot.demo.model_wire import SERVER_ERROR
from bot.domain.findings import Outcome
from bot.domain.run import AWAY_PATIENCE
from bot.domain.verdict import Conclusion, findings
from tests.flow.assay import CONFIG, REPOSITORY, Assay
from tests.flow.review.reviewing import (
    FAULTY,
    PADDING,
    REVIEWED,
    Reviewer,
    opened,
    review_of,
)
from workers.agents import reading
from workers.llm import client


def test_review_waits_for_a_provider_that_is_away_and_resumes_by_itself(
    assay: Assay, github: StandInGitHub, reviewer: Reviewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "BACKOFF", 0.01)
    reviewer.away = SERVER_ERROR
    number, sha = opened(github)
    assay.clock.stop()
    assay.settle()
    state = review_of(assay, sha)
    assert state.progress.startswith("waiting for the provider since ")
    assay.wait(30)
    assay.settle()
    check = assay.check(sha, "assay / review")
    assert check.status == "in_progress"
    assert "waiting for the provider since" in str(check)
    reviewer.away = None
    assay.wait(31)
    assay.settle()
    assert review_of(assay, sha).outcome is Outcome.FINDINGS
    assert "demo.py" in assay.comment(number)


def test_wait_for_a_provider_ends(
    assay: Assay, github: StandInGitHub, reviewer: Reviewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "BACKOFF", 0.01)
    reviewer.away = SERVER_ERROR
    _, sha = opened(github)
    assay.settle()
    assay.wait(AWAY_PATIENCE)
    assay.settle()
    assert review_of(assay, sha).outcome is Outcome.ERROR
    assert assay.check(sha, "assay / review").status == "completed"


def test_next_provider_answers_while_the_first_is_away_and_the_check_says_so(
    backup: Reviewer,
    assay: Assay,
    github: StandInGitHub,
    reviewer: Reviewer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(client, "BACKOFF", 0.01)
    reviewer.away = SERVER_ERROR
    number, sha = opened(github)
    assay.settle()
    assert backup.asked == ["review", "verify"]
    check = str(assay.check(sha, "assay / review"))
    assert "Answered by backup, for the first provider failed: the model provider is failing (500)" in check
    assert "(large, " in assay.comment(number)
    said = [record.getMessage() for record in caplog.records if "model provider: " in record.getMessage()]
    assert all("the first provider failed" in line and line.endswith("asking backup") for line in said)
    assert said
    backup.away = SERVER_ERROR
    after = github.push(REPOSITORY, "feature", {"other.py": FAULTY})
    assay.settle()
    assert "waiting for the provider since" in review_of(assay, after).progress
    assert "backup: the model provider is failing" in review_of(assay, after).progress
    backup.away = None
    assay.wait(61)
    assay.settle()
    assert review_of(assay, after).outcome is Outcome.FINDINGS


def test_verifier_waits_for_a_provider_too_and_rules_once_it_is_back(
    assay: Assay, github: StandInGitHub, reviewer: Reviewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "BACKOFF", 0.01)
    reviewer.broken = SERVER_ERROR
    number, sha = opened(github)
    assay.clock.stop()
    assay.settle()
    assay.wait(30)
    assay.settle()
    check = assay.check(sha, "assay / review")
    assert check.status == "in_progress"
    assert "Verifying 2 findings, waiting for the provider since" in str(check.output["title"])
    reviewer.broken = None
    assay.wait(31)
    assay.settle()
    assert reviewer.asked.count("review") == 1
    assert {finding.verification for finding in findings(assay.run(sha))} == {"confirmed"}
    assert assay.comment(number).count("· verified") == 2


@pytest.mark.parametrize("seconds", [0, 3600])
def test_verifier_s_wait_ends_as_it_is_set_and_leaves_findings_unverified(
    assay: Assay, github: StandInGitHub, reviewer: Reviewer, monkeypatch: pytest.MonkeyPatch, seconds: int
) -> None:
    monkeypatch.setattr(client, "BACKOFF", 0.01)
    reviewer.broken = SERVER_ERROR
    waiting = REVIEWED.replace("high}", f"high, wait_for_provider: {seconds}s}}")
    sha = github.commit(REPOSITORY, "feature", {"demo.py": FAULTY, CONFIG: waiting})
    number = github.open_pull(REPOSITORY, "feature")
    assay.settle()
    assert assay.run(sha).complete is (seconds == 0)
    assay.wait(seconds)
    assay.settle()
    assert assay.verdict(sha) is Conclusion.FAILURE
    comment = assay.comment(number)
    assert comment.count("· unverified") == 2
    assert "is failing (500)" in comment


def test_full_review_that_waited_does_not_ask_all_of_it_again(
    assay: Assay, github: StandInGitHub, reviewer: Reviewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "BACKOFF", 0.01)
    monkeypatch.setattr(reading, "REQUEST_CHARACTERS", 300)
    files = {f"f{number}.py": f"def at_{number}(items):\n    return items[{number}]\n{PADDING}" for number in range(4)}
    sha = github.commit(REPOSITORY, "feature", files)
    number = github.open_pull(REPOSITORY, "feature")
    assay.settle()
    assert reviewer.asked.count("review") == 4
    reviewer.away, reviewer.still, reviewer.asked = SERVER_ERROR, 2, []
    github.comment(REPOSITORY, number, "/assay review --full", author="alice")
    assay.settle()
    assert review_of(assay, sha).resumes_at
    reviewer.away, reviewer.asked = None, []
    assay.wait(61)
    assay.settle()
    assert reviewer.asked.count("review") == 2, "what had not been answered anew"
    assert review_of(assay, sha).outcome is Outcome.FINDINGS
