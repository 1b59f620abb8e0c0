"""GitHub's faults: what passes is waited out, what does not has a stated end, and nothing goes round for ever."""

from __future__ import annotations

import json
import time
from typing import Literal, cast

import pytest

from bot.demo.github import StandInGitHub
from bot.domain.events import CommitReceived
from bot.domain.findings import Outcome
from bot.domain.plan import plan
from bot.domain.run import RunKey
from bot.domain.triggers import Push
from bot.domain.verdict import Conclusion
from bot.github.checks import Checks
from bot.github.contents import Contents
from bot.patience import GIVE_UP
from config.reading import Layer, read
from tests.flow.assay import CONFIG, DIRTY, QUICK, REPOSITORY, Assay


def opened(github: StandInGitHub) -> tuple[int, str]:
    sha = github.commit(REPOSITORY, "feature", {"demo.py": DIRTY})
    return github.open_pull(REPOSITORY, "feature"), sha


def later(assay: Assay, seconds: float) -> None:
    """Let that much time pass, and handle what was put off until then."""
    assay.wait(seconds)
    assay.settle()


def put_off(assay: Assay) -> list[tuple[str, float]]:
    """The jobs that wait for their time, and in how many seconds it comes."""
    waiting = assay.redis.zrange("assay:later", 0, -1, withscores=True)
    scores = cast("list[tuple[bytes, float]]", waiting)
    return [(json.loads(spec)["queue"], at - assay.clock.time()) for spec, at in scores]


def is_at_rest(assay: Assay) -> bool:
    """Whether nothing is left to be done, now or later."""
    left = (assay.redis.zcard(name) for name in ("assay:later", "assay:unpublished", "assay:deadlines"))
    return not any(left)


# -- what passes


@pytest.mark.parametrize("path", ["/pulls/1", "/contents/", "/compare/", "/access_tokens", "/check-runs", "/comments"])
@pytest.mark.parametrize("kind", ["error", "reset"])
def test_hiccup_is_waited_out(assay: Assay, github: StandInGitHub, path: str, kind: Literal["error", "reset"]) -> None:
    number, sha = opened(github)
    github.fail(kind, path=path, status=503, times=2)
    assay.settle()
    later(assay, 30)
    assert assay.verdict(sha) is Conclusion.FAILURE
    assert sha[:7] in assay.comment(number)
    assert is_at_rest(assay)


def test_outage_during_intake_puts_the_delivery_off(assay: Assay, github: StandInGitHub) -> None:
    _, sha = opened(github)
    fault = github.fail(path="/pulls/1", times=10_000)
    assay.settle()
    later(assay, 30)
    assert not assay.has_run(sha)
    assert {queue for queue, _ in put_off(assay)} == {"intake"}
    fault.times = 0
    later(assay, 60)
    assert assay.verdict(sha) is Conclusion.FAILURE


def test_outage_during_publishing_puts_it_off(assay: Assay, github: StandInGitHub) -> None:
    _, sha = opened(github)
    fault = github.fail(path="/check-runs", times=10_000)
    assay.settle()
    assert github.checks(REPOSITORY, sha) == []
    assert {queue for queue, _ in put_off(assay)} == {"publish"}
    fault.times = 0
    later(assay, 60)
    assert assay.verdict(sha) is Conclusion.FAILURE
    assert is_at_rest(assay)


def test_long_rate_limit_is_honoured_and_not_tried_before_its_time(assay: Assay, github: StandInGitHub) -> None:
    _, sha = opened(github)
    assay.settle("intake")
    github.fail("secondary", path="/check-runs", seconds=900)
    assay.settle("publish")
    ((queue, wait),) = put_off(assay)
    assert queue == "publish"
    assert 880 < wait <= 900
    asked = len(github.requests)
    later(assay, 600)
    assert [request for request in github.requests[asked:] if not request.path.endswith("/access_tokens")] == []
    later(assay, 301)
    assert assay.verdict(sha) is Conclusion.FAILURE


def test_rate_limit_of_reading_puts_the_delivery_off(assay: Assay, github: StandInGitHub) -> None:
    _, sha = opened(github)
    github.exhaust("octo", resets_in=300)
    assay.settle()
    ((queue, wait),) = put_off(assay)
    assert queue == "intake"
    assert 280 < wait <= 302
    with github.world.lock:
        github.api.meter.accounts.clear()
    later(assay, 310)
    assert assay.verdict(sha) is Conclusion.FAILURE


def test_tokens_that_expire_are_replaced(assay: Assay, github: StandInGitHub) -> None:
    number, sha = opened(github)
    for queue in ("intake", "publish", "lint", "publish"):
        github.expire_tokens()
        assay.settle(queue)
    assert assay.verdict(sha) is Conclusion.FAILURE
    assert sha[:7] in assay.comment(number)


