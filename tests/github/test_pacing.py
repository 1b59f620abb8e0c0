from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.github.pacing import RESERVE, Limit, Spending, held, pause, sound, spend

MINUTE, HOUR = Limit(80, 60.0), Limit(500, 3600.0)
GITHUB = (MINUTE, HOUR)
NOW = 1_800_000_000.0
FRESH = Spending((0.0, 0.0))


def write(times: int, spending: Spending = FRESH, now: float = NOW) -> Spending:
    for _ in range(times):
        assert pause(GITHUB, spending, now) == 0
        spending = spend(GITHUB, spending, now)
    return spending


def test_a_runs_writes_go_at_once_and_what_follows_a_second_apart() -> None:
    spending, now = write(20), NOW
    for _ in range(10):
        wait = pause(GITHUB, spending, now)
        assert wait == pytest.approx(1, abs=1e-3)
        now += wait
        spending = write(1, spending, now)


def test_who_goes_on_all_hour_keeps_to_the_hours_limit() -> None:
    spending, now, written = FRESH, NOW, 0
    while now < NOW + 3600:
        spending, written = spend(GITHUB, spending, now), written + 1
        now += pause(GITHUB, spending, now)
    assert 495 <= written <= 500


@given(st.lists(st.floats(min_value=0, max_value=120), min_size=1, max_size=700), st.sampled_from(GITHUB))
def test_no_minute_and_no_hour_sees_more_than_its_limit(gaps: list[float], limit: Limit) -> None:
    """Whenever somebody wants to write: what `pause` lets go never adds up to more."""
    spending, now, written = FRESH, NOW, list[float]()
    for gap in gaps:
        now += gap
        if pause(GITHUB, spending, now) == 0:
            spending = spend(GITHUB, spending, now)
            written.append(now)
    for first, at in enumerate(written):
        assert sum(at <= other < at + limit.period for other in written[first:]) <= limit.count


@given(st.lists(st.floats(min_value=0, max_value=5), max_size=200), st.integers(min_value=1, max_value=20))
def test_after_the_pause_there_is_room_and_before_it_there_is_not(gaps: list[float], writes: int) -> None:
    spending, now = FRESH, NOW
    for gap in gaps:
        now += gap
        if pause(GITHUB, spending, now) == 0:
            spending = spend(GITHUB, spending, now)
    wait = pause(GITHUB, spending, now, writes)
    assert pause(GITHUB, spending, now + wait + 1e-3, writes) == 0
    if wait > 1e-3:
        assert pause(GITHUB, spending, now + wait - 1e-3, writes) > 0


def test_progress_leaves_half_of_what_may_go_at_once_to_results() -> None:
    spending = write(10)
    assert pause(GITHUB, spending, NOW) == 0
    assert pause(GITHUB, spending, NOW, reserve=RESERVE) == pytest.approx(1)
    assert pause(GITHUB, spending, NOW, 3, reserve=RESERVE) == pytest.approx(3)


def test_more_writes_than_a_bucket_holds_wait_for_the_last_of_them() -> None:
    assert pause(GITHUB, FRESH, NOW, 20) == 0
    full = write(20)
    assert pause(GITHUB, full, NOW, 23) == pytest.approx(23)
    assert pause(GITHUB, full, NOW, 145) == pytest.approx(40 * HOUR.interval)


def test_a_hold_counts_whatever_was_written() -> None:
    spending = held(FRESH, NOW + 90)
    assert pause(GITHUB, spending, NOW) == 90
    assert pause(GITHUB, held(spending, NOW + 10), NOW) == 90
    assert pause(GITHUB, spending, NOW + 90) == 0
    assert pause((), replace(spending, full_at=()), NOW) == 90


def test_no_limit_is_no_pause() -> None:
    assert pause((), Spending(()), NOW) == 0


@given(st.floats(min_value=0, max_value=1e12))
def test_a_clock_that_was_wrong_costs_no_more_than_an_empty_bucket(at: float) -> None:
    mended = sound(GITHUB, Spending((at, at), at), NOW)
    assert pause(GITHUB, replace(mended, held_until=0.0), NOW) <= HOUR.interval + 1e-3
    assert pause(GITHUB, mended, NOW) <= 3600


def test_other_limits_than_before_begin_with_an_empty_bucket() -> None:
    mended = sound(GITHUB, Spending((NOW,)), NOW)
    assert 0 < pause(GITHUB, mended, NOW) <= HOUR.interval + 1e-3


def test_what_is_sound_stays_as_it_is() -> None:
    spending = write(20)
    assert sound(GITHUB, spending, NOW) == spending
