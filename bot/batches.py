"""Calls that come while one is under way go out together with the next: one round trip, and one fsync, for many."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Batches(Generic[T, R]):
    """`call` takes items in the order they came, `most` of them at once at most, and returns as many results. It is not
    called again before it has returned. For one event loop."""

    def __init__(self, call: Callable[[Sequence[T]], Awaitable[Sequence[R]]], most: int) -> None:
        self._call = call
        self._most = most
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._task: asyncio.Task[None] | None = None

    def submit(self, item: T) -> asyncio.Future[R]:
        """The result for one item, to come. It fails with what `call` raises, and so does everybody's in that batch."""
        loop = asyncio.get_running_loop()
        result: asyncio.Future[R] = loop.create_future()
        self._waiting.append((item, result))
        if self._task is None:
            # It begins in the loop's next turn, so what else has come in this one goes along.
            self._task = loop.create_task(self._run())
        return result

    async def _run(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
                await self._serve(batch)
        finally:
            self._task = None

    async def _serve(self, batch: list[tuple[T, asyncio.Future[R]]]) -> None:
        try:
            answered = list(zip(batch, await self._call([item for item, _ in batch]), strict=True))
        except Exception as error:  # noqa: BLE001 (it is raised again, to those who wait)
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
        else:
            for (_, future), result in answered:
                if not future.done():
                    future.set_result(result)
