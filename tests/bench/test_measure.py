"""What benches have in common."""

from __future__ import annotations

import sys

import pytest

from bench.measure import Figure, Scale, at_least, at_most, interleave, own_peak, percentile, ratio, spend, table


def test_rivals_take_turns_and_each_goes_first_as_often() -> None:
    order: list[str] = []

    def rival(name: str) -> float:
        order.append(name)
        return float(len(order))

    measured = interleave(3, ours=lambda: rival("ours"), theirs=lambda: rival("theirs"))
    assert order == ["ours", "theirs", "theirs", "ours", "ours", "theirs"]
    assert measured == {"ours": [1.0, 4.0, 5.0], "theirs": [2.0, 3.0, 6.0]}


def test_ratio_is_the_median_of_the_rounds_ratios() -> None:
    """A machine that is slow for a round is slow for both."""
    figure = ratio("speed", [100, 10, 90], [200, 20, 100], "/s", at_least(0.85))
    assert figure.value == 0.5
    assert figure.missed
    assert figure.note == "90 against 100 /s"


def test_limits_hold_at_their_bound() -> None:
    assert not Figure("x", 3, limit=at_most(3)).missed
    assert Figure("x", 3.01, limit=at_most(3)).missed
    assert not Figure("x", 0.85, limit=at_least(0.85)).missed
    assert not Figure("x", 10**9).missed


def test_table_is_markdown_with_what_is_missed() -> None:
    lines = table([Figure("memory", 312.4, "MB", at_most(300), "12 processes"), Figure("ratio", 0.12345)]).splitlines()
    assert lines[2:] == ["| memory | 312 MB | ≤ 300 MB **missed** | 12 processes |", "| ratio | 0.123 |  |  |"]


@pytest.mark.parametrize(("share", "value"), [(0.0, 1), (0.5, 3), (0.99, 4), (1.0, 4)])
def test_percentile(share: float, value: float) -> None:
    assert percentile([4, 3, 2, 1], share) == value


def test_quick_is_smaller() -> None:
    assert Scale(quick=True).rounds < Scale().rounds
    assert Scale(quick=True).pick(100, 1) == 1


def test_what_a_program_takes() -> None:
    spent = spend([sys.executable, "-c", "print(sum(range(10**6)), end='')"])
    assert spent.output == "499999500000"
    assert spent.cpu > 0


def test_a_peak_is_the_process_s_own() -> None:
    """Not that of a large one that started it."""
    large = b"x" * 200_000_000
    told = spend([sys.executable, "-c", "from bench.measure import own_peak; print(own_peak())"]).output
    assert 5 < float(told) < 150
    assert own_peak() > len(large) / 2**20
