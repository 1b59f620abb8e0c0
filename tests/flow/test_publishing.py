"""Publishing: each finding once and everything in order, whatever fails in between and however often it is repeated."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Any, Literal, cast

import pytest

import bot.wiring
from bot.demo.api import Recorded
from bot.demo.github import StandInGitHub
from bot.demo.limits import Fault, Limits
from bot.domain.events import AgentFinished, AgentStarted, Event
from bot.domain.findings import AgentResult, Finding, Outcome
from bot.domain.run import RunKey
from bot.domain.verdict import Conclusion
from bot.github.checks import Checks
from bot.locks import lock
from bot.publishing.records import Records
from tests.flow.assay import CLEAN, CONFIG, DIRTY, QUICK, REPOSITORY, Assay
from tests.flow.desk import LINES, sixty

FEW_COMMENTS = QUICK.replace("review: {enabled: false}", "review: {enabled: false, max_comments: 2}")
FOUR = """
agents:
  test: {run: "true"}
  lint: {tools: [ruff]}
  security: {tools: [detect-secrets]}
"""
FIXED = CLEAN + "\n\nX = 1\n"


def opened(github: StandInGitHub, text: str = DIRTY) -> tuple[int, str]:
    sha = github.commit(REPOSITORY, "feature", {"demo.py": text})
    return github.open_pull(REPOSITORY, "feature"), sha


def _key(sha: str) -> RunKey:
    return RunKey(repository=REPOSITORY, sha=sha)


def writes(github: StandInGitHub) -> list[Recorded]:
    """What was written; tokens and GraphQL's queries are no writes."""
    return [r for r in github.requests if is_write(r.method, r.path) and not _is_query(r)]


def is_write(method: str, path: str) -> bool:
    return method != "GET" and not path.endswith("/access_tokens")


def _is_query(request: Recorded) -> bool:
    return request.path == "/graphql" and "mutation" not in request.body["query"]


def statuses(github: StandInGitHub, sha: str) -> dict[str, list[str]]:
    """The statuses that each check was given, in order."""
    names = {check.id: check.name for check in github.checks(REPOSITORY, sha)}
    given: dict[str, list[str]] = {name: [] for name in names.values()}
    for write in writes(github):
        if write.status < 300 and write.method == "POST" and write.body.get("head_sha") == sha:
            given[write.body["name"]].append(write.body["status"])
        elif write.method == "PATCH" and (number := write.path.rpartition("/")[2]).isdigit() and int(number) in names:
            given[names[int(number)]].append(write.body["status"])
    return given


# -- a story whose agents' part is told, not run


def tell(assay: Assay, sha: str, event: Event) -> None:
    assay.store.update(_key(sha), event)
    settled(assay)


def finished(sha: str, assay: Assay, *findings: Finding) -> None:
    outcome = Outcome.FINDINGS if findings else Outcome.CLEAN
    result = AgentResult(outcome=outcome, findings=findings)
    tell(assay, sha, AgentFinished(at=time.time(), agent="lint", attempt=1, result=result))


def settled(assay: Assay) -> None:
    """Run control jobs, and those that were put off, until there are none."""
    assay.settle("intake", "publish")
    for _ in range(40):
        waiting = cast("list[tuple[bytes, float]]", assay.redis.zrange("assay:later", 0, 0, withscores=True))
        if not waiting:
            return
        assay.wait(max(0.0, waiting[0][1] - assay.clock.time()))
        assay.settle("intake", "publish")
    raise AssertionError("it does not come to an end")


def story(assay: Assay, github: StandInGitHub, branch: str) -> None:
    """A pull request with sixty findings, of which two get a thread; then they are mended. Everything is there once."""
    number = half_story(assay, github, branch)
    sha = github.push(REPOSITORY, branch, {"many.py": LINES + "# Mended.\n"})
    settled(assay)
    finished(sha, assay)
    assert _conclusions(github, sha) == {"assay": "success", "assay / lint": "success"}
    assert [thread.resolved for thread in github.threads(REPOSITORY, number)] == [True, True]
    assert "60 fixed" in assay.comment(number)


def half_story(assay: Assay, github: StandInGitHub, branch: str) -> int:
    """The first part of it; the pull request's number."""
    # The message is the branch's, for the same commit made twice in a second is one commit.
    sha = github.commit(REPOSITORY, branch, {"many.py": LINES, CONFIG: FEW_COMMENTS}, branch)
    number = github.open_pull(REPOSITORY, branch)
    settled(assay)
    tell(assay, sha, AgentStarted(at=time.time(), agent="lint", attempt=1))
    finished(sha, assay, *sixty())
    _shows_once(assay, github, sha, number)
    return number


