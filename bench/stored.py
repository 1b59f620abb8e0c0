"""Whether Assay slows down, and how much memory Redis takes, as runs pile up."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import cast

from redis import Redis

from bench.measure import Figure, Scale, at_most, interleave, ratio
from bench.pipeline import Assay, assay, sustain

_MANY = 10_000
_FEW = 10
_REPOSITORIES = 40
_BATCH = 500
_RUNS = b"assay:runs"
# What a run leaves behind: keys that name its commit, the ledger of its deliveries, and its results to be used again.
_COMMIT = re.compile(rb"(?<=@)[0-9a-f]{40}")
_NAMELESS = (b"assay:delivery:", b"assay:result:")


class _Past:
    """Ten real runs, and as many copies of them as are wanted."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._runs = cast("list[bytes]", redis.zrange(_RUNS, 0, _FEW - 1))
        commits = {_commit(run) for run in self._runs}
        left = [key for key in self._left() if _commit(key) in commits]
        nameless = [key for key in self._left() if not _commit(key)]
        # The ledger does not say whose they are, but how many there are of each run.
        self._kept = left + nameless[: len(nameless) * _FEW // _REPOSITORIES]
        self.forget()

    def _left(self) -> list[bytes]:
        keys = cast("list[bytes]", list(self._redis.scan_iter(count=1000)))
        return [key for key in keys if _commit(key) or key.startswith(_NAMELESS)]

    def grow(self, runs: int) -> None:
        """Until there are so many runs."""
        dumps = {key: (cast("bytes", self._redis.dump(key)), int(self._redis.pttl(key))) for key in self._kept}
        with self._redis.pipeline(transaction=False) as pipe:
            for number in range(runs // _FEW - 1):
                for key, (value, ttl) in dumps.items():
                    pipe.restore(_copied(key, number), max(0, ttl), value)
                for run in self._runs:
                    pipe.zadd(_RUNS, {_copied(run, number): 1.0})
                if len(pipe) > _BATCH:
                    pipe.execute()
            pipe.execute()

    def forget(self) -> None:
        """All but the ten."""
        others = [*(set(self._left()) - set(self._kept))]
        with self._redis.pipeline(transaction=False) as pipe:
            for begin in range(0, len(others), _BATCH):
                pipe.unlink(*others[begin : begin + _BATCH])
            pipe.delete(_RUNS)
            pipe.zadd(_RUNS, dict.fromkeys(self._runs, 2.0))
            pipe.execute()


def _commit(key: bytes) -> bytes:
    found = _COMMIT.search(key)
    return found[0] if found else b""


def _copied(key: bytes, number: int) -> bytes:
    if key.startswith(_NAMELESS):
        return b"%s-%d" % (key, number)
    return _COMMIT.sub(b"%08x" % number + _commit(key)[8:], key)


def run(scale: Scale) -> Iterator[Figure]:
    """Ten thousand stored runs, with the findings of a linter by each of four agents."""
    with assay(_REPOSITORIES, agent="linter") as (application, repositories):
        past = _Past(application.redis)
        yield _memory(application, past, scale.pick(_MANY, 1000))
        yield _cost(application, repositories, past, scale)


def _memory(application: Assay, past: _Past, runs: int) -> Figure:
    before = _used(application.redis)
    past.grow(runs)
    taken = (_used(application.redis) - before) / 2**20
    past.forget()
    note = f"{taken * 1024 / runs:.1f} kB a run, its deliveries and what was published included"
    return Figure(f"Redis memory of {runs:,} stored runs", taken, "MB", at_most(200), note)


def _used(redis: Redis) -> int:
    return int(cast("dict[str, int]", redis.info("memory"))["used_memory"])


def _cost(application: Assay, repositories: Sequence[str], past: _Past, scale: Scale) -> Figure:
    many = scale.pick(_MANY, 1000)

    def cost(stored: int) -> float:
        past.forget()
        past.grow(stored)
        return sustain(application, repositories, scale.pick(6.0, 3.0)).cpu

    costs = interleave(scale.pick(5, 1), many=lambda: cost(many), few=lambda: cost(_FEW))
    what = f"processor time of a run while {many:,} are stored, against {_FEW}"
    return ratio(what, costs["many"], costs["few"], "ms", at_most(1.1), scale=1000)
