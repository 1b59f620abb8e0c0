"""What the models of a run were asked and what they answered, in Redis, beside the run's event log.

Kept apart from the log, because it is large, is read by people only, and may be switched off. The texts are redacted
before they come here: what was sent had to be, too. Bounded by entry and by run.
"""

from __future__ import annotations

from typing import cast

from redis import Redis

from bot.domain.asked import Asked
from bot.domain.run import RunKey
from bot.packing import pack, unpack

# Bytes of one entry and of a run's entries, before they are packed.
_ENTRY = 1_000_000
_RUN = 16_000_000


class Dialogue:
    """The questions of all runs, each kept as long as its run."""

    def __init__(self, redis: Redis, retention: int) -> None:
        self._redis = redis
        self._retention = retention

    def note(self, key: RunKey, asked: Asked) -> bool:
        """Keep a question; whether there was room for it."""
        entry = asked.model_dump_json().encode()
        size = int(cast("bytes | None", self._redis.get(_size(key))) or 0)
        if len(entry) > _ENTRY or size + len(entry) > _RUN:
            return False
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.rpush(_entries(key), pack(entry))
            pipe.incrby(_size(key), len(entry))
            pipe.expire(_entries(key), self._retention)
            pipe.expire(_size(key), self._retention)
            pipe.execute()
        return True

    def of(self, key: RunKey, agent: str = "", attempt: int = 0) -> list[Asked]:
        """The questions of a run, the oldest first; of one agent, and of one attempt, where they are named."""
        kept = cast("list[bytes]", self._redis.lrange(_entries(key), 0, -1))
        every = [Asked.model_validate_json(unpack(entry)) for entry in kept]
        return [one for one in every if agent in ("", one.agent) and attempt in (0, one.attempt)]


def _entries(key: RunKey) -> str:
    return f"assay:asked:{key}"


def _size(key: RunKey) -> str:
    return f"assay:asked:size:{key}"
