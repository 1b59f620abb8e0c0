"""What RQ keeps of a job in hand, in two Lua calls: one takes a job up, one closes its books.

RQ itself takes some twenty round trips for the same, and may be killed between any two of them. What it writes, and
where, is kept to, so that its own tools, and the versions of Assay before, understand it.
"""

from __future__ import annotations

from typing import Any, cast

from redis import Redis
from rq.executions import Execution
from rq.job import Job
from rq.utils import now, utcformat

from bot.turns import LIBRARY

# Seconds for which RQ keeps its notes on a job in hand: longer than Redis may be away.
_NOTES_TTL = 86400

# ARGV: queue and its rule (3), job id, execution id, worker, how long its entry is kept (s), now in seconds and as a
# text. Returns the job's hash, or nothing where the job is gone or somebody else has it by now. The answer to a first
# try may have been lost.
_TAKE = (
    LIBRARY
    + """
local queue, id, execution, worker = ARGV[1], ARGV[5], ARGV[6], ARGV[7]
local list, entry, now = 'rq:queue:' .. queue, id .. ':' .. execution, tonumber(ARGV[9])
local ours = redis.call('lrem', list .. ':intermediate', 0, id) > 0
  or redis.call('zscore', 'rq:wip:' .. queue, entry)
-- RQ's list is empty now: whoever is idle gets the next one.
feed_by(queue, {ARGV[2], ARGV[3], ARGV[4]})
if not ours or redis.call('exists', 'rq:job:' .. id) == 0 then return false end
redis.call('hset', 'rq:execution:' .. entry, 'id', execution, 'created_at', ARGV[9], 'last_heartbeat', ARGV[9],
  'worker_name', worker)
redis.call('expire', 'rq:execution:' .. entry, TTL)
redis.call('zadd', 'rq:executions:' .. id, now + TTL, execution)
redis.call('expire', 'rq:executions:' .. id, TTL)
redis.call('zadd', 'rq:wip:' .. queue, now + TTL, entry)
redis.call('hset', 'rq:worker:' .. worker, 'state', 'busy', 'current_job', id, 'last_heartbeat', ARGV[10])
redis.call('expire', 'rq:worker:' .. worker, ARGV[8])
redis.call('hset', 'rq:job:' .. id, 'status', 'started', 'started_at', ARGV[10], 'last_heartbeat', ARGV[10],
  'worker_name', worker)
return redis.call('hgetall', 'rq:job:' .. id)
""".replace("TTL", str(_NOTES_TTL))
)

# ARGV: queue, job id, execution id, worker, seconds that the job took, then queues to feed, each with its rule (3).
# Returns whether the job was still this worker's.
_CLOSE = (
    LIBRARY
    + """
local queue, id, execution, worker = unpack(ARGV, 1, 4)
local entry = id .. ':' .. execution
if redis.call('zrem', 'rq:wip:' .. queue, entry) == 0 then return 0 end
redis.call('del', 'rq:execution:' .. entry, 'rq:executions:' .. id, 'rq:job:' .. id)
redis.call('hset', 'rq:worker:' .. worker, 'state', 'idle')
redis.call('hdel', 'rq:worker:' .. worker, 'current_job')
redis.call('hincrby', 'rq:worker:' .. worker, 'successful_job_count', 1)
redis.call('hincrbyfloat', 'rq:worker:' .. worker, 'total_working_time', ARGV[5])
-- It makes room in the lines of its tenant, on whatever queue.
redis.call('hdel', 'assay:inflight:' .. queue, id)
for i = 6, #ARGV, 4 do feed_by(ARGV[i], {ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]}) end
return 1
"""
)


class Books:
    """Of the jobs of one worker. Rules, of how to feed a queue, are as `Queues.rule` has them."""

    def __init__(self, redis: Redis) -> None:
        self._take = redis.register_script(_TAKE)
        self._close = redis.register_script(_CLOSE)

    def take(self, execution: Execution, rule: tuple[str, ...], ttl: int) -> dict[bytes, bytes] | None:
        """Take a job up that RQ has given us, and have the next one put in its place: the hash of the job. None where
        it is gone, or somebody else's. `ttl`: seconds for which the worker's entry is kept."""
        at = execution.created_at
        who = (execution.job_id, execution.id, execution.worker_name, ttl)
        flat = cast("list[bytes] | None", self._take(args=[*rule, *who, at.timestamp(), utcformat(at)]))
        return dict(zip(flat[::2], flat[1::2], strict=True)) if flat else None

    def close(self, execution: Execution, job: Job, rules: list[tuple[str, ...]]) -> bool:
        """A job is done; nothing of it is kept. Whether it was still this worker's. `rules` are those of the queues
        that may have room now."""
        took = (now() - (job.started_at or execution.created_at)).total_seconds()
        words: list[Any] = [word for rule in rules for word in rule]
        who = (job.origin, job.id, execution.id, execution.worker_name)
        return bool(self._close(args=[*who, took, *words]))
