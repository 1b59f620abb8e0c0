"""Ends an agent's work within two seconds once nobody waits for it any more, whatever it is at.

Politely first: an event is set, on which the sandbox ends what runs and starts nothing else. What goes on all the same
asks a model, fetches or computes. It is interrupted by an exception in the job's own thread, as RQ does it for a
timeout: by a signal. A key is polled, because a channel of Redis can be deaf for a while after an outage.
"""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

log = logging.getLogger(__name__)

# Seconds between two looks, and for ending politely.
_LOOK = 0.5
_POLITE = 0.5
_SIGNAL = signal.SIGUSR1


class CalledOff(BaseException):
    """Nobody waits for this work any more. No Exception, for those are taken for an agent's failure."""


class Watch:
    """What the work knows of the one who watches it. `called_off` is set as soon as nobody waits any more."""

    def __init__(self) -> None:
        self.called_off = threading.Event()
        self._interruptible = False
        self._interrupted = False

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """What may end with CalledOff at any point. Whatever has to be cleared away afterwards belongs around it."""
        self._interruptible = True
        try:
            self._yield_to_interruption()
            yield
        finally:
            self._interruptible = False

    def on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._interrupted = True
        self._yield_to_interruption()

    def _yield_to_interruption(self) -> None:
        if self._interrupted and self._interruptible:
            # Once: what is cleared away on the way out shall not be interrupted.
            self._interruptible = False
            raise CalledOff


@contextmanager
def watched(stopped: Callable[[], bool], what: str) -> Iterator[Watch]:
    """Ask twice a second whether the work has been `stopped`, and call it off then; `what` names it in the log.

    Only for a process's main thread, where jobs run: signals reach no other.
    """
    watch, done = Watch(), threading.Event()
    thread = threading.Thread(
        target=_look, args=(stopped, what, watch.called_off, done, threading.get_ident()), name=f"watch-{what}"
    )
    previous = signal.signal(_SIGNAL, watch.on_signal)
    thread.start()
    try:
        yield watch
    finally:
        done.set()
        thread.join()
        signal.signal(_SIGNAL, previous)


def _look(
    stopped: Callable[[], bool], what: str, called_off: threading.Event, done: threading.Event, worker: int
) -> None:
    while not done.wait(_LOOK):
        try:
            if stopped():
                break
        except Exception as error:  # noqa: BLE001 - whatever it is, the next look may go better
            log.warning("cannot tell whether %s is still wanted: %s", what, error)
    else:
        return
    called_off.set()
    if not done.wait(_POLITE):
        signal.pthread_kill(worker, _SIGNAL)
