"""Recovery: jobs whose worker is gone are given to others, and those that nobody survives are set aside.

A supervisor vouches for its workers (`Vouching`): the sorted set `assay:alive` holds the time by which each is to be
vouched for again, by Redis's own clock. The sweep looks for jobs in hand of workers that nobody vouches for. Every move
is one Lua call, so it may be cut off anywhere and be done by several at once.

A job is tried `queues.TRIES` times, whether its process died or it raised. Then it is a dead letter: RQ's own registry
of failed jobs keeps it, with the history of its tries, and `assay:dead:new` says that nobody has been told yet.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import cast

from redis import Redis
from redis.exceptions import RedisError

from bot.jobs import FAILURE_TTL, QUEUES

log = logging.getLogger(__name__)

# Seconds for which a worker is vouched for, and that a job may be between RQ's list and a worker's hands.
ALIVE_TTL = 6.0
_STUCK = 5.0
# Tries that a dead letter tells of, and characters of what was said of one.
_HISTORY = 20
_WORDS = 2000

_CLOCK = "local time = redis.call('time')\nlocal now = time[1] + time[2] / 1000000\n"

_GIVE_BACK = """
local function note(id, worker, how)
  local tries = 'assay:tries:' .. id
  redis.call('rpush', tries, cjson.encode({at = now, worker = worker, how = how}))
  redis.call('ltrim', tries, -HISTORY, -1)
  redis.call('expire', tries, TTL)
end

local function park(queue, id)
  redis.call('hset', 'rq:job:' .. id, 'status', 'failed', 'ended_at', '')
  redis.call('expire', 'rq:job:' .. id, TTL)
  redis.call('zadd', 'rq:failed:' .. queue, now + TTL, id)
  redis.call('sadd', 'assay:dead:new', queue .. ' ' .. id)
end

-- A job in hand goes to the head of the queue again: it had its turn. `counts`: whether that was one of its tries.
local function give_back(queue, entry, worker, how, counts)
  local id, execution = string.match(entry, '^([^:]+):?(.*)$')
  redis.call('zrem', 'rq:wip:' .. queue, entry)
  redis.call('del', 'rq:execution:' .. entry)
  redis.call('zrem', 'rq:executions:' .. id, execution)
  redis.call('lrem', 'rq:queue:' .. queue .. ':intermediate', 0, id)
  if redis.call('exists', 'rq:job:' .. id) == 0 then return 'gone' end
  if counts then
    note(id, worker, how)
    local left = tonumber(redis.call('hget', 'rq:job:' .. id, 'retries_left') or '0')
    if left < 1 then
      park(queue, id)
      return 'parked'
    end
    redis.call('hset', 'rq:job:' .. id, 'retries_left', left - 1)
  end
  redis.call('hset', 'rq:job:' .. id, 'status', 'queued')
  redis.call('lpush', 'rq:queue:' .. queue, id)
  return 'given back'
end
""".replace("HISTORY", str(_HISTORY)).replace("TTL", str(FAILURE_TTL))

# ARGV: how long one is vouched for, how long a job may be stuck, the queues. Returns what was done, queue and job.
_RECOVER = (
    _CLOCK
    + _GIVE_BACK
    + """