def test_git_server_that_is_away_is_tried_again(assay: Assay, github: StandInGitHub) -> None:
    _, sha = opened(github)
    assay.settle("intake", "publish")
    github.fail(path=".git/", times=2, status=503)
    assay.settle()
    assert assay.verdict(sha) is Conclusion.FAILURE
    assert assay.clock.pauses[-2:] == [1, 5]


def test_git_server_that_stays_away_is_an_error_that_says_so(assay: Assay, github: StandInGitHub) -> None:
    _, sha = opened(github)
    assay.settle("intake", "publish")
    github.fail(path=".git/", times=100, status=503)
    assay.settle()
    agent = assay.run(sha).agent("lint")
    assert agent is not None
    assert agent.result is not None
    assert agent.outcome is Outcome.ERROR
    assert "could not be fetched" in agent.result.reason
    assert assay.verdict(sha) is Conclusion.FAILURE


# -- what does not pass


def test_repository_that_is_gone_ends_everything(assay: Assay, github: StandInGitHub) -> None:
    opened(github)
    github.delete_repository(REPOSITORY)
    assay.settle()
    assert is_at_rest(assay)
    (outcome,) = assay.outcomes()
    assert outcome == f"ignored: GitHub does not know GET /repos/{REPOSITORY}, or the App may not see it"


def test_repository_that_goes_during_the_run_ends_everything(
    assay: Assay, github: StandInGitHub, caplog: pytest.LogCaptureFixture
) -> None:
    _, sha = opened(github)
    assay.settle("intake", "publish")
    github.delete_repository(REPOSITORY)
    assay.settle()
    later(assay, 3600)
    assert assay.run(sha).complete
    assert is_at_rest(assay)
    assert "cannot be published" in caplog.text


def test_suspended_installation_is_a_stated_end_until_it_is_taken_up_again(
    assay: Assay, github: StandInGitHub, caplog: pytest.LogCaptureFixture
) -> None:
    number, sha = opened(github)
    assay.settle("intake", "publish")
    github.announce_installation("octo", "suspend")
    assay.settle()
    later(assay, 3600)
    assert assay.run(sha).complete
    assert is_at_rest(assay)
    assert "cannot be published: Refused" in caplog.text
    assert "has been suspended" in assay.records.publication(RunKey(repository=REPOSITORY, sha=sha)).refusal
    asked = len(github.requests)
    later(assay, 4 * 86400)
    assert len(github.requests) == asked
    github.announce_installation("octo", "unsuspend")
    assay.settle()
    assert assay.verdict(sha) is Conclusion.FAILURE
    assert {check.status for check in github.checks(REPOSITORY, sha)} == {"completed"}
    assert sha[:7] in assay.comment(number)
    assert any(outcome.endswith("unsuspend; runs published again: 1") for outcome in assay.outcomes())
    assert assay.records.publication(RunKey(repository=REPOSITORY, sha=sha)).refusal == ""


def test_app_that_was_removed_ends_everything(assay: Assay, github: StandInGitHub) -> None:
    _, sha = opened(github)
    assay.settle("intake", "publish")
    github.announce_installation("octo", "deleted")
    assay.settle()
    later(assay, 3600)
    assert assay.run(sha).complete
    assert is_at_rest(assay)


def test_push_of_a_commit_that_vanished_is_a_stated_end(assay: Assay, github: StandInGitHub) -> None:
    sha = "f" * 40
    github.push(REPOSITORY, "main", {"notes.txt": "x"})
    assay.settle()
    payload = next(made.payload for made in github.deliveries if made.event == "push")
    github.deliver("push", {**payload, "before": "e" * 40, "after": sha, "forced": True})
    assay.settle()
    assert assay.outcomes()[0].startswith("failed: GitHub refuses GET")
    assert is_at_rest(assay)


def test_commit_that_vanishes_during_the_run_is_an_error_that_says_so(
    assay: Assay, github: StandInGitHub, caplog: pytest.LogCaptureFixture
) -> None:
    sha, config = "f" * 40, read([Layer("test", CONFIG, QUICK)]).config
    trigger = Push(branch="main", base_sha=None)
    event = CommitReceived(
        at=time.time(), installation=github.installation("octo"), trigger=trigger, plan=plan(config, trigger)
    )
    assay.store.update(RunKey(repository=REPOSITORY, sha=sha), event)
    assay.settle()
    agent = assay.run(sha).agents[0]
    assert agent.result is not None
    assert (agent.outcome, "the commit is gone" in agent.result.reason) == (Outcome.ERROR, True)
    assert "cannot be published" in caplog.text
    assert is_at_rest(assay)


