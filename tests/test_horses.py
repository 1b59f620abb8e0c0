"""Work-horses: each order is done once, whoever is killed, and none of them outlives its worker."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from typing import IO

import psutil
import pytest

from bot import horses
from bot.horses import Horses

FORK = multiprocessing.get_context("fork")


def do(order: bytes, said: IO[bytes]) -> bool:
    """What is ordered, in one word. It says in which process it was."""
    said.write(b"%d %s" % (os.getpid(), order[:20]))
    match order:
        case b"group":
            said.write(b" %d" % os.getpgrp())
        case b"die":
            os.kill(os.getpid(), signal.SIGKILL)
        case b"raise":
            raise LookupError("no such thing")
        case b"leave a thread":
            threading.Thread(target=time.sleep, args=(30,)).start()
        case b"leave a process":
            subprocess.Popen(["sleep", "0.1"])
        case b"leave memory":
            assert len(b"\1" * 128_000_000)
        case b"sleep":
            time.sleep(30)
    return order != b"fail"


@pytest.fixture
def kept() -> Iterator[Horses]:
    made = Horses(do, lambda: None)
    yield made
    made.close()


def ordered(kept: Horses, order: bytes) -> tuple[int, int, bytes]:
    """Its process, how that ended, and what it said."""
    pid = kept.send(order)
    return pid, kept.ended(pid), kept.said()


def until(true: Callable[[], object], seconds: float = 10.0) -> None:
    give_up = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < give_up, "it did not come to pass"
        time.sleep(0.01)


def test_one_does_many_orders_and_says_of_each(kept: Horses) -> None:
    orders = [b"a", b"b" * 3_000_000, b"c"]
    done = [ordered(kept, order) for order in orders]
    (pid,) = {pid for pid, _, _ in done}
    assert pid != os.getpid()
    assert done == [(pid, 0, b"%d %s" % (pid, order[:20])) for order in orders]


@pytest.mark.parametrize(
    ("order", "status"),
    [("die", signal.SIGKILL), ("raise", 1 << 8), ("fail", 0), ("leave a thread", 0), ("leave a process", 0)],
)
def test_one_that_is_worse_for_it_makes_room(kept: Horses, order: str, status: int) -> None:
    first, ended, _ = ordered(kept, order.encode())
    assert ended == status
    second, ended, said = ordered(kept, b"x")
    assert (second != first, ended, said) == (True, 0, b"%d x" % second)
    until(lambda: not psutil.pid_exists(first))


def test_one_that_has_done_enough_makes_room(kept: Horses, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(horses, "_ORDERS", 3)
    pids = [ordered(kept, b"x")[0] for _ in range(7)]
    assert [pids.count(pid) for pid in dict.fromkeys(pids)] == [3, 3, 1]


def test_one_that_has_grown_makes_room(kept: Horses, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(horses, "_GROWTH", 50_000_000)
    assert ordered(kept, b"leave memory")[0] != ordered(kept, b"x")[0] == ordered(kept, b"x")[0]


def test_one_that_is_killed_while_it_waits_is_replaced(kept: Horses) -> None:
    first, _, _ = ordered(kept, b"x")
    os.kill(first, signal.SIGKILL)
    until(lambda: not psutil.pid_exists(first))
    second, ended, _ = ordered(kept, b"x")
    assert (second != first, ended) == (True, 0)


def test_order_for_one_that_died_is_no_order_for_the_next(kept: Horses, monkeypatch: pytest.MonkeyPatch) -> None:
    """It died after the worker looked."""
    first, _, _ = ordered(kept, b"x")
    os.kill(first, signal.SIGKILL)
    until(lambda: not psutil.pid_exists(first))
    with monkeypatch.context() as patched:
        patched.setattr(horses, "_has_news", lambda _: False)
        assert kept.send(b"sleep") == first
    assert kept.ended(first) == signal.SIGKILL
    # The next one comes by it meanwhile.
    time.sleep(0.2)
    began = time.monotonic()
    second, ended, said = ordered(kept, b"x")
    assert (ended, said) == (0, b"%d x" % second)
    assert time.monotonic() - began < 10


def test_each_leads_a_group_of_its_own(kept: Horses) -> None:
    """By which what it started is killed with it, and nobody else."""
    pid, _, said = ordered(kept, b"group")
    assert said == b"%d group %d" % (pid, pid)


def test_keeper_that_is_killed_is_replaced_and_takes_its_own_along(kept: Horses) -> None:
    pid = kept.send(b"sleep")
    keeper = psutil.Process(pid).parent()
    assert keeper is not None
    keeper.kill()
    assert kept.ended(pid) == signal.SIGKILL
    until(lambda: not psutil.pid_exists(pid))
    ended, (_, status, _) = pid, ordered(kept, b"x")
    assert status == 0
    assert not psutil.pid_exists(ended)


@pytest.mark.parametrize("order", [b"x", b"sleep"])
def test_nothing_is_left_after_closing(order: bytes) -> None:
    kept, before = Horses(do, lambda: None), psutil.Process().children()
    pid = kept.send(order)
    (keeper,) = set(psutil.Process().children()) - set(before)
    tree = [keeper, *keeper.children()]
    if order == b"x":
        kept.ended(pid)
    began = time.monotonic()
    kept.close()
    assert time.monotonic() - began < 10
    until(lambda: not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in tree))
    assert not keeper.is_running()


def test_nothing_outlives_a_worker_that_is_killed() -> None:
    told = FORK.SimpleQueue()

    def work() -> None:
        kept = Horses(do, lambda: None)
        told.put(kept.send(b"sleep"))
        time.sleep(30)

    worker = FORK.Process(target=work)
    worker.start()
    horse = told.get()
    tree = psutil.Process(worker.pid).children(recursive=True)
    assert horse in {one.pid for one in tree}
    worker.kill()
    worker.join()
    until(lambda: not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in tree))
