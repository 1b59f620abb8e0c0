"""Which commits are, or were, the head of a branch or pull request: the newest, and older ones until they are let go.
A branch or pull request goes by the id of its trigger. What follows from a new head is `bot/intake/succession.py`'s.
"""

from __future__ import annotations

from typing import cast

from redis import Redis

from bot.domain.model import Frozen

# Of two words on one head the newer counts, whichever comes first.
_MOVE = """
local known = redis.call('hget', KEYS[1], ARGV[1])
if not known or known < ARGV[2] then redis.call('hset', KEYS[1], ARGV[1], ARGV[2]) end
redis.call('expire', KEYS[1], ARGV[3])
return redis.call('hgetall', KEYS[1])
"""
_LET_GO = """
if redis.call('hget', KEYS[1], ARGV[1]) == ARGV[2] then return redis.call('hdel', KEYS[1], ARGV[1]) end
return 0
"""
# ARGV: sha, now, window. What it keeps is for one head, so that whoever began on it may do so again.
_BEGIN = """
local sha, at = string.match(redis.call('get', KEYS[1]) or '', '^(%S+) (%S+)$')
if sha == ARGV[1] then return '0' end
local left = at and tonumber(at) + tonumber(ARGV[3]) - tonumber(ARGV[2]) or 0
if left > 0 then return tostring(left) end
redis.call('set', KEYS[1], ARGV[1] .. ' ' .. ARGV[2], 'px', math.ceil(ARGV[3] * 1000))
return '0'
"""


class Head(Frozen):
    """A commit that was the head of a branch or pull request: by that one's `updated_at` and, of words of one second,
    as seen `at`; both in seconds since the epoch."""

    sha: str
    updated_at: float
    at: float

    @property
    def when(self) -> str:
        """For Redis: of two such texts the greater one is newer."""
        return f"{self.updated_at:020.6f} {self.at:020.6f}"


class Heads:
    """`retention` is how long they are kept after the last change, in seconds."""

    def __init__(self, redis: Redis, retention: int) -> None:
        self._redis = redis
        self._retention = retention

    def of(self, repository: str, trigger: str) -> list[Head]:
        """The newest head, and older ones that have not been let go; the newest first."""
        return _to_heads(cast("dict[bytes, bytes]", self._redis.hgetall(_key(repository, trigger))))

    def move(self, repository: str, trigger: str, head: Head) -> list[Head]:
        """Note a head, and return all there are, as `of` does."""
        key, ttl = _key(repository, trigger), str(self._retention)
        flat = cast("list[bytes]", self._redis.eval(_MOVE, 1, key, head.sha, head.when, ttl))
        return _to_heads(dict(zip(flat[::2], flat[1::2], strict=True)))

    def let_go(self, repository: str, trigger: str, head: Head) -> None:
        """Forget a head, unless it has become one again."""
        self._redis.eval(_LET_GO, 1, _key(repository, trigger), head.sha, head.when)

    def begin(self, repository: str, trigger: str, sha: str, window: float, now: float) -> float:
        """Begin on a head, once every `window` seconds: 0, or how long another one still has to wait, in seconds."""
        key = f"assay:begun:{repository}#{trigger}"
        return float(cast("bytes", self._redis.eval(_BEGIN, 1, key, sha, str(now), str(window))))


def _key(repository: str, trigger: str) -> str:
    return f"assay:heads:{repository}#{trigger}"


def _to_heads(whens: dict[bytes, bytes]) -> list[Head]:
    moments = {sha.decode(): when.decode().split() for sha, when in whens.items()}
    heads = (Head(sha=sha, updated_at=float(parts[0]), at=float(parts[1])) for sha, parts in moments.items())
    return sorted(heads, key=lambda head: (head.when, head.sha), reverse=True)
