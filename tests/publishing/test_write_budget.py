from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from redis import Redis

from bot.github.pacing import Limit, Paced
from bot.publishing.write_budget import WriteBudget

LIMITS = (Limit(80, 60.0), Limit(500, 3600.0))


class Clock:
    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def take_all(budget: WriteBudget, installation: int = 7) -> int:
    """How many writes may go now."""
    for count in range(1000):
        try:
            budget.take(installation)
        except Paced:
            return count
    raise AssertionError("there is no end")


def test_what_one_process_writes_counts_for_the_others(redis: Redis, clock: Clock) -> None:
    one, other = (WriteBudget(redis, LIMITS, clock) for _ in range(2))
    assert take_all(one) == 20
    with pytest.raises(Paced) as caught:
        other.take(7)
    assert caught.value.retry_after == pytest.approx(1)
    clock.now += 5
    assert take_all(other) == 5


def test_each_installation_has_a_budget_of_its_own(redis: Redis, clock: Clock) -> None:
    budget = WriteBudget(redis, LIMITS, clock)
    take_all(budget, 7)
    assert budget.pause(7) > 0
    assert budget.pause(8) == 0


def test_asking_takes_nothing(redis: Redis, clock: Clock) -> None:
    budget = WriteBudget(redis, LIMITS, clock)
    assert [budget.pause(7, 20) for _ in range(3)] == [0, 0, 0]
    assert budget.pause(7, 1, 0.97) > 0 or take_all(budget) == 20


def test_a_hold_is_everybodys(redis: Redis, clock: Clock) -> None:
    WriteBudget(redis, LIMITS, clock).hold(7, 60)
    budget = WriteBudget(redis, LIMITS, clock)
    assert budget.pause(7) == 60
    assert take_all(budget) == 0
    clock.now += 60
    assert take_all(budget) == 20


def test_what_one_process_saw_last_is_not_taken_for_what_is(redis: Redis, clock: Clock) -> None:
    one, other = (WriteBudget(redis, LIMITS, clock) for _ in range(2))
    assert [one.pause(7), other.pause(7)] == [0, 0]
    assert take_all(one) + take_all(other) == 20
    one.hold(8, 60)
    assert take_all(other, 8) == 0
    redis.delete("assay:writes:8")
    clock.now += 60
    assert take_all(other, 8) == 20


def test_threads_together_take_no_more_than_there_is(redis: Redis, clock: Clock) -> None:
    budget = WriteBudget(redis, LIMITS, clock)
    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(lambda _: take_all(budget), range(4))) == 20


def test_without_limits_only_a_hold_keeps_one_waiting(redis: Redis, clock: Clock) -> None:
    budget = WriteBudget(redis, (), clock)
    for _ in range(100):
        budget.take(7)
    assert redis.keys("assay:writes:*") == []
    WriteBudget(redis, (), clock).hold(7, 30)
    with pytest.raises(Paced):
        budget.take(7)
    assert budget.pause(7) == 30


def test_the_books_are_not_kept_for_ever(redis: Redis, clock: Clock) -> None:
    WriteBudget(redis, LIMITS, clock).take(7)
    assert 3600 < redis.ttl("assay:writes:7") <= 7200
