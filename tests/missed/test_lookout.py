"""The lookout: who wakes whom, and what trouble of one part means for the other."""

from __future__ import annotations

import pytest
from redis import Redis

from bot.errors import Misconfigured, Unavailable
from bot.github.limits import LONGEST
from bot.locks import lock
from bot.missed.lookout import ABSENT, IDLE, PACE, Lookout


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class Part:
    """Has `work` steps to do."""

    def __init__(self, work: int = 0, trouble: Exception | None = None) -> None:
        self.work = work
        self.trouble = trouble
        self.woken = self.steps = 0

    def wake(self) -> None:
        self.woken += 1

    def step(self, now: float) -> bool:
        self.steps += 1
        if self.trouble is not None:
            raise self.trouble
        self.work -= 1
        return self.work >= 0


def test_it_takes_its_time_and_rests_when_there_is_nothing(redis: Redis) -> None:
    lookout = Lookout(redis, {"one": Part(2), "other": Part(1)}, Clock())
    assert [lookout.once() for _ in range(3)] == [PACE, PACE, IDLE]


def test_absence_wakes_everybody(redis: Redis) -> None:
    part, clock = Part(), Clock()
    Lookout(redis, {"part": part}, clock).once()
    assert part.woken == 1
    clock.now += ABSENT - 1
    Lookout(redis, {"part": part}, clock).once()
    assert part.woken == 1
    clock.now += ABSENT + 1
    Lookout(redis, {"part": part}, clock).once()
    assert part.woken == 2


def test_clock_that_is_set_back_wakes_everybody(redis: Redis) -> None:
    part, clock = Part(trouble=Unavailable("away")), Clock()
    lookout = Lookout(redis, {"part": part}, clock)
    lookout.once()
    clock.now -= 2 * LONGEST
    lookout.once()
    assert (part.woken, part.steps) == (2, 2)


@pytest.mark.parametrize(
    ("trouble", "pause"),
    [(Unavailable("away", 900), 900), (Unavailable("away"), 60), (Misconfigured("no key"), 60), (KeyError("bug"), 60)],
)
def test_trouble_holds_up_one_part_only(redis: Redis, trouble: Exception, pause: float) -> None:
    ill, well, clock = Part(9, trouble), Part(9), Clock()
    lookout = Lookout(redis, {"ill": ill, "well": well}, clock)
    for _ in range(2):
        assert lookout.once() == PACE
    assert (ill.steps, well.steps) == (1, 2)
    clock.now += pause
    lookout.once()
    assert ill.steps == 2


def test_another_one_at_work_is_left_alone(redis: Redis) -> None:
    part = Part(1)
    with lock(redis, "lookout", 10):
        assert Lookout(redis, {"part": part}, Clock()).once() == IDLE
    assert part.steps == 0
