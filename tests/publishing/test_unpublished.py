"""What GitHub does not show yet, on a real Redis."""

from __future__ import annotations

import pytest
from redis import Redis

from bot.jobs import PUBLISH
from bot.publishing.unpublished import Unpublished
from bot.queues import Queues
from bot.store import Store
from tests.builders import commit_received, finished, run_key

KEY = run_key()


@pytest.fixture
def unpublished(store: Store) -> Unpublished:
    return Unpublished(store)


def test_run_stays_unpublished_until_its_latest_version_is_shown(store: Store, unpublished: Unpublished) -> None:
    store.update(KEY, commit_received("test"))
    first = store.load(KEY)
    assert first is not None
    store.update(KEY, finished("test"))
    unpublished.published(KEY, first.version)
    assert unpublished.since_before(2000.0) == [KEY]
    latest = store.load(KEY)
    assert latest is not None
    unpublished.published(KEY, latest.version)
    assert unpublished.since_before(2000.0) == []


def test_change_that_comes_while_a_run_is_noted_as_shown_is_published(
    store: Store, unpublished: Unpublished, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.update(KEY, commit_received("test"))
    shown = store.load(KEY)
    assert shown is not None
    real = store.redis.get

    def changes_meanwhile(name: str) -> object:
        held = real(name)
        if store.log(KEY)[-1].kind != "AgentFinished":
            Store(redis, Queues(redis), 1000).update(KEY, finished("test"))
        return held

    monkeypatch.setattr(store.redis, "get", changes_meanwhile)
    unpublished.published(KEY, shown.version)
    monkeypatch.undo()
    store.update(KEY, finished("test"))
    assert unpublished.load(KEY) == store.load(KEY)


def test_what_github_refused_is_published_again_when_the_installation_changes(
    store: Store, unpublished: Unpublished, redis: Redis
) -> None:
    store.update(KEY, commit_received("test"))
    redis.delete("assay:later")
    stored = store.load(KEY)
    assert stored is not None
    unpublished.refused(stored)
    assert (unpublished.load(KEY), unpublished.since_before(2000.0)) == (None, [])
    assert (unpublished.publish_refused(8), unpublished.publish_refused(7), unpublished.publish_refused(7)) == (0, 1, 0)
    assert unpublished.load(KEY) == stored
    assert Queues(redis).waiting(PUBLISH) == 1
