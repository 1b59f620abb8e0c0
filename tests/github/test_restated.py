"""Webhooks that never came, as intake reads them."""

from __future__ import annotations

from bot.github import payloads
from bot.github.contents import PullSeen, PushSeen
from bot.github.installations import InstalledRepository
from bot.github.received import PullReceived, PushReceived
from bot.github.restated import restate

REPOSITORY = InstalledRepository(id=5, full_name="octo/spoon", default_branch="main", pushed_at=0, asleep=False)
PULL = PullSeen(
    number=3,
    title="Ignored: @everybody",
    body="",
    author="alice",
    state="open",
    draft=True,
    merged=False,
    base_ref="main",
    base_sha="b" * 40,
    head_ref="feature",
    head_sha="a" * 40,
    head_repository="octo/spoon",
    fork=False,
    updated_at=1_800_000_000.0,
)
PUSH = PushSeen(branch="main", before="b" * 40, head_sha="a" * 40, forced=True, actor="alice", updated_at=0.0)


def read(change: PullSeen | PushSeen) -> object:
    told = restate(7, REPOSITORY, change)
    return payloads.parse(told.event, told.body, app_id=1, bot_login="assay[bot]")


def test_pull_request_is_read_as_github_would_have_told_it() -> None:
    received = read(PULL)
    assert isinstance(received, PullReceived)
    assert (received.installation, received.repository, received.default_branch) == (7, "octo/spoon", "main")
    assert (received.number, received.head_sha, received.draft, received.closed) == (3, "a" * 40, True, False)
    assert received.updated_at == 1_800_000_000.0


def test_closed_pull_request_is_read_as_closed() -> None:
    received = read(PULL.model_copy(update={"state": "closed"}))
    assert isinstance(received, PullReceived)
    assert (received.action, received.closed) == ("closed", True)


def test_push_is_read_as_github_would_have_told_it() -> None:
    received = read(PUSH)
    assert isinstance(received, PushReceived)
    assert (received.branch, received.before, received.after) == ("main", "b" * 40, "a" * 40)
    assert (received.forced, received.created, received.sender) == (True, False, "alice")


def test_first_push_of_a_branch_has_nothing_before_it() -> None:
    received = read(PUSH.model_copy(update={"before": "0" * 40}))
    assert isinstance(received, PushReceived)
    assert (received.before, received.created) == (None, True)


def test_same_news_is_known_again_and_other_news_is_not() -> None:
    first = restate(7, REPOSITORY, PULL)
    assert restate(7, REPOSITORY, PULL).guid == first.guid
    later = PULL.model_copy(update={"updated_at": PULL.updated_at + 1})
    assert restate(7, REPOSITORY, later).guid != first.guid
