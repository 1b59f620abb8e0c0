"""Everything goes wrong, in small: `make soak` does the same for half an hour."""

from __future__ import annotations

import pytest

from tests.faults import scenarios
from tests.faults.figures import RECOVERY_LIMIT, Figures
from tests.faults.outages import may_mount
from tests.faults.points import rounds

SEED = 7
# A busy machine takes its time.
pytestmark = pytest.mark.timeout(300)


def assert_well(figures: Figures) -> None:
    assert figures.violations == (), f"seed {SEED}"


def test_workers_are_killed_all_the_time() -> None:
    with scenarios.one_machine("kill loop", SEED) as at:
        figures = scenarios.kill_loop(at, 12)
    assert_well(figures)
    assert figures.kills >= 12


def test_every_process_is_killed_at_every_crash_point() -> None:
    with scenarios.one_machine("crash points", SEED) as at:
        for points in rounds():
            assert_well(scenarios.crash_points(at, points))


def test_a_machine_dies_and_the_others_are_restarted_one_by_one() -> None:
    with scenarios.many_machines("machines", SEED) as at:
        figures = scenarios.machine_dies(at, 6)
        assert_well(figures)
        assert figures.recoveries
        assert max(figures.recoveries) < RECOVERY_LIMIT
        assert_well(scenarios.rolling_restart(at, "web-1", "control-1", "sweep", "machine-1"))


def test_machines_stand_still_and_are_taken_for_dead() -> None:
    with scenarios.many_machines("standstill", SEED) as at:
        assert_well(scenarios.machines_stand_still(at, 4, "machine-2", "control-1"))


def test_redis_is_killed_and_then_everything() -> None:
    with scenarios.own_redis("Redis", SEED) as at:
        assert_well(scenarios.redis_killed(at, 2))
        assert_well(scenarios.everything_dies(at, 4))


def test_github_fails_and_clocks_jump() -> None:
    with scenarios.one_machine("GitHub and clocks", SEED) as at:
        assert_well(scenarios.github_fails(at, 8, git=False))
        assert_well(scenarios.clock_jumps(at, 2))


@pytest.mark.skipif(not may_mount(), reason="giving a folder a disk of its own takes root")
def test_disk_is_full() -> None:
    with scenarios.one_disk("disk", SEED) as at:
        assert_well(scenarios.disk_full(at, 3))
    with scenarios.redis_on_one_disk("disk of Redis", SEED) as at:
        assert_well(scenarios.redis_disk_full(at, 3))
