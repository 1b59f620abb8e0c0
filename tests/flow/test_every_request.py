"""Every request that publishing makes meets every fault of GitHub's, and everything is there once at the end.

One story makes all of those requests: a pull request with sixty findings, of which two get a thread; they are mended by
another commit. In it, each kind of request meets the fault in question the first time it is made.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from email.utils import formatdate
from itertools import count
from typing import Any

import pytest

from bot.demo.github import StandInGitHub
from bot.demo.limits import Fault, FaultKind, Limits
from bot.domain.publication import ANNOUNCED_AFTER
from bot.domain.run import RunKey
from bot.github.holds import Holds
from bot.patience import GIVE_UP
from bot.store import Store
from tests.flow.desk import Answered, PublishingDesk, sixty

REQUESTS = {
    "who the App is": "GET /app",
    "a token": "POST /app/installations/[0-9]+/access_tokens",
    "checks": "GET .*/check-runs",
    "a new check": "POST .*/check-runs",
    "a change of a check": "PATCH .*/check-runs/[0-9]+",
    "comments on lines": "GET .*/pulls/1/comments",
    "a review": "POST .*/pulls/1/reviews",
    "comments": "GET .*/issues/1/comments",
    "a new comment": "POST .*/issues/1/comments",
    "a change of a comment": "PATCH .*/issues/comments/[0-9]+",
    "threads": "POST /graphql",
    "an answer in a thread": "POST .*/pulls/1/comments/[0-9]+/replies",
    "a file for code scanning": "POST .*/code-scanning/sarifs",
    "what became of it": "GET .*/code-scanning/sarifs/.*",
}
# How often the fault meets a kind: a check changes to in progress, gets annotations, more of them, and its end; and of
# GraphQL there are a question and a change.
TIMES = {"a change of a check": 6, "a new check": 2, "threads": 2}


@dataclass
class FirstOfEach:
    """Picks the first request of each kind; every other one, where there are more to pick."""

    kinds: dict[str, str] = field(default_factory=lambda: dict(REQUESTS))
    seen: dict[str, int] = field(default_factory=dict)

    def __call__(self, method: str, path: str) -> bool:
        kind = next((k for k, pattern in self.kinds.items() if re.fullmatch(pattern, f"{method} {path}")), None)
        if kind is None:
            return False
        number = self.seen[kind] = self.seen.get(kind, 0) + 1
        return number % 2 == 1 and number < 2 * TIMES.get(kind, 1)


@pytest.fixture(scope="module")
def github() -> Iterator[StandInGitHub]:
    with StandInGitHub(
        limits=Limits(hourly=10**6, writes_a_minute=10**6, writes_an_hour=10**6), echo=False
    ) as stand_in:
        yield stand_in


_numbers = count(1)


@pytest.fixture
def open_desk(github: StandInGitHub, store: Store) -> Iterator[Callable[..., PublishingDesk]]:
    """Opens a desk for an owner of its own, so that no installation hears of another case."""
    store.redis.config_set("appendfsync", "no")
    with ExitStack() as stack:

        def open_one(**options: Any) -> PublishingDesk:
            made = PublishingDesk(github, store, f"octo{next(_numbers)}/demo", scanning=True, **options)
            stack.callback(made.app.close)
            return made

        yield open_one
    github.api.faults.pending.clear()
    store.redis.config_set("appendfsync", "always")
    assert github.unexpected == []


@pytest.fixture
def desk(open_desk: Callable[..., PublishingDesk]) -> PublishingDesk:
    return open_desk()


def tell_story(desk: PublishingDesk, settle: Callable[[RunKey], None]) -> None:
    """All of it; and that everything is there once."""
    first = desk.open_pull()
    settle(first)
    desk.start(first)
    settle(first)
    desk.finish(first, *sixty())
    settle(first)
    assert desk.conclusions(first) == {"assay": "failure", "assay / lint": "failure"}
    assert desk.noted(first) == list(range(1, 61))
    (comment,) = desk.github.comments(desk.repository, 1)
    assert "New (60)" in comment.body
    assert len(desk.github.review_comments(desk.repository, 1)) == 2
    second = desk.push(1)
    settle(second)
    desk.finish(second)
    settle(second)
    assert desk.conclusions(second) == {"assay": "success", "assay / lint": "success"}
    (comment,) = desk.github.comments(desk.repository, 1)
    assert "60 fixed" in comment.body
    assert [thread.resolved for thread in desk.github.threads(desk.repository, 1)] == [True, True]


def scanned(desk: PublishingDesk) -> list[tuple[str, int]]:
    """What code scanning was told, the newest first: the ref, and how many findings."""
    return [(made.ref, len(made.results)) for made in desk.github.analyses(desk.repository)]


def order(desk: PublishingDesk, picks: FirstOfEach, kind: FaultKind, **about: Any) -> None:
    desk.github.api.faults.pending.append(Fault(kind, picks, times=10_000, **about))


def too_early(desk: PublishingDesk, asked: float) -> list[Answered]:
    """The requests that came although GitHub had asked to wait for so many seconds."""
    pairs = zip(desk.answers, desk.answers[1:], strict=False)
    return [after for before, after in pairs if before.status in LIMITED and after.at < before.at + asked - 1]


# -- what passes

LIMITED = (403, 429, 503)
RESET_IN = 90.0
SILENCE = 0.25
EXHAUSTED = "API rate limit exceeded for installation ID 7."
SECONDARY = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
HTML = b"<html><h1>502 Bad Gateway</h1></html>"


@dataclass(frozen=True)
class Passing:
    """A fault that passes, `headers` by the time; and how long GitHub asks to wait, in seconds."""

    kind: FaultKind
    about: Mapping[str, Any] = field(default_factory=dict)
    headers: Callable[[float], Mapping[str, str]] = lambda _: {}
    asked: float = 0.0


PASSING = {
    "500": Passing("error", {"status": 500}),
    "502 with a page": Passing("error", {"status": 502, "raw": HTML}),
    "502 after it was done": Passing("error", {"status": 502, "after": True}),
    "503 for maintenance": Passing("error", {"status": 503}, lambda _: {"Retry-After": "120"}, 120),
    "504 after it was done": Passing("error", {"status": 504, "raw": b"", "after": True}),
    "reset": Passing("reset"),
    "reset after it was done": Passing("reset", {"after": True}),
    "silence": Passing("hang", {"seconds": SILENCE}),
    "silence after it was done": Passing("hang", {"seconds": SILENCE, "after": True}),
    "an answer that is no JSON": Passing("error", {"status": 200, "raw": b'{"id": 1, "tok', "after": True}),
    "an answer of another shape": Passing("error", {"status": 201, "raw": b'"welcome"', "after": True}),
    "expired token": Passing("error", {"status": 401, "message": "Bad credentials"}),
    "hour used up": Passing(
        "error",
        {"status": 403, "message": EXHAUSTED},
        lambda now: {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(now + RESET_IN))},
        RESET_IN,
    ),
    "secondary limit": Passing("secondary", {"seconds": 45.0}, asked=45),
    "secondary limit without a time": Passing("error", {"status": 403, "message": SECONDARY}, asked=60),
    "429 with seconds": Passing("error", {"status": 429}, lambda _: {"Retry-After": "75"}, 75),
    "429 with a date": Passing(
        "error", {"status": 429}, lambda now: {"Retry-After": formatdate(now + RESET_IN, usegmt=True)}, RESET_IN
    ),
    "429 alone": Passing("error", {"status": 429}, asked=60),
}


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
def test_what_passes_is_waited_for_and_all_is_there_once(
    open_desk: Callable[..., PublishingDesk], fault: Passing
) -> None:
    desk = open_desk(timeout=SILENCE * 0.7) if fault.kind == "hang" else open_desk()
    picks, began = FirstOfEach(), desk.clock.time()
    order(desk, picks, fault.kind, headers=lambda: fault.headers(desk.clock.time()), **fault.about)
    tell_story(desk, desk.settle)
    assert set(picks.seen) == set(REQUESTS)
    assert scanned(desk) == [("refs/pull/1/head", 0), ("refs/pull/1/head", 60)]
    assert too_early(desk, fault.asked) == []
    assert desk.clock.time() - began < 2 * 3600


# -- what does not pass

REFUSALS = {
    "a permission is missing": (403, "Resource not accessible by integration"),
    "suspended": (403, "This installation has been suspended"),
    "not found": (404, "Not Found"),
    "gone": (410, "Issues are disabled for this repo"),
    "unprocessable": (422, "No commit found for SHA"),
    "blocked by law": (451, "Repository access blocked"),
}


@pytest.mark.parametrize(("status", "message"), REFUSALS.values(), ids=REFUSALS)
def test_what_does_not_pass_is_a_stated_end_until_the_installation_changes(
    desk: PublishingDesk, status: int, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    # That threads may not be resolved, or code scanning is not had, is no reason to stop; nor is a review of lines that
    # GitHub's diff does not have.
    unheard = {"threads", "a file for code scanning", "what became of it"} | ({"a review"} if status == 422 else set())
    picks = FirstOfEach({kind: pattern for kind, pattern in REQUESTS.items() if kind not in unheard})
    order(desk, picks, "error", status=status, message=message)
    ends = 0

    def settle(key: RunKey) -> None:
        nonlocal ends
        desk.settle(key)
        while desk.is_refused(key):
            ends += 1
            assert desk.due(key) is None
            assert desk.unpublished.since_before(desk.clock.time() + 10**6) == []
            assert desk.unpublished.publish_refused(desk.installation) == 1
            desk.settle(key)

    tell_story(desk, settle)
    assert set(picks.seen) == set(picks.kinds)
    assert ends >= len(picks.kinds)
    assert caplog.text.count("cannot be published") >= ends


# -- what else may happen in the middle of it


def test_repository_that_is_renamed_is_followed(desk: PublishingDesk) -> None:
    """By GitHub's redirects, with the token at hand and with a new one."""
    first = desk.open_pull()
    desk.settle(first)
    old, desk.repository = desk.repository, desk.repository.replace("demo", "renamed")
    desk.github.rename_repository(old, desk.repository)
    desk.start(first)
    desk.pass_time(2)
    desk.settle(first)
    assert desk.github.check(desk.repository, first.sha, "assay").status == "in_progress"
    desk.github.expire_tokens()
    desk.finish(first, *sixty())
    desk.settle(first)
    assert desk.conclusions(first) == {"assay": "failure", "assay / lint": "failure"}
    assert desk.noted(first) == list(range(1, 61))
    assert len(desk.github.comments(desk.repository, 1)) == 1
    assert len(desk.github.review_comments(desk.repository, 1)) == 2


