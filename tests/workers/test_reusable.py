"""Results that may serve again, on a real Redis."""

from __future__ import annotations

import pytest
from redis import Redis

from bot.domain.findings import Outcome
from bot.store import Store
from tests.builders import commit_received, finished, result, run_key
from workers.reusable import Reusable

KEY = run_key()


@pytest.fixture
def reusable(store: Store) -> Reusable:
    return Reusable(store.redis, store)


def test_result_is_found_by_what_it_depends_on_for_a_while(store: Store, reusable: Reusable, redis: Redis) -> None:
    store.update(KEY, commit_received("test"))
    reusable.note("digest", KEY, "test", 1, 60)
    assert reusable.find("digest") is None, "the run does not have it yet"
    store.update(KEY, finished("test"))
    assert reusable.find("digest") == (KEY, finished("test"))
    assert reusable.find("other") is None
    assert 0 < redis.ttl("assay:result:digest") <= 60


def test_attempt_that_said_two_things_serves_nobody(store: Store, reusable: Reusable) -> None:
    store.update(KEY, commit_received("test"))
    reusable.note("digest", KEY, "test", 1, 60)
    for word in (finished("test"), finished("test", result(Outcome.ERROR, reason="luck"))):
        store.update(KEY, word)
    assert reusable.find("digest") is None
