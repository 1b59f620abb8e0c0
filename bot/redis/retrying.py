"""Redis commands that fail for a while are tried again, ever more slowly, until their client's patience ends.

redis-py nests its tries: a command that is tried again connects, which is tried again, and asks for health, which is
tried again; a count of tries there means its square or cube. Here only the outermost call waits, by the clock, so that
patience is what its name says.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any, Self, TypeVar

from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, AuthorizationError, OutOfMemoryError, ReadOnlyError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

T = TypeVar("T")

# Seconds.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 1.0
# A master that has become a replica says READONLY; a new connection finds the new master.
_PASSING = (RedisConnectionError, RedisTimeoutError, ReadOnlyError, OSError)
_LASTING = (AuthenticationError, AuthorizationError)
# How a Redis refuses to write until somebody or something has mended it. Of what a script does Redis 6 says so at the
# end of its words.
_REFUSAL = re.compile(r"(?:^|-|: )(?:OOM|MISCONF|NOREPLICAS|READONLY) ")


def refuses_writing(error: BaseException) -> bool:
    """Whether Redis answers, but takes no writes for now: its memory or disk is full, too few replicas follow it, or it
    has become a replica itself. Of such a command, script or transaction nothing was done."""
    if isinstance(error, OutOfMemoryError | ReadOnlyError):
        return True
    return isinstance(error, ResponseError) and bool(_REFUSAL.search(str(error)))


def _passes(error: BaseException) -> bool:
    return isinstance(error, _PASSING) or refuses_writing(error)


class Patience:
    """How long the connections of one client try; shared by all of them."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def pause(self, error: Exception, failures: int, waited: float) -> float | None:
        """Seconds until the next try; None when there is to be none."""
        left = self.seconds - waited
        if left <= 0 or isinstance(error, _LASTING):
            return None
        # Half of it by chance, so that those who lost the same Redis do not come back as one.
        longest = min(_FIRST_PAUSE * 2 ** min(failures, 10), _LONGEST_PAUSE)
        return min(left, random.uniform(longest / 2, longest))  # noqa: S311 (spreads the clients, no secret)


class PatientRetry(Retry):
    def __init__(self, patience: Patience) -> None:
        super().__init__(NoBackoff(), 0, _PASSING)
        self.patience = patience
        self._within = False

    def __deepcopy__(self, _: object) -> Self:
        """redis-py makes one for each connection."""
        return type(self)(self.patience)

    def call_with_retry(
        self,
        do: Callable[[], T],
        fail: Callable[[Exception], Any] | Callable[[Exception, int], Any],
        is_retryable: Callable[[Exception], bool] | None = None,
        with_failure_count: bool = False,
    ) -> T:
        outermost, self._within, began = not self._within, True, time.monotonic()
        try:
            for failures in count(1):
                try:
                    return do()
                except (*_PASSING, ResponseError) as error:
                    if not _passes(error):
                        raise
                    fail(*((error, failures) if with_failure_count else (error,)))
                    pause = self.patience.pause(error, failures, time.monotonic() - began) if outermost else None
                    if pause is None or (is_retryable and not is_retryable(error)):
                        raise
                    time.sleep(pause)
            raise AssertionError("unreachable")
        finally:
            self._within = not outermost


class PatientAsyncRetry(AsyncRetry):
    def __init__(self, patience: Patience) -> None:
        super().__init__(NoBackoff(), 0)
        self.patience = patience
        self._within = False

    def __deepcopy__(self, _: object) -> Self:
        return type(self)(self.patience)

    async def call_with_retry(
        self,
        do: Callable[[], Awaitable[T]],
        fail: Callable[[Exception], Any] | Callable[[Exception, int], Any],
        is_retryable: Callable[[Exception], bool] | None = None,
        with_failure_count: bool = False,
    ) -> T:
        outermost, self._within, began = not self._within, True, time.monotonic()
        try:
            for failures in count(1):
                try:
                    return await do()
                except (*_PASSING, ResponseError) as error:
                    if not _passes(error):
                        raise
                    await fail(*((error, failures) if with_failure_count else (error,)))
                    pause = self.patience.pause(error, failures, time.monotonic() - began) if outermost else None
                    if pause is None or (is_retryable and not is_retryable(error)):
                        raise
                    await asyncio.sleep(pause)
            raise AssertionError("unreachable")
        finally:
            self._within = not outermost
