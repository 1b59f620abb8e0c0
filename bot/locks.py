"""Locks over all machines, in Redis. Those of one machine, which the kernel frees, are in `workers/locks.py`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from uuid import uuid4

from redis import Redis

from bot import context

# `lock` on some Redis.
Lock = Callable[[str, float], AbstractContextManager[Callable[[], bool] | None]]

# ARGV: token, its life (ms), what the tokens of the job in hand begin with or ''. It may be ours already, where the
# answer to a first try was lost.
_LOCK = """
local held = redis.call('get', KEYS[1])
if held and held ~= ARGV[1] and (ARGV[3] == '' or string.sub(held, 1, #ARGV[3]) ~= ARGV[3]) then return 0 end
redis.call('set', KEYS[1], ARGV[1], 'px', ARGV[2])
return 1
"""
# A lock is freed and prolonged only for the one who holds it.
_UNLOCK = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0"
# Not before half of its time is over, for what changes nothing need not wait for the disk.
_KEEP = """
if redis.call('get', KEYS[1]) ~= ARGV[1] then return 0 end
if redis.call('pttl', KEYS[1]) < ARGV[2] / 2 then redis.call('pexpire', KEYS[1], ARGV[2]) end
return 1
"""


@contextmanager
def lock(redis: Redis, name: str, ttl: float) -> Iterator[Callable[[], bool] | None]:
    """Hold a lock for `ttl` seconds at a time. Yields what prolongs it by as much and says whether it is still held;
    None where somebody else holds it. A job that is done again, because its worker died, has it at once."""
    job = context.current().job
    key, token, milliseconds = f"assay:lock:{name}", f"{job} {uuid4().hex}", str(int(ttl * 1000))
    if not redis.eval(_LOCK, 1, key, token, milliseconds, f"{job} " if job else ""):
        yield None
        return
    try:
        yield lambda: bool(redis.eval(_KEEP, 1, key, token, milliseconds))
    finally:
        redis.eval(_UNLOCK, 1, key, token)
