"""A supervised process tree: starts processes, restarts those that die, and drains them on SIGTERM or Ctrl-C.

Children are forked from one process that has loaded everything, so that they share its memory. Each has a session of
its own: Ctrl-C in a terminal reaches only the supervisor, which then asks each child, and never a work-horse, to end.
"""

from __future__ import annotations

import ctypes
import logging
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import wait
from multiprocessing.context import ForkProcess
from types import FrameType

log = logging.getLogger(__name__)

_FORK = multiprocessing.get_context("fork")
_PR_SET_PDEATHSIG = 1
# Seconds: the pause before a dead child is started again doubles from the first to the last; a child that lived for
# `_STEADY` starts from the first again.
_FIRST_PAUSE = 0.5
_LAST_PAUSE = 30.0
_STEADY = 60.0


@dataclass(frozen=True)
class Role:
    """A process to keep running: what people call it, and what it does until SIGTERM."""

    name: str
    main: Callable[[], None]


@dataclass
class _Child:
    role: Role
    process: ForkProcess | None = None
    started: float = 0.0
    pause: float = _FIRST_PAUSE
    due: float = 0.0


class Supervisor:
    """Keeps roles running until `stop` or a signal. `drain` is how long children may take to end, in seconds."""

    def __init__(self, roles: Sequence[Role], *, drain: float = 60.0, tick: Callable[[], None] = lambda: None) -> None:
        self._children = [_Child(role) for role in roles]
        self._drain = drain
        self._tick = tick
        self._stopping = False

    def run(self) -> None:
        """Block until stopped, then drain. `tick` is called about every second in between."""
        previous = {number: signal.signal(number, self._on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            while not self._stopping:
                self._start_due()
                self._tick()
                self._wait(1.0)
                self._collect()
        finally:
            self._drain_all()
            for number, handler in previous.items():
                signal.signal(number, handler)

    def stop(self) -> None:
        self._stopping = True

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        if self._stopping:
            log.warning("still draining: jobs in hand are being finished")
        else:
            log.info("%s: draining", signal.Signals(number).name)
        self._stopping = True

    def _start_due(self) -> None:
        now = time.monotonic()
        for child in self._children:
            if child.process is None and child.due <= now:
                child.process = _FORK.Process(target=_child_main, args=(child.role, os.getpid()), name=child.role.name)
                child.process.start()
                child.started = now

    def _wait(self, seconds: float) -> None:
        sentinels = [child.process.sentinel for child in self._children if child.process is not None]
        wait(sentinels, timeout=seconds)

    def _collect(self) -> None:
        now = time.monotonic()
        for child in self._children:
            if child.process is None or child.process.is_alive():
                continue
            steady = now - child.started >= _STEADY
            child.pause = _FIRST_PAUSE if steady else min(child.pause * 2, _LAST_PAUSE)
            child.due = now + child.pause
            if not self._stopping:
                log.error(
                    "%s died (%s), starting it again in %.1f s", child.role.name, child.process.exitcode, child.pause
                )
            child.process.close()
            child.process = None

    def _drain_all(self) -> None:
        """Ask every child to end and wait; one that does not by the end of `drain` is killed."""
        running = [child.process for child in self._children if child.process is not None]
        for process in running:
            process.terminate()
        deadline = time.monotonic() + self._drain
        for process in running:
            process.join(max(0.0, deadline - time.monotonic()))
            if process.is_alive():
                log.error("%s did not end within %g s and is killed", process.name, self._drain)
                process.kill()
                process.join()


def _child_main(role: Role, parent: int) -> None:
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with_parent(parent)
    role.main()
    sys.stdout.flush()


def die_with_parent(parent: int) -> None:
    """Have the kernel end this process when its parent dies, however that happens (Linux only)."""
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
