"""Logs: one line an event on standard error, for people or for machines. Never a secret, never a whole payload.

Every line says what it is about, whoever wrote it (`bot.context`): the run with its repository and SHA, the agent and
its attempt, the delivery that led to it, and the job.
"""

from __future__ import annotations

import json
import logging
import re
import threading
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Literal

from redis.exceptions import RedisError

from bot.context import Subject, current

log = logging.getLogger(__name__)

Redact = Callable[[str], str]

# Characters of a message, of a trace and of a name that are kept.
_MESSAGE = 4000
_TRACE = 16_000
_NAME = 200
# What ends a line somewhere, moves the cursor, or turns the direction of writing.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


class _Formatter(logging.Formatter):
    """Knows the parts of a line, with secrets taken out."""

    def __init__(self, redact: Redact) -> None:
        super().__init__(datefmt="%Y-%m-%dT%H:%M:%SZ")
        self.converter = time.gmtime
        self._redact = redact

    def _message(self, record: logging.LogRecord) -> str:
        return _cut(self._redact(record.getMessage()[: 2 * _MESSAGE]), _MESSAGE)

    def _trace(self, record: logging.LogRecord) -> str:
        """Its end, where there is too much: that says what happened."""
        if not record.exc_info:
            return ""
        return self._redact(self.formatException(record.exc_info)[-2 * _TRACE :])[-_TRACE:]


class _Json(_Formatter):
    def format(self, record: logging.LogRecord) -> str:
        subject = current()
        fields = {
            "at": round(record.created, 3),
            "level": record.levelname.lower(),
            "process": record.process,
            "logger": record.name,
            "message": self._message(record),
            "run": _cut(subject.run, _NAME),
            "repository": _cut(subject.repository, _NAME),
            "sha": _cut(subject.sha, _NAME),
            "agent": _cut(subject.agent, _NAME),
            "attempt": subject.attempt,
            "delivery": _cut(subject.delivery, _NAME),
            "job": _cut(subject.job, _NAME),
        }
        if trace := self._trace(record):
            fields["error"] = trace
        return json.dumps(fields)


class _Text(_Formatter):
    def format(self, record: logging.LogRecord) -> str:
        head = f"{self.formatTime(record, self.datefmt)} {record.levelname:<7} {record.name}: "
        first, *more = map(_printable, f"{self._message(record)}\n{self._trace(record)}".splitlines())
        # Indented, so that what a stranger had written into an error cannot pass for a line of its own.
        return head + first + _about(current()) + "".join(f"\n    {line}" for line in more)


@lru_cache(maxsize=16)
def _about(subject: Subject) -> str:
    known = {
        "run": subject.run,
        "agent": subject.agent,
        "attempt": str(subject.attempt or ""),
        "delivery": subject.delivery,
        "job": subject.job,
    }
    words = " ".join(f"{name}={_printable(_cut(value, _NAME))}" for name, value in known.items() if value)
    return f" [{words}]" if words else ""


def _printable(text: str) -> str:
    return _CONTROL.sub(lambda match: ascii(match[0])[1:-1], text)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


class _Outages(logging.Filter):
    """What RQ says of a Redis that is away is said once, by the supervisor: its threads would do so every two seconds
    each, and with a trace."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        return not isinstance(error, RedisError) and "could not connect to Redis instance" not in str(record.msg)


_OUTAGES = _Outages()


def _of_thread(end: threading.ExceptHookArgs) -> None:
    """Says what ended a thread, which Python would write to standard error as it is."""
    error = end.exc_value or end.exc_type()
    log.error("the thread %s was ended by a bug in Assay", end.thread and end.thread.name, exc_info=error)


def configure(form: Literal["text", "json"], redact: Redact) -> None:
    """Set this process's logging up; forked children inherit it. `redact` takes secrets out of what is said."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Json(redact) if form == "json" else _Text(redact))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    threading.excepthook = _of_thread
    # These write whole requests, or a line a job, at INFO.
    for name in ("httpx", "httpcore", "httpx2", "httpcore2", "openai", "githubkit", "rq", "uvicorn"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("rq.worker").addFilter(_OUTAGES)
