"""The faults, one function each, in any size. Each is played on a stage that is ready, and judged at its end."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from random import Random

from bot.recovery import ALIVE_TTL
from tests.faults.figures import Figures
from tests.faults.outages import Flaky, SmallDisk, again_and_again
from tests.faults.stage import Stage, stage

DAY = 86400.0
_DISK = 16 << 20
# Seconds between two commits, of people in a hurry and of others.
_HURRY, _USUAL = 0.05, 0.3


# -- where


@contextmanager
def one_machine(name: str, seed: int) -> Iterator[Stage]:
    """One machine with everything, another one that helps, and a Redis elsewhere."""
    with stage(name, seed) as at:
        at.system.start("serve", "serve")
        at.system.start("machine-2", "worker", "lint", "command", "--count", "2")
        at.system.send_webhooks_to("serve")
        at.ready()
        yield at


@contextmanager
def one_disk(name: str, seed: int) -> Iterator[Stage]:
    """One machine, whose checkouts are on a small disk of their own."""
    with stage(name, seed) as at, SmallDisk(at.folder / "disk", _DISK) as at.disk, at.system:
        at.system.environment["ASSAY_WORK_DIR"] = str(at.disk.folder / "work")
        at.system.start("serve", "serve")
        at.system.send_webhooks_to("serve")
        at.ready()
        yield at


@contextmanager
def redis_on_one_disk(name: str, seed: int) -> Iterator[Stage]:
    """One machine, whose Redis has a small disk of its own."""
    with stage(name, seed, embedded=True) as at, SmallDisk(at.system.data, _DISK) as at.disk, at.system:
        at.system.environment["ASSAY_WORK_DIR"] = str(at.folder / "work")
        at.system.start("serve", "serve")
        at.system.send_webhooks_to("serve")
        at.ready()
        yield at


@contextmanager
def own_redis(name: str, seed: int) -> Iterator[Stage]:
    """One machine with everything, its Redis too."""
    with stage(name, seed, embedded=True) as at:
        at.system.start("serve", "serve")
        at.system.send_webhooks_to("serve")
        at.ready()
        yield at


@contextmanager
def many_machines(name: str, seed: int) -> Iterator[Stage]:
    """Two that receive, two that read and publish, one that sweeps, two that do the agents' work."""
    with stage(name, seed, seconds=0.5) as at:
        system = at.system
        system.start("web-1", "web")
        system.start("web-2", "web")
        system.start("control-1", "worker", "intake", "publish")
        system.start("control-2", "worker", "intake", "publish")
        system.start("sweep", "sweep")
        system.start("machine-1", "worker", "lint", "command")
        system.start("machine-2", "worker", "lint", "command", "--count", "2")
        system.send_webhooks_to("web-1")
        at.ready()
        yield at


# -- what


def kill_loop(at: Stage, runs: int, interval: float = 0.5) -> Figures:
    """A worker, a supervisor's other child or a work-horse is killed every half second, until all is done and as many
    were killed as there were runs."""
    answered, kills = at.witness.answered() + runs, at.kills() + runs
    with again_and_again(lambda: at.system.kill_one(at.random), interval):
        at.load.add(runs, _HURRY)
        at.system.until("all commits are answered", lambda: at.witness.answered() >= answered, 60 + 3 * runs)
        at.system.until(f"{kills} were killed", lambda: at.kills() >= kills, 60 + 2 * runs * interval)
    return at.conclude()


def crash_points(at: Stage, points: Sequence[str], times: int = 1) -> Figures:
    """Processes die at these points, each so many times."""
    for point in points:
        at.system.arm(point, times)
    if any(point.startswith("sweep") for point in points):
        # A sweep that dies shall have something in its hands.
        at.system.arm("agent-looked")
    give_up = time.monotonic() + 60
    while at.system.armed():
        assert time.monotonic() < give_up, f"nobody came by {at.system.armed()}"
        at.load.add(1, _USUAL)
    return at.conclude()


def machine_dies(at: Stage, runs: int, name: str = "machine-2") -> Figures:
    """One of two machines that do the agents' work is gone at once, with all that it had in hand."""
    _keep_busy(at, name)
    at.system.kill(name)
    at.load.add(runs, _HURRY)
    return at.conclude()


def machines_stand_still(at: Stage, runs: int, *names: str) -> Figures:
    """They stand still for so long that they are taken for dead, and then go on as if nothing had been: whatever they
    still say of their jobs, nobody listens."""
    still = []
    for name in names:
        _keep_busy(at, name)
        still += at.system.suspend(name)
    at.load.add(runs, _HURRY)
    # The others have its jobs by then, and are perhaps still at them.
    time.sleep(ALIVE_TTL + 2 + at.random.uniform(0, 1))
    at.system.resume(still)
    return at.conclude()


