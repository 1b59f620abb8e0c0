"""Waiting for work that can be given up at any point.

A thread that waits for a socket cannot be told to stop; a task can, whatever it waits for, and its connections are
closed then. So each question has an event loop of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from threading import Event
from typing import Any, TypeVar

Result = TypeVar("Result")

# Seconds between two looks at whether anybody still waits, and for closing what is given up: together less than an
# agent has to end by itself (`workers/watch.py`), so that it can say what was used.
_LOOK = 0.1
_CLOSING = 0.25


class GivenUp(Exception):
    """The work was not waited for to its end; `stopped`: because it was called off, else because its time was up."""

    def __init__(self, *, stopped: bool) -> None:
        super().__init__("stopped" if stopped else "time is up")
        self.stopped = stopped


def wait_for(work: Coroutine[Any, Any, Result], seconds: float, stop: Event) -> Result:
    """What the work comes to. Raises GivenUp, with the work cancelled, after `seconds` or soon after `stop` is set."""
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(_watched(work, seconds, stop))
    finally:
        # Not `asyncio.run`, which would wait for a resolver that does not answer.
        loop.close()


async def _watched(work: Coroutine[Any, Any, Result], seconds: float, stop: Event) -> Result:
    loop = asyncio.get_running_loop()
    task, until = loop.create_task(work), loop.time() + seconds
    while not stop.is_set() and (left := until - loop.time()) > 0:
        done, _ = await asyncio.wait({task}, timeout=min(left, _LOOK))
        if done:
            return task.result()
    task.cancel()
    await asyncio.wait({task}, timeout=_CLOSING)
    raise GivenUp(stopped=stop.is_set())