@pytest.mark.parametrize("expired", [False, True])
def test_repository_that_is_deleted_is_a_stated_end(
    desk: PublishingDesk, caplog: pytest.LogCaptureFixture, *, expired: bool
) -> None:
    key = desk.open_pull()
    desk.settle(key)
    desk.github.delete_repository(desk.repository)
    if expired:
        desk.github.expire_tokens()
    desk.finish(key)
    desk.settle(key)
    assert desk.is_refused(key)
    assert "cannot be published: Gone" in caplog.text
    assert desk.unpublished.since_before(desk.clock.time() + 10**6) == []


def test_commit_that_vanished_is_a_stated_end(desk: PublishingDesk, caplog: pytest.LogCaptureFixture) -> None:
    desk.github.fail(method="POST", path="/check-runs", status=422, message="No commit found for SHA: f", times=100)
    key = desk.open_pull()
    desk.settle(key)
    assert desk.is_refused(key)
    assert "No commit found for SHA" in caplog.text
    assert len(desk.writes()) == 1


def test_outage_is_given_up_after_days(desk: PublishingDesk) -> None:
    desk.github.fail(path="/check-runs", times=100_000)
    key = desk.open_pull()
    desk.publish(key)
    desk.pass_time(GIVE_UP - 10)
    desk.publish(key)
    assert not desk.is_refused(key)
    desk.settle(key)
    assert desk.is_refused(key)
    assert desk.due(key) is None
    assert desk.writes() == []


