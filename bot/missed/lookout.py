"""The lookout: looks for what Assay has missed, in small steps and unhurried, beside the sweep.

It has a thread of its own, so that the sweep need not wait for GitHub, and a lock over all machines. It leaves a sign
of life; where that is old, nobody was there, and everything is looked at anew.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from threading import Event
from typing import Protocol

from redis import Redis
from redis.exceptions import RedisError

from bot.errors import AssayError, Unavailable
from bot.github.limits import LONGEST
from bot.locks import lock

log = logging.getLogger(__name__)

# Seconds between two steps while there is something to do (which is also GitHub's advice for writes), and else.
PACE, IDLE = 1.0, 5.0
# A sign of life that is older than this many seconds means that nobody was there.
ABSENT = 60.0
# After a failure that does not say how long it lasts; seconds.
_PAUSE = 60.0
_LOCK_TTL = 120.0

_SIGN = "assay:lookout"


class Part(Protocol):
    """Something to be looked after."""

    def wake(self) -> None:
        """Look at everything again: nobody was there for a while."""

    def step(self, now: float) -> bool:
        """Do one small thing; whether there was any. Raises AssayError."""


class Lookout:
    """`once` takes a step of every part; `run` repeats it until it is told to stop. `clock` gives seconds since the
    epoch."""

    def __init__(self, redis: Redis, parts: Mapping[str, Part], clock: Callable[[], float]) -> None:
        self._redis = redis
        self._parts = parts
        self._clock = clock
        self._held_until = dict.fromkeys(parts, 0.0)

    def run(self, stopping: Event) -> None:
        """Raises nothing: without Redis there is nothing to do, and the sweep beside it says so."""
        pause = 0.0
        while not stopping.wait(pause):
            try:
                pause = self.once()
            except RedisError:
                pause = IDLE

    def once(self) -> float:
        """Take a step; in how many seconds to take the next one. Does nothing while another one is at it."""
        with lock(self._redis, "lookout", _LOCK_TTL) as free:
            if not free:
                return IDLE
            now = self._clock()
            if self._was_absent(now):
                for part in self._parts.values():
                    part.wake()
            busy = [self._step(name, part, now) for name, part in self._parts.items()]
        return PACE if any(busy) else IDLE

    def _was_absent(self, now: float) -> bool:
        last = self._redis.set(_SIGN, repr(now), get=True)
        return last is None or abs(now - float(last)) > ABSENT

    def _step(self, name: str, part: Part, now: float) -> bool:
        # A longer one was noted by a clock that was ahead.
        if 0 < self._held_until[name] - now <= LONGEST:
            return False
        try:
            return part.step(now)
        except Unavailable as error:
            self._hold(name, now, error, error.retry_after or _PAUSE)
        except AssayError as error:
            self._hold(name, now, error, _PAUSE)
        except RedisError:
            raise
        except Exception:
            log.exception("the %s failed, and goes on in %.0f s", name, _PAUSE)
            self._held_until[name] = now + _PAUSE
        return False

    def _hold(self, name: str, now: float, error: AssayError, seconds: float) -> None:
        log.warning("the %s waits %.0f s: %s", name, seconds, error)
        self._held_until[name] = now + seconds
