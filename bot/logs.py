"""Logs: one line an event on standard error, for people or for machines. Never a secret, never a whole payload."""

from __future__ import annotations

import json
import logging
import time
from typing import Literal

from redis.exceptions import RedisError


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "at": round(record.created, 3),
            "level": record.levelname.lower(),
            "process": record.process,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["error"] = self.formatException(record.exc_info)
        return json.dumps(fields)


class _Outages(logging.Filter):
    """What RQ says of a Redis that is away is said once, by the supervisor: its threads would do so every two seconds
    each, and with a trace."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        return not isinstance(error, RedisError) and "could not connect to Redis instance" not in str(record.msg)


_OUTAGES = _Outages()


def configure(form: Literal["text", "json"]) -> None:
    """Set this process's logging up; forked children inherit it."""
    handler = logging.StreamHandler()
    text = logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%SZ")
    text.converter = time.gmtime
    handler.setFormatter(_Json() if form == "json" else text)
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    # These write whole requests, or a line a job, at INFO.
    for name in ("httpx", "httpcore", "httpx2", "httpcore2", "openai", "githubkit", "rq", "uvicorn"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("rq.worker").addFilter(_OUTAGES)