def test_check_that_takes_anothers_place_is_not_taken_for_it(desk: PublishingDesk) -> None:
    """Both have the same name and attempt. The answer to its creation is lost, and it was not created."""
    key = desk.open_pull()
    desk.finish(key, *sixty()[:3])
    desk.settle(key)
    desk.github.fail("reset", method="POST", path="/check-runs")
    desk.finish(key, *sixty()[10:20])
    desk.settle(key)
    checks = [check for check in desk.github.checks(desk.repository, key.sha) if check.name == "assay / lint"]
    assert [[note["start_line"] for note in check.annotations] for check in checks] == [[1, 2, 3], [*range(11, 21)]]


@pytest.mark.parametrize("elsewhere", [False, True])
def test_that_github_said_to_wait_holds_for_every_run_in_every_process(
    desk: PublishingDesk, *, elsewhere: bool
) -> None:
    first, second = desk.open_pull(), desk.open_pull(branch="another")
    desk.github.fail(method="POST", path="/check-runs", status=429, headers=lambda: {"Retry-After": "300"})
    desk.pass_time(ANNOUNCED_AFTER)
    desk.publish(first)
    if elsewhere:
        # What another process would not know.
        desk.app.holds = Holds(desk.clock.time, desk.budget)
    asked = len(desk.answers)
    desk.pass_time(250)
    desk.publish(second)
    assert len(desk.answers) == asked
    desk.settle(second)
    assert too_early(desk, 300) == []
    assert len(desk.github.checks(desk.repository, second.sha)) == 2
