"""A supervised process tree: starts processes, restarts those that die, and drains them on SIGTERM or Ctrl-C.

Children are forked from one process that has loaded everything, so that they share its memory. Each has a session of
its own: Ctrl-C in a terminal reaches only the supervisor, which then asks each child, and never a work-horse, to end.
A second Ctrl-C cuts the draining short: what was in hand is done again by others, or after the next start.
"""

from __future__ import annotations

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
from uuid import uuid4

import psutil

from bot.errors import AssayError
from bot.parent import die_with_parent

log = logging.getLogger(__name__)

_FORK = multiprocessing.get_context("fork")
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
# Seconds: the pause before a dead child is started again doubles from the first to the last; a child that lived for
# `_STEADY` starts from the first again.
_FIRST_PAUSE = 0.5
# Jobs of a queue may wait for this one child.
_LAST_PAUSE = 5.0
_STEADY = 5.0
# A signal that comes within this time of the last is the same one, sent twice (by the terminal and by `make`, say).
_SAME_SIGNAL = 1.0


@dataclass(frozen=True)
class Role:
    """A process to keep running: what people call it, and what it does until SIGTERM. One that is `last` is asked to
    end when the others have, because they may need it to end their work."""

    name: str
    main: Callable[[], None]
    last: bool = False


@dataclass
class _Child:
    role: Role
    process: ForkProcess | None = None
    started: float = 0.0
    pause: float = _FIRST_PAUSE
    due: float = 0.0


def _nothing(_: Sequence[str]) -> None:
    pass


def my_name() -> str:
    """What the supervisor calls this process. No other process, of any machine or time, has the same name."""
    return multiprocessing.current_process().name


class Supervisor:
    """Keeps roles running until `stop` or a signal. `drain` is how long children may take to end, in seconds. In the
    supervisor's process are called: `tick` about every second, as long as there are children, with the names of those
    that live (`my_name`); `stopping` once, before draining; `killed` with the names of those that did not end in time.
    """

    def __init__(
        self,
        roles: Sequence[Role],
        *,
        drain: float = 60.0,
        tick: Callable[[Sequence[str]], None] = _nothing,
        stopping: Callable[[], None] = lambda: None,
        killed: Callable[[Sequence[str]], None] = _nothing,
    ) -> None:
        self._children = [_Child(role) for role in roles]
        self._drain = drain
        self._tick = tick
        self._on_stop = stopping
        self._killed = killed
        self._token = uuid4().hex[:8]
        self._births = 0
        self._stopping = self._hurried = False
        self._signalled = 0.0
        # A signal handler writes into it what a wait shall wake up for.
        self._awake, self._wake = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(self._awake, False)

    def run(self) -> None:
        """Block until stopped, then drain."""
        previous = {number: signal.signal(number, self._on_signal) for number in _SIGNALS}
        try:
            while not self._stopping:
                self._start_due()
                self._tick(self._living())
                self._wait(min(1.0, self._until_due()))
                self._collect()
        finally:
            self._on_stop()
            self._drain_all()
            for number, handler in previous.items():
                signal.signal(number, handler)
            os.close(self._awake)
            os.close(self._wake)

    def stop(self) -> None:
        """Have `run` drain and return. May be called from a signal handler."""
        self._stopping = True
        os.write(self._wake, b".")

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        again = self._stopping and time.monotonic() - self._signalled > _SAME_SIGNAL
        self._signalled = time.monotonic()
        if again:
            self._hurried = True
        elif not self._stopping:
            log.info("%s: draining, jobs in hand are finished; a second one ends them", signal.Signals(number).name)
        self.stop()

    def _start_due(self) -> None:
        now = time.monotonic()
        for child in self._children:
            if child.process is None and child.due <= now:
                self._births += 1
                name = f"{child.role.name}-{self._token}-{self._births}"
                child.process = _FORK.Process(target=_child_main, args=(child.role, os.getpid()), name=name)
                child.started = now
                # A signal must not reach a child that still has our handlers.
                signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
                try:
                    child.process.start()
                finally:
                    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)

    def _living(self) -> list[str]:
        return [child.process.name for child in self._children if child.process is not None]

    def _until_due(self) -> float:
        due = (child.due for child in self._children if child.process is None)
        return max(0.0, min(due, default=float("inf")) - time.monotonic())

    def _wait(self, seconds: float) -> None:
        sentinels = [child.process.sentinel for child in self._children if child.process is not None]
        if self._awake in wait([*sentinels, self._awake], timeout=seconds):
            os.read(self._awake, 4096)

    def _collect(self) -> None:
        now = time.monotonic()
        for child in self._children:
            if child.process is None or child.process.is_alive():
                continue
            if now - child.started >= _STEADY:
                child.pause = _FIRST_PAUSE
            if not self._stopping:
                how = _how_it_ended(child.process.exitcode or 0)
                log.error("%s %s, starting it again in %g s", child.role.name, how, child.pause)
            child.due = now + child.pause
            child.pause = min(child.pause * 2, _LAST_PAUSE)
            child.process.close()
            child.process = None

    def _drain_all(self) -> None:
        """Ask every child to end and wait; those that do not in time are killed, with all below them."""
        self._ask_to_end(last=False)
        asked_all = False
        deadline = time.monotonic() + self._drain
        while not self._hurried and (left := deadline - time.monotonic()) > 0:
            if not any(child.process for child in self._children):
                return
            if not asked_all and not any(child.process for child in self._children if not child.role.last):
                self._ask_to_end(last=True)
                asked_all = True
            self._tick(self._living())
            self._wait(min(1.0, left))
            self._collect()
        late = []
        for child in self._children:
            if child.process is not None and child.process.is_alive():
                log.error("%s is killed: what it had in hand is done again", child.role.name)
                late.append(child.process.name)
                _kill_tree(child.process)
        self._killed(late)

    def _ask_to_end(self, *, last: bool) -> None:
        for child in self._children:
            if child.process is not None and child.role.last == last:
                child.process.terminate()


def _kill_tree(process: ForkProcess) -> None:
    try:
        tree = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        tree = []
    process.kill()
    process.join()
    for one in tree:
        try:
            one.kill()
        except psutil.NoSuchProcess:
            # It went with its parent.
            continue
    psutil.wait_procs(tree, timeout=2)


def _how_it_ended(code: int) -> str:
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def _child_main(role: Role, parent: int) -> None:
    os.setsid()
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    die_with_parent(parent)
    try:
        role.main()
    except AssayError as error:
        log.error("%s: %s", role.name, error)
        sys.exit(1)
    except Exception:
        # Python's own trace would be no line of the log, and would have the secrets in it.
        log.exception("%s: this is a bug in Assay", role.name)
        sys.exit(1)
    sys.stdout.flush()
