"""The sweep: finds what never finished and sets it going again.

It runs on every machine that has a sweep process, under one lock, and asks by level: whatever is due now is handled
now, however long nobody looked.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from bot.domain.events import DeadlinePassed
from bot.queues import JobSpec
from bot.store import Store

log = logging.getLogger(__name__)

INTERVAL = 1.0
_LOCK_TTL = 60
# A run that waits longer than this to be published has lost its job.
_PUBLISH_PATIENCE = 60.0


class Sweep:
    """One pass is `once`; `run` repeats it until it is told to stop."""

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock

    def once(self) -> None:
        """Handle all that is due. Does nothing while another sweep is at it."""
        with self._store.lock("sweep", _LOCK_TTL) as free:
            if free:
                now = self._clock()
                self._store.send_due(now)
                self._end_overdue(now)
                self._publish_again(now)

    def _end_overdue(self, now: float) -> None:
        for key in self._store.overdue(now):
            log.warning("%s: a deadline has passed", key)
            if self._store.update(key, DeadlinePassed(at=now)) is None:
                self._store.forget_deadline(key)

    def _publish_again(self, now: float) -> None:
        for key in self._store.unpublished(now - _PUBLISH_PATIENCE):
            self._store.postpone_publishing(key, now)
            self._store.enqueue(JobSpec.publish(key))
