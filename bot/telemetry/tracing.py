"""Traces of what one delivery leads to, for operators who collect them. Without them this costs next to nothing.

A trace is named by its delivery: its id, and that of its first span, the webhook's, are made of the GUID. So every job
that knows its delivery belongs to the trace, whoever put it off, sent it again or took it over; nothing else has to be
handed on. OpenTelemetry itself (`otel.py`) is an extra, loaded only when traces are asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

Value = str | int
Attributes = Mapping[str, Value]
# Adds an attribute to a span.
Note = Callable[[str, Value], None]


class Tracer(Protocol):
    """Where spans go."""

    def webhook(self, delivery: str, begun: float, ended: float, attributes: Attributes) -> None:
        """A delivery was taken in; times are seconds since the epoch."""

    def job(self, name: str, delivery: str, attributes: Attributes) -> AbstractContextManager[Note]:
        """While it lasts, a job is done. It belongs to the trace of the delivery, where there is one."""

    def call(self, name: str, attributes: Attributes) -> AbstractContextManager[Note]:
        """While it lasts, somebody outside is asked for something."""

    def close(self) -> None:
        """Send what was not sent yet: the process is about to end. Takes a few seconds where nobody receives it."""


def ignore(_name: str, _value: Value) -> None:
    """The note that nobody takes."""


_NO_NOTES: AbstractContextManager[Note] = nullcontext(ignore)
_tracer: Tracer | None = None


def install(tracer: Tracer | None) -> None:
    """Have this process, and its forks, trace what they do."""
    global _tracer  # noqa: PLW0603 - as with logging: one a process, chosen where the process begins
    _tracer = tracer


def installed() -> Tracer | None:
    """Where spans go, None where nobody asked for any."""
    return _tracer


def job(name: str, delivery: str, attributes: Attributes) -> AbstractContextManager[Note]:
    """See `Tracer.job`."""
    return _tracer.job(name, delivery, attributes) if _tracer else _NO_NOTES


def call(name: str, attributes: Attributes) -> AbstractContextManager[Note]:
    """See `Tracer.call`."""
    return _tracer.call(name, attributes) if _tracer else _NO_NOTES


def close() -> None:
    """See `Tracer.close`."""
    if _tracer:
        _tracer.close()
