"""Work that is called off: what is interrupted, and what is not."""

from __future__ import annotations

import signal
import threading
import time

import pytest

import workers.watch
from workers.watch import CalledOff, watched


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers.watch, "_LOOK", 0.05)
    monkeypatch.setattr(workers.watch, "_POLITE", 0.05)


def compute(seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        pass


def wait_and_clear_away(cleared: list[str]) -> None:
    try:
        time.sleep(5)
    finally:
        time.sleep(0.2)
        cleared.append("all of it")


def test_work_that_is_still_wanted_is_left_alone() -> None:
    with watched(lambda: False, "it") as watch, watch.interruptible():
        time.sleep(0.2)
    assert not watch.called_off.is_set()


def test_what_computes_for_ever_is_interrupted() -> None:
    with watched(lambda: True, "it") as watch, pytest.raises(CalledOff), watch.interruptible():
        compute(5)
    assert watch.called_off.is_set()


def test_what_waits_for_another_thread_is_interrupted() -> None:
    with watched(lambda: True, "it") as watch, pytest.raises(CalledOff), watch.interruptible():
        threading.Event().wait(5)


def test_clearing_away_is_not_interrupted_but_what_comes_after_does_not_begin() -> None:
    with watched(lambda: True, "it") as watch:
        time.sleep(0.3)
        with pytest.raises(CalledOff), watch.interruptible():
            raise AssertionError


def test_work_is_interrupted_once_so_that_it_can_clear_away() -> None:
    cleared: list[str] = []
    with watched(lambda: True, "it") as watch, pytest.raises(CalledOff), watch.interruptible():
        wait_and_clear_away(cleared)
    assert cleared == ["all of it"]


def test_work_that_ends_by_itself_is_not_interrupted() -> None:
    with watched(lambda: True, "it") as watch, watch.interruptible():
        assert watch.called_off.wait(2)
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL


def test_nothing_is_left_behind() -> None:
    before = threading.enumerate()
    with pytest.raises(KeyError), watched(lambda: False, "it"):
        raise KeyError
    assert threading.enumerate() == before
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL


def test_look_that_fails_calls_nothing_off() -> None:
    def breaks() -> bool:
        raise ConnectionError("away")

    with watched(breaks, "it") as watch, watch.interruptible():
        time.sleep(0.2)
    assert not watch.called_off.is_set()
