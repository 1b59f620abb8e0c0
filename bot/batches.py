"""Calls that come while one is under way go out together with the next: one round trip, and one fsync, for many."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

log = logging.getLogger(__name__)

Tell = Callable[[R | Exception], object]
"""Told once: the result for one item, or why there is none."""


class Batches(Generic[T, R]):
    """`call` takes items in the order they came, `most` of them at once at most, and returns as many results. It is not
    called again before it has returned. For one event loop."""

    def __init__(self, call: Callable[[Sequence[T]], Awaitable[Sequence[R]]], most: int) -> None:
        self._call = call
        self._most = most
        self._waiting: list[tuple[T, Tell[R]]] = []
        self._task: asyncio.Task[None] | None = None

    def submit(self, item: T, tell: Tell[R]) -> None:
        """Have an item called with others. `tell` is called later, with what `call` raised as well, then everybody's in
        that batch."""
        self._waiting.append((item, tell))
        if self._task is None:
            # It begins in the loop's next turn, so what else has come in this one goes along.
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
                await self._serve(batch)
        finally:
            self._task = None

    async def _serve(self, batch: Sequence[tuple[T, Tell[R]]]) -> None:
        results: Sequence[R | Exception]
        try:
            results = await self._call([item for item, _ in batch])
        except Exception as error:  # noqa: BLE001 (it is told to those who wait)
            results = [error] * len(batch)
        # Before the next call: whoever is told sends the next item meanwhile.
        for (_, tell), result in zip(batch, results, strict=True):
            try:
                tell(result)
            except Exception:
                log.exception("a result could not be told")
