"""Awaiting what is told by a call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from bot.batches import Tell

T = TypeVar("T")
R = TypeVar("R")


def told(submit: Callable[[T, Tell[R]], None], item: T) -> asyncio.Future[R]:
    """What comes of submitting an item; fails with what is told as the reason."""
    future: asyncio.Future[R] = asyncio.get_running_loop().create_future()

    def tell(result: R | Exception) -> None:
        if isinstance(result, Exception):
            future.set_exception(result)
        else:
            future.set_result(result)

    submit(item, tell)
    return future
