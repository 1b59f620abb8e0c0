"""What agents remember between commits, in Redis. `workers/file_memory.py` is that of `assay check`.

A stranger's code may have had a hand in what an agent saw of a stranger's commit. So what is noted there serves only
commits of the same trust; a stranger's commit is also told what trusted ones left.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import cast

from redis import Redis

from bot.packing import pack, unpack
from workers.agent import LONGEST_NOTE

_OUR_MARK = b"\n"  # so that no text looks like a packed one


class RedisMemory:
    """The memory of one repository. All machines share it."""

    def __init__(self, redis: Redis, repository: str, *, trusted: bool) -> None:
        self._redis = redis
        own, trusting = f"assay:memory:{repository}:stranger:", f"assay:memory:{repository}:trusted:"
        self._writes = trusting if trusted else own
        self._reads = (trusting,) if trusted else (own, trusting)

    def recall(self, keys: Sequence[str]) -> Sequence[str | None]:
        if not keys:
            return []
        names = [prefix + _digest(key) for prefix in self._reads for key in keys]
        kept = cast("list[bytes | None]", self._redis.mget(names))
        found: list[str | None] = [None] * len(keys)
        for index, value in enumerate(kept):
            if value is not None and found[index % len(keys)] is None:
                found[index % len(keys)] = unpack(value).removeprefix(_OUR_MARK).decode()
        return found

    def note(self, texts: Mapping[str, str], seconds: int) -> None:
        short = {key: text for key, text in texts.items() if len(text) <= LONGEST_NOTE}
        if not short:
            return
        with self._redis.pipeline(transaction=False) as pipe:
            for key, text in short.items():
                pipe.set(self._writes + _digest(key), pack(_OUR_MARK + text.encode("utf-8", "replace")), ex=seconds)
            pipe.execute()


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()
