"""Asking in threads, while people are told now and then that it goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import TypeVar

Question = TypeVar("Question")
Answer = TypeVar("Answer")

# Seconds between two words of progress: each is kept with the run, so they are few.
PAUSE = 10.0


@contextmanager
def threads(number: int) -> Iterator[ThreadPoolExecutor]:
    pool = ThreadPoolExecutor(number)
    try:
        yield pool
    finally:
        # When it is called off, nobody waits for answers that are still to come.
        pool.shutdown(wait=False, cancel_futures=True)


def ask_all(
    pool: ThreadPoolExecutor, ask: Callable[[Question], Answer], questions: Iterable[Question], tell: Callable[[], None]
) -> list[Answer]:
    """The answers, in their order; `tell` is called every `PAUSE` seconds until all are there."""
    under_way = [pool.submit(ask, one) for one in questions]
    while wait(under_way, timeout=PAUSE).not_done:
        tell()
    return [one.result() for one in under_way]


def so_far(tokens: int) -> str:
    """`; 1,234 tokens written so far`; empty for none."""
    return f"; {tokens:,} tokens written so far" if tokens else ""
