"""The sweep: finds what never finished and sets it going again.

It runs on every machine that has a sweep process, and asks by level: whatever is due now is handled now, however long
nobody looked. A lock spares several of them the same work; nothing goes wrong where two do it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from redis.exceptions import RedisError

from bot.context import Subject, bound
from bot.dead import DeadLetters
from bot.domain.events import DeadlinePassed
from bot.domain.lapses import lapses
from bot.domain.run import RunKey
from bot.errors import OtherVersion
from bot.jobs import JobSpec
from bot.locks import lock
from bot.publishing.unpublished import Unpublished
from bot.recovery import recover
from bot.store import Store
from bot.telemetry.metrics import PARKED, RECOVERIES, Tally

log = logging.getLogger(__name__)

INTERVAL = 1.0
# As long as others wait for a sweep that died.
_LOCK_TTL = 3
# A run that waits longer than this to be published has lost its job.
_PUBLISH_PATIENCE = 60.0
# Seconds that the sweep of a newer Assay gets before this one looks again at what it does not understand.
_OTHERS_PATIENCE = 60.0


class Sweep:
    """One pass is `once`; `run` repeats it until it is told to stop."""

    def __init__(
        self,
        store: Store,
        unpublished: Unpublished,
        dead: DeadLetters,
        clock: Callable[[], float],
        tally: Tally | None = None,
    ) -> None:
        self._store = store
        self._unpublished = unpublished
        self._dead = dead
        self._clock = clock
        self._tally = tally or Tally()

    def once(self) -> None:
        """Handle all that is due. Does nothing while another sweep is at it."""
        with lock(self._store.redis, "sweep", _LOCK_TTL) as free:
            if free:
                for step in (self._send_due, self._recover, self._report, self._end_overdue, self._publish_again):
                    try:
                        step(self._clock())
                    except RedisError:
                        raise
                    except Exception:
                        # One thing that nobody foresaw must not keep all the others waiting.
                        log.exception("the sweep goes on after a fault")
                self._tally.swept(self._clock())
        self._tally.send(self._store.redis)

    def _send_due(self, now: float) -> None:
        self._store.queues.send_due(now)

    def _recover(self, _: float) -> None:
        done = recover(self._store.redis)
        self._tally.count(RECOVERIES, "job", amount=sum(what == "given back" for what, _, _ in done))
        self._store.queues.feed()

    def _report(self, _: float) -> None:
        self._tally.count(PARKED, amount=self._dead.report())

    def _end_overdue(self, now: float) -> None:
        for key in self._store.overdue(now):
            with bound(Subject(run=str(key))):
                try:
                    self._end(key, now)
                except OtherVersion as error:
                    log.warning("%s", error)
                    self._store.put_off_deadline(key, now + _OTHERS_PATIENCE)

    def _end(self, key: RunKey, now: float) -> None:
        before = self._store.load(key)
        after = self._store.update(key, DeadlinePassed(at=now), known=before)
        if before is None or after is None:
            self._store.forget_deadline(key)
            return
        found = lapses(before.run, after)
        for lapse in found:
            log.log(logging.WARNING if lapse.trouble else logging.INFO, "%s: %s", key, lapse.words)
        self._tally.count(RECOVERIES, "deadline", amount=any(lapse.trouble for lapse in found))

    def _publish_again(self, now: float) -> None:
        for key in self._unpublished.since_before(now - _PUBLISH_PATIENCE):
            self._unpublished.postpone(key, now)
            try:
                stored = self._store.load(key)
            except OtherVersion as error:
                log.warning("%s", error)
                continue
            if stored is not None:
                self._store.queues.enqueue(JobSpec.publish(key, stored.run.installation))
                self._tally.count(RECOVERIES, "publication")
            else:
                # It is past its retention.
                self._unpublished.published(key, "")