def _shows_once(assay: Assay, github: StandInGitHub, sha: str, number: int) -> None:
    assert _conclusions(github, sha) == {"assay": "failure", "assay / lint": "failure"}
    notes = sorted(note["start_line"] for note in assay.check(sha, "assay / lint").annotations)
    assert notes == list(range(1, 61))
    assert len(github.review_comments(REPOSITORY, number)) == 2
    assert "New (60)" in assay.comment(number)


def _conclusions(github: StandInGitHub, sha: str) -> dict[str, str | None]:
    checks = github.checks(REPOSITORY, sha)
    assert len({check.name for check in checks}) == len(checks), "a check was created twice"
    return {check.name: check.conclusion for check in checks}


# -- annotations and states


def test_findings_beyond_one_call_go_out_in_chunks_with_none_lost_or_doubled(
    assay: Assay, github: StandInGitHub
) -> None:
    _, sha = opened(github, "".join(f"import unused_{number}\n" for number in range(120)))
    assay.settle()
    check = assay.check(sha, "assay / lint")
    assert sorted(note["start_line"] for note in check.annotations) == list(range(1, 121))
    sent = [len(write.body["output"].get("annotations", ())) for write in writes(github) if "output" in write.body]
    assert sorted(sent, reverse=True)[:3] == [50, 50, 20]
    assert statuses(github, sha)["assay / lint"] == ["queued", "in_progress", "in_progress", "completed"]


def test_checks_go_from_queued_to_in_progress_to_completed_and_never_back(assay: Assay, github: StandInGitHub) -> None:
    _, sha = opened(github)
    settled(assay)
    tell(assay, sha, AgentStarted(at=time.time(), agent="lint", attempt=1))
    assay.settle()
    states = ["queued", "in_progress", "completed"]
    assert statuses(github, sha) == {"assay": states, "assay / lint": states}


def test_late_result_after_a_timeout_completes_the_check_again_without_reopening_it(
    assay: Assay, github: StandInGitHub
) -> None:
    _, sha = opened(github, LINES)
    settled(assay)
    tell(assay, sha, AgentStarted(at=time.time(), agent="lint", attempt=1))
    assay.wait(5000)
    settled(assay)
    assert assay.check(sha, "assay / lint").conclusion == "timed_out"
    finished(sha, assay, *(finding.model_copy(update={"path": "demo.py"}) for finding in sixty()))
    assert statuses(github, sha)["assay / lint"] == ["queued", "in_progress", "completed", "completed", "completed"]
    assert len(assay.check(sha, "assay / lint").annotations) == 60
    assert assay.verdict(sha) is Conclusion.FAILURE


def test_second_result_with_other_findings_gets_a_check_of_its_own(assay: Assay, github: StandInGitHub) -> None:
    """Annotations cannot be taken back, so the first ones must not stand beside the second ones."""
    _, sha = opened(github, LINES)
    settled(assay)
    some, others = sixty()[:3], sixty()[10:20]
    finished(sha, assay, *some)
    finished(sha, assay, *others)
    checks = [check for check in github.checks(REPOSITORY, sha) if check.name == "assay / lint"]
    assert [len(check.annotations) for check in checks] == [3, 10]


# -- how much is written


def test_publishing_again_writes_nothing(assay: Assay, github: StandInGitHub) -> None:
    _, sha = opened(github)
    assay.settle()
    before = len(writes(github))
    for _ in range(3):
        assay.unpublished.publish(_key(sha), github.installation("octo"))
        assay.settle()
    assert len(writes(github)) == before


def test_four_agents_cost_at_most_three_writes_a_check_a_comment_and_a_review(
    assay: Assay, github: StandInGitHub
) -> None:
    """The worst case: every step of every agent is published on its own. docs/architecture.md states the number."""
    github.push(REPOSITORY, "main", {CONFIG: FOUR})
    assay.settle()
    before = len(writes(github))
    _, sha = opened(github)
    assay.settle("intake", "publish")
    assay.wait(2)
    agents = ("test", "lint", "security", "review")
    for name in agents:
        assay.store.update(_key(sha), AgentStarted(at=time.time(), agent=name, attempt=1))
        assay.settle("publish")
    for name in agents:
        assay.settle(name, "publish")
    assert assay.verdict(sha) is Conclusion.FAILURE
    assert len(writes(github)) - before == 3 * 5 + 2