def _keep_busy(at: Stage, name: str) -> None:
    """Until one of that machine's workers has begun a job and not ended it."""
    workers = {child.pid for child in at.system.groups[name].children}
    give_up = time.monotonic() + 60
    more = 0.0
    while not at.in_hand(workers):
        assert time.monotonic() < give_up, f"{name} has nothing to do"
        if time.monotonic() >= more:
            at.load.add(1)
            more = time.monotonic() + _USUAL
        time.sleep(0.01)


def rolling_restart(at: Stage, *names: str) -> Figures:
    """These groups of processes, or all, are stopped and started again, one after the other, under load: nothing is
    refused."""
    with again_and_again(lambda: at.load.add(1), _USUAL):
        for name in names or tuple(at.system.groups):
            if name.startswith("web"):
                at.system.send_webhooks_to("web-2" if name == "web-1" else "web-1")
                # What is under way to the one that goes.
                time.sleep(_USUAL)
            at.system.stop(name)
            at.system.again(name)
    at.ready()
    refused = at.load.redeliver()
    return at.conclude().with_violations([f"{refused} webhooks were refused"] if refused else [])


def everything_dies(at: Stage, runs: int) -> Figures:
    """Every process is killed at once, Redis too, and all of them are started again."""
    at.load.add(runs)
    time.sleep(at.random.uniform(0, 1.5))
    names = list(at.system.groups)
    for name in names:
        at.system.kill(name)
    if at.redis is not None:
        at.kill_redis(away=0.0)
    for name in names:
        at.system.again(name)
    at.system.send_webhooks_to(names[0])
    return at.conclude()


def redis_killed(at: Stage, times: int) -> Figures:
    """Redis is killed and comes back, again and again, under load."""
    with again_and_again(lambda: at.load.add(1), _USUAL):
        for _ in range(times):
            time.sleep(at.random.uniform(0.5, 2.0))
            at.kill_redis(away=at.random.uniform(0.1, 1.5))
    at.ready()
    return at.conclude()


def github_fails(at: Stage, runs: int, rate: float = 0.2, *, git: bool = True) -> Figures:
    """A fifth of all requests to GitHub goes wrong, one way or another, while these runs are done."""
    wanted = at.witness.answered() + runs
    usual, flaky = at.github.api.faults, Flaky(Random(f"{at.seed} GitHub"), rate, git=git)
    at.github.api.faults = flaky
    at.load.add(runs, _HURRY)
    at.system.until("half of it is done", lambda: at.witness.answered() >= wanted - runs // 2, 60 + 3 * runs)
    at.github.api.faults = usual
    return at.conclude().with_violations([] if flaky.done else ["nothing went wrong"])


def disk_full(at: Stage, runs: int) -> Figures:
    """There is no room for checkouts: agents end in an error that says so, and work again when there is room."""
    disk = at.disk
    assert disk is not None
    before = at.witness.reasons()
    with again_and_again(disk.fill, 0.02):
        at.load.add(runs, _HURRY)
        at.settle()
    said = at.witness.reasons()[len(before) :]
    disk.clear()
    at.load.add(runs, _HURRY)
    figures = at.conclude()
    wrong = [f"of a full disk an agent says {reason!r}" for reason in said if "space" not in reason]
    if not said:
        wrong = ["the disk was not full"]
    if len(at.witness.reasons()) > len(before) + len(said):
        wrong += [f"there is room again, and agents say {at.witness.reasons()}"]
    return figures.with_violations(wrong)


def redis_disk_full(at: Stage, runs: int) -> Figures:
    """Redis cannot write any more: what it cannot keep is refused, and what was acknowledged is kept."""
    disk = at.disk
    assert disk is not None
    at.load.add(runs, _HURRY)
    with again_and_again(disk.fill, 0.02):
        at.load.add(runs, 1.0)
    disk.clear()
    at.system.send_webhooks_to("serve")
    refused = at.load.redeliver()
    at.load.add(1)
    return at.conclude().with_violations([] if refused else ["the disk was not full"])


def clock_jumps(at: Stage, runs: int, jumps: Sequence[float] = (DAY, 0.0)) -> Figures:
    """All clocks but GitHub's and Redis's are so many seconds ahead, one jump after the other."""
    for ahead in jumps:
        at.load.add(runs, _HURRY)
        at.system.set_clock(ahead)
        at.load.add(1)
        time.sleep(2)
    return at.conclude()
