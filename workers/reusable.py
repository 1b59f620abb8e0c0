"""Where the results are told that may serve again (`reuse.py`), in Redis: nothing is kept twice."""

from __future__ import annotations

import logging
from typing import Protocol, cast

from pydantic import TypeAdapter
from redis import Redis

from bot.domain.events import AgentFinished, Event
from bot.domain.model import Frozen
from bot.domain.run import RunKey
from bot.domain.stored import understood
from bot.errors import OtherVersion

log = logging.getLogger(__name__)


class _Noted(Frozen):
    """Which attempt of an agent told a result."""

    key: RunKey
    agent: str
    attempt: int


_NOTED = TypeAdapter(_Noted)


class Runs(Protocol):
    """Where runs are kept."""

    def log(self, key: RunKey, kind: str = "") -> list[Event]: ...


class Reusable:
    """Results by the digest of what they depend on."""

    def __init__(self, redis: Redis, runs: Runs) -> None:
        self._redis = redis
        self._runs = runs

    def note(self, digest: str, key: RunKey, agent: str, attempt: int, ttl: int) -> None:
        """Note, for `ttl` seconds, which attempt tells the result that a digest stands for."""
        noted = _Noted(key=key, agent=agent, attempt=attempt)
        self._redis.set(_key(digest), noted.model_dump_json(), ex=ttl)

    def find(self, digest: str) -> tuple[RunKey, AgentFinished] | None:
        """The run, and its agent's word, that a digest stands for. None where there is none, or no longer, and where an
        attempt has more than one: then it was not that sure."""
        raw = cast("bytes | None", self._redis.get(_key(digest)))
        try:
            return self._told(understood(_NOTED, raw, "a result that may serve again")) if raw else None
        except OtherVersion as error:
            log.info("%s", error)
            return None

    def _told(self, noted: _Noted) -> tuple[RunKey, AgentFinished] | None:
        found = [
            event
            for event in self._runs.log(noted.key, "AgentFinished")
            if isinstance(event, AgentFinished) and (event.agent, event.attempt) == (noted.agent, noted.attempt)
        ]
        return (noted.key, found[0]) if len(found) == 1 else None


def _key(digest: str) -> str:
    return f"assay:result:{digest}"