def test_text_alone_is_written_once_a_minute(assay: Assay, github: StandInGitHub) -> None:
    github.push(REPOSITORY, "main", {CONFIG: FOUR})
    assay.settle()
    _, sha = opened(github)
    assay.settle("intake", "publish")
    assay.store.update(_key(sha), AgentStarted(at=time.time(), agent="lint", attempt=1))
    # That it has begun is more than text, and written a second after the first word.
    assay.wait(2)
    assay.settle("publish")
    assert assay.check(sha).status == "in_progress"
    assay.settle("test")
    assay.settle("publish")
    assert "0 of 4" in str(assay.check(sha).title)
    assay.wait(61)
    assay.settle("publish")
    assert "1 of 4" in str(assay.check(sha).title)


# -- faults


@pytest.fixture
def unlimited(github: StandInGitHub) -> None:
    """For tests that write more in a minute than GitHub lets one write."""
    github.api.meter.limits = Limits(writes_a_minute=10_000, writes_an_hour=10_000)


class EveryOther:
    """Picks the first try of each write, and not the one after it."""

    def __init__(self) -> None:
        self._turns: Counter[tuple[str, str]] = Counter()

    def __call__(self, method: str, path: str) -> bool:
        self._turns[method, path] += 1
        return is_write(method, path) and self._turns[method, path] % 2 == 1


class Nth:
    """Picks one write of all."""

    def __init__(self, number: int) -> None:
        self._left = number

    def __call__(self, method: str, path: str) -> bool:
        self._left -= is_write(method, path)
        return is_write(method, path) and self._left == 0


FAULTS: list[tuple[Literal["error", "reset"], bool]] = [("error", False), ("error", True), ("reset", True)]


@pytest.mark.parametrize(("kind", "after"), FAULTS)
def test_every_write_fails_once_and_everything_is_there_once(
    assay: Assay, github: StandInGitHub, kind: Literal["error", "reset"], *, after: bool
) -> None:
    github.api.faults.pending.append(Fault(kind, EveryOther(), times=1000, after=after))
    story(assay, github, "feature")


@pytest.mark.usefixtures("unlimited")
def test_answer_to_one_write_is_lost_and_everything_is_there_once(assay: Assay, github: StandInGitHub) -> None:
    for number in range(1, 10):
        fault = Fault("error", Nth(number), after=True)
        github.api.faults.pending.append(fault)
        half_story(assay, github, f"branch-{number}")
        assert fault.times == 0, "there is no such write any more"


