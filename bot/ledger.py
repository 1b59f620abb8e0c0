"""What the pull requests of a repository were told, and what people made of it, in Redis.

Kept apart from runs, because it is to outlive them: what somebody dismissed is not raised again months later.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

from redis import Redis
from redis.exceptions import WatchError

from bot.domain.findings import Ignored
from bot.domain.opinions import Told, joined
from bot.errors import Conflict

# As redis-py types what goes into a hash.
_Plain = bytes | bytearray | memoryview | str | int | float
_Fields = dict[_Plain, _Plain]

_KEPT = 400 * 86_400
# Of a repository no more is remembered; the oldest that nobody decided on go first.
_MOST = 5_000
_RACES = 20


class Ledger:
    """The memory of review threads, by repository."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def told(self, repository: str, fingerprints: Sequence[str]) -> dict[str, Told]:
        """What is remembered of these findings."""
        if not fingerprints:
            return {}
        values = cast("list[bytes | None]", self._redis.hmget(_key(repository), list(fingerprints)))
        return {one.fingerprint: one for one in (Told.model_validate_json(value) for value in values if value)}

    def ignore(self, repository: str, ignored: Ignored) -> None:
        """Remember that a finding is not to be held against any change."""
        with self._redis.pipeline() as pipe:
            pipe.hset(_ignored(repository), ignored.fingerprint, ignored.model_dump_json())
            pipe.expire(_ignored(repository), _KEPT)
            pipe.execute()

    def ignored(self, repository: str) -> tuple[Ignored, ...]:
        """All that is not to be."""
        values = cast("dict[bytes, bytes]", self._redis.hgetall(_ignored(repository))).values()
        return tuple(Ignored.model_validate_json(value) for value in values)

    def pushed(self, repository: str, number: int, sha: str, *, by_bot: bool) -> None:
        """Note who pushed a pull request's head: how many heads in a row came from bots is counted."""
        key = f"assay:loop:{repository}#{number}"
        last, rounds = cast("list[bytes | None]", self._redis.hmget(key, ["sha", "rounds"]))
        if last is not None and last.decode() == sha:
            return
        with self._redis.pipeline() as pipe:
            pipe.hset(key, mapping={"sha": sha, "rounds": int(rounds or 0) + 1 if by_bot else 0})
            pipe.expire(key, _KEPT)
            pipe.execute()

    def rounds(self, repository: str, number: int) -> int:
        """How many heads of a pull request in a row came from bots."""
        return int(cast("bytes | None", self._redis.hget(f"assay:loop:{repository}#{number}", "rounds")) or 0)

    def touch(self, repository: str, number: int) -> None:
        """Count that somebody said something in the threads of a pull request."""
        key = f"assay:touched:{repository}#{number}"
        with self._redis.pipeline() as pipe:
            pipe.incr(key)
            pipe.expire(key, _KEPT)
            pipe.execute()

    def news(self, repository: str, number: int) -> int:
        """How often somebody did."""
        return int(cast("bytes | None", self._redis.get(f"assay:touched:{repository}#{number}")) or 0)

    def all(self, repository: str) -> list[Told]:
        """All that is remembered, the oldest first."""
        values = cast("dict[bytes, bytes]", self._redis.hgetall(_key(repository))).values()
        return sorted((Told.model_validate_json(value) for value in values), key=lambda one: one.at)

    def repositories(self) -> list[str]:
        """Those that anything is remembered of."""
        return sorted(
            cast("bytes", key).decode().removeprefix("assay:told:") for key in self._redis.scan_iter("assay:told:*")
        )

    def note(self, repository: str, news: Iterable[Told]) -> None:
        """Remember it, with what was known of the same findings."""
        by_fingerprint = {one.fingerprint: one for one in news}
        if not by_fingerprint:
            return
        key = _key(repository)
        for _ in range(_RACES):
            with self._redis.pipeline() as pipe:
                pipe.watch(key)  # type: ignore[no-untyped-call]  # redis-py has no types here
                known = self.told(repository, list(by_fingerprint))
                after = {name: joined(known.get(name), one) for name, one in by_fingerprint.items()}
                changed: _Fields = {
                    name: one.model_dump_json() for name, one in after.items() if one != known.get(name)
                }
                if not changed:
                    return
                pipe.multi()
                pipe.hset(key, mapping=changed)
                pipe.expire(key, _KEPT)
                try:
                    pipe.execute()
                except WatchError:
                    continue
                self._trim(repository)
                return
        raise Conflict(f"what {repository} was told changed {_RACES} times while it was to be noted")

    def _trim(self, repository: str) -> None:
        if self._redis.hlen(_key(repository)) <= _MOST:
            return
        oldest = sorted(self.all(repository), key=lambda one: (one.silenced, one.at))
        self._redis.hdel(_key(repository), *(one.fingerprint for one in oldest[: len(oldest) - _MOST * 9 // 10]))


def _ignored(repository: str) -> str:
    return f"assay:ignored:{repository}"


def _key(repository: str) -> str:
    return f"assay:told:{repository}"
