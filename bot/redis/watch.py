"""Whether Redis is away: asked again and again, and said once when it goes and once when it is back.

Many processes notice an outage. One of each tree says so (the supervisor, or a process that runs alone); the others
wait quietly.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from redis.exceptions import RedisError, ResponseError

from bot.errors import AssayError
from bot.redis.retrying import refuses_writing

log = logging.getLogger(__name__)

# Seconds.
INTERVAL = 1.0


class Watch:
    """`tells`: whether this process is the one that says it. `on_first` is called once, when Redis first answers."""

    def __init__(self, *, tells: bool = True, on_first: Callable[[], None] | None = None) -> None:
        self.away_since: float | None = None
        self._tells = tells
        self._on_first = on_first

    def look(self, ask: Callable[[], object]) -> bool:
        """Ask Redis something, and say whether it answered. `away_since` is the time (in seconds since the epoch) of
        the first question of a row that it did not answer, None while it does."""
        try:
            ask()
            first, self._on_first = self._on_first, None
            if first is not None:
                first()
        except RedisError as error:
            self._gone(error)
            return False
        self._back()
        return True

    @contextmanager
    def looking(self, ask: Callable[[], object]) -> Iterator[None]:
        """Look every second, in a thread, for as long as this lasts."""
        done = threading.Event()

        def look() -> None:
            while not done.is_set():
                try:
                    self.look(ask)
                except AssayError as error:
                    # Of a Redis that is none for Assay; the process may be of use once it is another.
                    log.error("%s", error)
                done.wait(INTERVAL)

        thread = threading.Thread(target=look, name="watch", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def _gone(self, error: RedisError) -> None:
        if self.away_since is not None:
            return
        self.away_since = time.time()
        # What Redis answers and refuses is no outage that somebody else would tell of.
        if self._tells or (isinstance(error, ResponseError) and not refuses_writing(error)):
            log.error("Redis is away, webhooks are answered with 503 until it is back: %s", error)

    def _back(self) -> None:
        if self.away_since is None:
            return
        seconds, self.away_since = time.time() - self.away_since, None
        if self._tells:
            log.warning("Redis is back after %.0f s", seconds)