@pytest.mark.usefixtures("unlimited")
@pytest.mark.parametrize("method", ["save_publication", "save_pull"])
def test_process_that_dies_before_it_notes_a_write_does_not_write_twice(
    assay: Assay, github: StandInGitHub, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    real: Callable[..., None] = getattr(Records, method)
    left = 0

    def dies_once(self: Records, *args: object) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise ConnectionAbortedError("the process died")
        real(self, *args)

    monkeypatch.setattr(Records, method, dies_once)
    for number in count(1):
        left = number
        half_story(assay, github, f"branch-{number}")
        if left > 0:
            break
    assert number > (6 if method == "save_publication" else 2)


def test_publication_that_another_process_is_at_comes_later(assay: Assay, github: StandInGitHub) -> None:
    _, sha = opened(github)
    assay.settle("intake")
    with lock(assay.redis, f"publish:{_key(sha)}", 10):
        assay.settle("publish")
    assert github.checks(REPOSITORY, sha) == []
    settled(assay)
    assert len(github.checks(REPOSITORY, sha)) == 2


def test_writer_whose_lock_was_taken_over_stops_writing(
    assay: Assay, github: StandInGitHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, sha = opened(github)
    assay.settle("intake")
    real = Checks.create

    def loses_its_lock(self: Checks, *args: Any) -> int:
        assay.redis.set(f"assay:lock:publish:{_key(sha)}", "another's", px=50)
        return real(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(Checks, "create", loses_its_lock)
        assay.settle("publish")
    assert len(github.checks(REPOSITORY, sha)) == 1
    time.sleep(0.06)
    settled(assay)
    assert sorted(check.name for check in github.checks(REPOSITORY, sha)) == ["assay", "assay / lint"]


# -- memory


def test_comment_and_threads_are_found_again_after_redis_lost_its_memory(assay: Assay, github: StandInGitHub) -> None:
    number, _ = opened(github)
    assay.settle()
    (before,) = github.comments(REPOSITORY, number)
    assay.redis.flushall()
    sha = github.push(REPOSITORY, "feature", {"demo.py": DIRTY + "\n\nX = 1\n"})
    assay.settle()
    assert assay.verdict(sha) is Conclusion.FAILURE
    assert [comment.id for comment in github.comments(REPOSITORY, number)] == [before.id]
    assert sha[:7] in assay.comment(number)
    assert len(github.review_comments(REPOSITORY, number)) == 1


def test_unfinished_checks_are_taken_over_after_redis_lost_its_memory(assay: Assay, github: StandInGitHub) -> None:
    number, sha = opened(github)
    assay.settle("intake", "publish")
    assay.redis.flushall()
    github.retarget(REPOSITORY, number, "main")
    assay.settle()
    assert _conclusions(github, sha) == {"assay": "failure", "assay / lint": "failure"}


def test_findings_link_to_their_lines(assay: Assay, github: StandInGitHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-in speaks HTTP, and only HTTPS is linked to."""
    publisher = bot.wiring.control().publisher
    desk = publisher._desk
    monkeypatch.setattr(publisher, "_desk", lambda *place: replace(desk(*place), web=https(desk(*place).web)))
    number, sha = opened(github)
    assay.settle()
    assert f"{https(github.url)}/{REPOSITORY}/blob/{sha}/demo.py#L1)" in assay.comment(number)


def https(url: str) -> str:
    return url.replace("http://", "https://")


# -- what GitHub refuses


def test_review_that_github_refuses_leaves_the_findings_in_the_comment(assay: Assay, github: StandInGitHub) -> None:
    number, sha = opened(github)
    github.fail(method="POST", path="/reviews", status=422)
    assay.settle()
    assert assay.verdict(sha) is Conclusion.FAILURE
    assert github.review_comments(REPOSITORY, number) == []
    assert "demo.py:1" in assay.comment(number)


def test_threads_that_may_not_be_resolved_are_left_open(assay: Assay, github: StandInGitHub) -> None:
    github.world.resolving_needs = {"contents": "write"}
    number, _ = opened(github)
    assay.settle()
    sha = github.push(REPOSITORY, "feature", {"demo.py": FIXED})
    assay.settle()
    assert assay.verdict(sha) is Conclusion.SUCCESS
    assert "1 fixed" in assay.comment(number)
    assert [thread.resolved for thread in github.threads(REPOSITORY, number)] == [False]


def test_the_right_to_write_contents_is_given_back_at_once(assay: Assay, github: StandInGitHub) -> None:
    world = github.world
    world.resolving_needs = {"contents": "write"}
    world.app.permissions = {**world.app.permissions, "contents": "write"}
    number, _ = opened(github)
    assay.settle()
    assert "contents" not in asked_to_write(github)
    github.push(REPOSITORY, "feature", {"demo.py": FIXED})
    assay.settle()
    assert [thread.resolved for thread in github.threads(REPOSITORY, number)] == [True]
    assert "contents" in asked_to_write(github)
    assert [token for token in world.tokens.values() if token.permissions.get("contents") == "write"] == []
    assert [request.path for request in github.requests if request.method == "DELETE"] == ["/installation/token"]


def asked_to_write(github: StandInGitHub) -> set[str]:
    """What tokens that Assay asked for may write; all of them are for one repository."""
    bodies = [dict(request.body) for request in github.requests if request.path.endswith("/access_tokens")]
    writing = [body for body in bodies if "write" in body["permissions"].values()]
    assert all(len(body["repositories"]) == 1 for body in writing)
    return {name for body in writing for name, level in body["permissions"].items() if level == "write"}


def test_locked_conversation_is_a_stated_end(
    assay: Assay, github: StandInGitHub, caplog: pytest.LogCaptureFixture
) -> None:
    _, sha = opened(github)
    github.fail(method="POST", path="/comments", status=403, times=9)
    assay.settle()
    assert assay.check(sha).conclusion == "failure"
    assert "cannot be published" in caplog.text
    assert assay.redis.zcard("assay:unpublished") == 0
    assert assay.redis.zcard("assay:later") == 0
