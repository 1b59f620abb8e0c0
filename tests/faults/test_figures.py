from __future__ import annotations

from dataclasses import replace

from tests.faults.figures import Figures, failed, quantile, table, total

ONE = Figures("kills", 10, 90, 5, (0.5, 1.5, 1.0), 3, 1, 2, 60.0, ())


def test_quantile_is_a_value_that_so_many_do_not_exceed() -> None:
    values = [float(number) for number in range(1, 201)]
    assert quantile(values, 0.99) == 199.0
    assert quantile([3.0], 0.99) == 3.0
    assert quantile([], 0.99) == 0.0


def test_promise_is_kept_without_violations_and_in_time() -> None:
    assert ONE.ok
    assert not ONE.with_violations(["lost"]).ok
    late = replace(ONE, recoveries=(15.1,))
    assert not late.ok
    assert late.without_limit().ok
    assert not failed("kills", 1.0, "it never ended").ok


def test_most_runs_come_to_a_verdict() -> None:
    assert replace(ONE, prevented=5).judged().ok
    assert replace(ONE, prevented=6).judged().violations == ("6 of 10 runs came to no verdict of their own",)


def test_sum_counts_all_and_times_only_what_has_a_limit() -> None:
    other = replace(ONE, name="all dead", recoveries=(40.0,)).without_limit()
    both = total("all", [ONE, other])
    assert (both.runs, both.kills, both.again) == (20, 10, 6)
    assert both.recoveries == ONE.recoveries
    assert both.ok
    assert total("all", [other]).recoveries == (40.0,)


def test_table_has_a_row_for_each_and_for_all() -> None:
    head, _, row, quiet, everything = table([ONE, replace(ONE, name="quiet", recoveries=())]).splitlines()
    assert row == "| kills | 10 | 90 | 5 | 3 | 1.0 | 1.5 | 1.5 | 3 | 1 | 2 | 0 |"
    assert quiet == "| quiet | 10 | 90 | 5 | 0 |  |  |  | 3 | 1 | 2 | 0 |"
    assert everything.startswith("| all | 20 | 180 | 10 | 3 |")
    assert head.count("|") == row.count("|") == quiet.count("|")
