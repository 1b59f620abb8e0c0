"""What Assay remembers of what it has written to GitHub, in Redis: of each run and of each pull request."""

from __future__ import annotations

from typing import cast

from pydantic import TypeAdapter
from redis import Redis

from bot.domain.publication import Publication, PullMemory
from bot.domain.run import RunKey
from bot.domain.stored import understood
from bot.packing import pack, unpack

_UNFINISHED = "assay:unfinished"
_PUBLICATION, _PULL = TypeAdapter(Publication), TypeAdapter(PullMemory)


class Records:
    """`retention` is how long each is kept after its last change, in seconds. Raises OtherVersion for what this version
    does not understand."""

    def __init__(self, redis: Redis, retention: int) -> None:
        self._redis = redis
        self._retention = retention

    def publication(self, key: RunKey) -> Publication:
        raw = cast("bytes | None", self._redis.get(_publication(key)))
        return understood(_PUBLICATION, unpack(raw), f"what is published of {key}") if raw else Publication()

    def save_publication(self, key: RunKey, publication: Publication) -> None:
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.set(_publication(key), pack(publication.model_dump_json().encode()), ex=self._retention)
            if publication.finished:
                pipe.zrem(_UNFINISHED, str(key))
            else:
                pipe.zadd(_UNFINISHED, {str(key): publication.written_at})
            pipe.execute()

    def note_refusal(self, key: RunKey, why: str) -> None:
        """Note why GitHub cannot be brought up to date with a run."""
        self.save_publication(key, self.publication(key).model_copy(update={"refusal": why}))

    def unfinished_checks(self, before: float, limit: int = 1000) -> list[RunKey]:
        """Runs with checks that are unfinished on GitHub and were last written before that time."""
        names = cast("list[bytes]", self._redis.zrangebyscore(_UNFINISHED, 0, before, start=0, num=limit))
        return [RunKey.parse(name.decode()) for name in names]

    def forget_checks(self, key: RunKey) -> None:
        """Do not call a run's checks unfinished any more."""
        self._redis.zrem(_UNFINISHED, str(key))

    def pull(self, repository: str, number: int) -> PullMemory:
        raw = cast("bytes | None", self._redis.get(_pull(repository, number)))
        return understood(_PULL, unpack(raw), f"the memory of {repository}#{number}") if raw else PullMemory()

    def save_pull(self, repository: str, number: int, memory: PullMemory) -> None:
        self._redis.set(_pull(repository, number), pack(memory.model_dump_json().encode()), ex=self._retention)


def _publication(key: RunKey) -> str:
    return f"assay:publication:{key}"


def _pull(repository: str, number: int) -> str:
    return f"assay:pull:{repository}#{number}"
