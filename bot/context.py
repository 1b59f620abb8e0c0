"""What this process has in hand: what its log lines, and the jobs that it sends, are about."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Subject:
    """`run` is `OWNER/NAME@SHA`; `delivery` the GUID of the webhook that led here; `job` the id of the queue's job.
    What is not known is empty, and 0 for the attempt."""

    run: str = ""
    agent: str = ""
    attempt: int = 0
    delivery: str = ""
    job: str = ""

    @property
    def repository(self) -> str:
        return self.run.rpartition("@")[0]

    @property
    def sha(self) -> str:
        return self.run.rpartition("@")[2]


_NOTHING = Subject()
_bound: ContextVar[Subject | None] = ContextVar("subject", default=None)
# A thread begins without the context of the one that started it. A worker does one job at a time, so what its other
# threads say is about that job.
_in_hand = _NOTHING


def current() -> Subject:
    """What this thread, or else this process, is about."""
    return _bound.get() or _in_hand


@contextmanager
def bound(subject: Subject) -> Iterator[None]:
    """While it lasts, what this thread or task does is about that."""
    token = _bound.set(subject)
    try:
        yield
    finally:
        _bound.reset(token)


@contextmanager
def taken_up(subject: Subject) -> Iterator[None]:
    """While it lasts, whatever this process and its forks do is about that."""
    global _in_hand  # noqa: PLW0603 - a process has one job in hand
    _in_hand = subject
    try:
        yield
    finally:
        _in_hand = _NOTHING


def found(run: str) -> None:
    """The job in hand, if there is one, has turned out to be about that run."""
    global _in_hand  # noqa: PLW0603 - as above
    if _in_hand is not _NOTHING:
        _in_hand = replace(_in_hand, run=run)


def delivery() -> str:
    """The delivery that led here; empty where none did."""
    return current().delivery