local done = {}
local function did(what, queue, id) done[#done + 1] = what .. ' ' .. queue .. ' ' .. id end

-- After a pause of everybody (Redis was away, or all of Assay) the living get the time to say so. So they do when the
-- clock was set back: nobody can have been vouched for until then.
local from, never = tonumber(redis.call('get', 'assay:recover:from') or '0'), now + ARGV[1] + 1
local set_back = redis.call('zremrangebyscore', 'assay:alive', never, '+inf') > 0 or from > never
if set_back or redis.call('exists', 'assay:swept') == 0 then
  from = now + ARGV[1]
  redis.call('set', 'assay:recover:from', from)
end
redis.call('set', 'assay:swept', '1', 'ex', math.ceil(tonumber(ARGV[1])))
if now < from then return done end
redis.call('zremrangebyscore', 'assay:alive', 0, now)

local stuck = {}
for i = 3, #ARGV do
  local queue = ARGV[i]
  local held = {}
  for _, entry in ipairs(redis.call('zrange', 'rq:wip:' .. queue, 0, -1)) do
    local id = string.match(entry, '^[^:]+')
    local worker = redis.call('hget', 'rq:execution:' .. entry, 'worker_name')
    if worker and redis.call('zscore', 'assay:alive', worker) then
      held[id] = true
    else
      did(give_back(queue, entry, worker or 'unknown', 'its worker died', true), queue, id)
    end
  end
  local between = 'rq:queue:' .. queue .. ':intermediate'
  for _, id in ipairs(redis.call('lrange', between, 0, -1)) do
    if not held[id] then
      local since = math.min(tonumber(redis.call('hget', 'assay:stuck', id) or now), now)
      if now - since >= tonumber(ARGV[2]) or redis.call('exists', 'rq:job:' .. id) == 0 then
        did(give_back(queue, id, '', '', false), queue, id)
      else
        stuck[id] = since
      end
    end
  end
  redis.call('zremrangebyscore', 'rq:failed:' .. queue, 0, now)
  for _, worker in ipairs(redis.call('smembers', 'rq:workers:' .. queue)) do
    if not redis.call('zscore', 'assay:alive', string.match(worker, '^rq:worker:(.*)$')) then
      redis.call('srem', 'rq:workers:' .. queue, worker)
      redis.call('srem', 'rq:workers', worker)
      redis.call('del', worker)
    end
  end
end
redis.call('del', 'assay:stuck')
for id, since in pairs(stuck) do redis.call('hset', 'assay:stuck', id, since) end
return done
"""
)

# ARGV: a worker, the queues. Gives back what it has in hand, which is no fault of the jobs.
_HAND_BACK = (
    _CLOCK
    + _GIVE_BACK
    + """
redis.call('zrem', 'assay:alive', ARGV[1])
for i = 2, #ARGV do
  for _, entry in ipairs(redis.call('zrange', 'rq:wip:' .. ARGV[i], 0, -1)) do
    if redis.call('hget', 'rq:execution:' .. entry, 'worker_name') == ARGV[1] then
      give_back(ARGV[i], entry, ARGV[1], '', false)
    end
  end
end
"""
)

# ARGV: job id, worker, how the try ended, queue, whether it was the last.
_FAILED = (
    _CLOCK
    + _GIVE_BACK
    + """
note(ARGV[1], ARGV[2], ARGV[3])
if ARGV[5] == '1' then redis.call('sadd', 'assay:dead:new', ARGV[4] .. ' ' .. ARGV[1]) end
"""
)

# ARGV: for how long, those that live, '', those that do not live any more.
_VOUCH = (
    _CLOCK
    + """
local living = true
for i = 2, #ARGV do
  if ARGV[i] == '' then living = false
  elseif living then redis.call('zadd', 'assay:alive', now + ARGV[1], ARGV[i])
  else redis.call('zrem', 'assay:alive', ARGV[i]) end
end
"""
)


class Vouching:
    """A supervisor's word for its workers, by their names."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._said: set[str] = set()

    def vouch(self, living: Iterable[str]) -> None:
        """Say who lives, to be repeated well within `ALIVE_TTL`. Of those who lived before and do not, all are told at
        once."""
        names = set(living)
        self._redis.eval(_VOUCH, 0, str(ALIVE_TTL), *names, "", *(self._said - names))
        self._said = names

    def hand_back(self, names: Iterable[str]) -> None:
        """Give back what these workers had in hand: they were ended on purpose."""
        try:
            for name in names:
                self._redis.eval(_HAND_BACK, 0, name, *QUEUES)
        except RedisError as error:
            log.warning("what the workers had in hand cannot be handed back (%s): the sweep will find it", error)


def recover(redis: Redis) -> list[tuple[str, str, str]]:
    """Give to others what dead workers had in hand. What was done (`given back`, `parked` or `gone`), with which queue
    and job."""
    said = cast("list[bytes]", redis.eval(_RECOVER, 0, str(ALIVE_TTL), str(_STUCK), *QUEUES))
    done = [line.decode().rsplit(" ", 2) for line in said]
    for what, queue, job in done:
        log.warning("job %s of the queue %s lost its worker: %s", job, queue, what)
    return [(what, queue, job) for what, queue, job in done]


def note_failure(redis: Redis, job: str, worker: str, how: str, queue: str, *, last: bool) -> None:
    """Remember how a try ended that its worker survived."""
    redis.eval(_FAILED, 0, job, worker, how[-_WORDS:], queue, "1" if last else "0")