@pytest.mark.parametrize(("missing", "end"), [("checks", "published"), ("contents", "read")])
def test_permission_that_is_missing_is_a_stated_end(
    assay: Assay, github: StandInGitHub, caplog: pytest.LogCaptureFixture, missing: str, end: str
) -> None:
    permissions = dict(github.world.app.permissions)
    del permissions[missing]
    github.world.app.permissions = permissions
    opened(github)
    assay.settle()
    later(assay, 3600)
    assert is_at_rest(assay)
    if end == "published":
        assert "cannot be published" in caplog.text
    else:
        assert all(outcome.startswith("failed: GitHub refuses") for outcome in assay.outcomes())


def test_comment_that_may_not_be_written_does_not_keep_the_checks_from_being_there(
    assay: Assay, github: StandInGitHub
) -> None:
    _, sha = opened(github)
    github.fail(method="POST", path="/issues/", status=403, times=100)
    assay.settle()
    assert assay.verdict(sha) is Conclusion.FAILURE
    assert is_at_rest(assay)


def test_outage_that_never_ends_is_given_up_after_days(assay: Assay, github: StandInGitHub) -> None:
    opened(github)
    github.fail(path="/pulls/1", times=10_000)
    assay.settle()
    assert put_off(assay)
    later(assay, GIVE_UP - 1000)
    assert put_off(assay)
    later(assay, 2000)
    assert is_at_rest(assay)
    assert assay.outcomes()[-1].startswith("failed: GitHub answers 502")


def test_wrong_private_key_holds_deliveries_back_until_it_is_mended(
    assay: Assay, github: StandInGitHub, caplog: pytest.LogCaptureFixture
) -> None:
    key, github.world.app.public_key = github.world.app.public_key, _another_key()
    _, sha = opened(github)
    assay.settle()
    assert "Check the App's id, its private key" in caplog.text
    assert not assay.has_run(sha)
    github.world.app.public_key = key
    later(assay, 60)
    assert assay.verdict(sha) is Conclusion.FAILURE


def _another_key() -> bytes:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


# -- what is our own fault


def test_bug_in_intake_is_told_of_in_the_ledger(
    assay: Assay, github: StandInGitHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []

    def breaks(self: Contents, number: int) -> None:
        tries.append(number)
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(Contents, "pull", breaks)
    opened(github)
    assay.settle()
    assay.sweep()
    assert assay.outcomes() == ["failed: its job failed 3 times (ZeroDivisionError)"]
    assert len(tries) == 3
    assert is_at_rest(assay)


def test_bug_that_passes_costs_nothing(assay: Assay, github: StandInGitHub, monkeypatch: pytest.MonkeyPatch) -> None:
    real, tries = Contents.pull, []

    def breaks_once(self: Contents, number: int) -> object:
        tries.append(number)
        if len(tries) == 1:
            raise ZeroDivisionError("a bug")
        return real(self, number)

    monkeypatch.setattr(Contents, "pull", breaks_once)
    _, sha = opened(github)
    assay.settle()
    assert assay.verdict(sha) is Conclusion.FAILURE


def _breaks(*_: object) -> None:
    raise ZeroDivisionError("a bug")


def test_bug_in_publishing_does_not_go_round_for_ever(
    assay: Assay, github: StandInGitHub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(Checks, "create", _breaks)
    opened(github)
    assay.settle()
    later(assay, 3600)
    assert is_at_rest(assay)
    assert "its job failed 3 times (ZeroDivisionError)" in caplog.text


def test_run_that_was_given_up_is_published_when_it_changes(
    assay: Assay, github: StandInGitHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, sha = opened(github)
    with monkeypatch.context() as patch:
        patch.setattr(Checks, "create", _breaks)
        assay.settle("intake", "publish")
    assay.settle()
    assert assay.verdict(sha) is Conclusion.FAILURE


def test_worker_that_never_answers_is_ended_by_the_sweep(assay: Assay, github: StandInGitHub) -> None:
    github.push(REPOSITORY, "main", {CONFIG: QUICK.replace("tools: [ruff]", "tools: [ruff], timeout: 1m")})
    assay.settle()
    _, sha = opened(github)
    assay.settle("intake", "publish")
    assay.redis.delete("rq:queue:lint")
    later(assay, 7 * 3600)
    agent = assay.run(sha).agent("lint")
    assert agent is not None
    assert agent.result is not None
    assert "no worker took it up" in agent.result.reason
    assert assay.verdict(sha) is Conclusion.FAILURE
    assert assay.store.load(RunKey(repository=REPOSITORY, sha=sha)) is not None
