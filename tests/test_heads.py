"""Heads on a real Redis."""

from __future__ import annotations

import pytest
from redis import Redis

from bot.heads import Head, Heads


@pytest.fixture
def heads(redis: Redis) -> Heads:
    return Heads(redis, 500)


def head(sha: str, updated_at: float, at: float = 1.0) -> Head:
    return Head(sha=sha, updated_at=updated_at, at=at)


def test_heads_are_ordered_by_when_they_were_true_and_not_by_when_they_were_told(heads: Heads) -> None:
    first, second, third = head("a", 1.0), head("b", 2.0, at=5.0), head("c", 2.0, at=6.0)
    for one in (third, first, second, first):
        told = heads.move("octo/demo", "pull:1", one)
    assert told == heads.of("octo/demo", "pull:1") == [third, second, first]
    assert heads.of("octo/demo", "pull:2") == []


def test_head_that_is_let_go_is_forgotten_unless_it_has_become_one_again(heads: Heads) -> None:
    first, again, second = head("a", 1.0), head("a", 3.0), head("b", 2.0)
    for one in (first, second, again):
        heads.move("octo/demo", "push:main", one)
    heads.let_go("octo/demo", "push:main", first)
    assert heads.of("octo/demo", "push:main") == [again, second]
    heads.let_go("octo/demo", "push:main", second)
    assert heads.of("octo/demo", "push:main") == [again]


def test_head_is_begun_on_once_in_a_while(heads: Heads) -> None:
    def begin(sha: str, now: float, trigger: str = "pull:1") -> float:
        return heads.begin("octo/demo", trigger, sha, 5.0, now)

    assert begin("a", 1000.0) == 0
    assert begin("a", 1001.0) == 0, "whoever began may do so again"
    assert begin("b", 1001.5) == 3.5
    assert begin("b", 1001.5, "pull:2") == 0
    assert begin("c", 1005.0) == 0
    assert begin("b", 1006.0) == 4


def test_heads_are_kept_for_a_while(heads: Heads, redis: Redis) -> None:
    heads.move("octo/demo", "pull:1", head("a", 1.0))
    assert 0 < redis.ttl("assay:heads:octo/demo#pull:1") <= 500
