"""Whose turn it is: the fair lines in front of RQ's queues.

RQ serves a list first come, first served, so 300 jobs of one repository keep everybody else waiting. Here a job waits
in the line of its repository, and one at a time is moved to RQ's list whenever that is empty: by priority first, then
in turn over the installations, then over an installation's repositories. A tenant that comes new joins behind those
that wait already. A queue may bound how many jobs of one tenant are in hand at once; who has as many is passed over.

Every move is one Lua call, so a process may die anywhere. `feed` asks by level (is RQ's list empty, what is in hand?):
it is called when a job is sent, when one is taken and when one has ended; and by the sweep, in case all those died.

    assay:turn                                       counts turns
    assay:turn:{queue}:{priority}                    zset: installations that wait, by their last turn
    assay:turn:{queue}:{priority}:{installation}     zset: its repositories that wait, by their last turn
    assay:turn:{queue}:{priority}:{installation}:{repository}   zset: its jobs, in the order they came
    assay:waiting:{queue}                            zset: every waiting job of the queue by when it came (s)
    assay:once:{queue}                               hash: of what need not wait twice, the job that waits
    assay:inflight:{queue}                           hash: jobs in RQ's hands to the tenant they count for
"""

from __future__ import annotations

# The functions that other scripts are made of. All keys are computed: Assay does not run on a Redis Cluster.
LIBRARY = """
local PRIORITIES = {'0', '1', '2'}

local function depth(queue)
  return redis.call('zcard', 'assay:waiting:' .. queue) + redis.call('llen', 'rq:queue:' .. queue)
end

-- Makes the queue known to RQ, before the first of its jobs.
local function open(queue) redis.call('sadd', 'rq:queues', 'rq:queue:' .. queue) end

-- `fields`: the RQ job's hash, names and values in turn.
local function line_up(queue, id, priority, installation, repository, at, fields)
  redis.call('hset', 'rq:job:' .. id, unpack(fields))
  local top = 'assay:turn:' .. queue .. ':' .. priority
  local middle = top .. ':' .. installation
  local turn = redis.call('incr', 'assay:turn')
  redis.call('zadd', top, 'nx', turn, installation)
  redis.call('zadd', middle, 'nx', turn, repository)
  redis.call('zadd', middle .. ':' .. repository, turn, id)
  redis.call('zadd', 'assay:waiting:' .. queue, at, id)
end

local function leave_line(queue, id, priority, installation, repository)
  local top = 'assay:turn:' .. queue .. ':' .. priority
  local middle = top .. ':' .. installation
  local line = middle .. ':' .. repository
  if redis.call('zrem', line, id) == 0 then return false end
  redis.call('zrem', 'assay:waiting:' .. queue, id)
  if redis.call('exists', line) == 0 then redis.call('zrem', middle, repository) end
  if redis.call('exists', middle) == 0 then redis.call('zrem', top, installation) end
  return true
end

-- How many jobs of each tenant these queues have in hand, and how many in all.
local function in_hand(queues)
  local count, all = {}, 0
  for _, queue in ipairs(queues) do
    local list, active = 'rq:queue:' .. queue, {}
    for _, id in ipairs(redis.call('lrange', list, 0, -1)) do active[id] = true end
    for _, id in ipairs(redis.call('lrange', list .. ':intermediate', 0, -1)) do active[id] = true end
    for _, entry in ipairs(redis.call('zrange', 'rq:wip:' .. queue, 0, -1)) do
      active[string.match(entry, '^[^:]+')] = true
    end
    local noted = redis.call('hgetall', 'assay:inflight:' .. queue)
    for i = 1, #noted, 2 do
      if active[noted[i]] then
        count[noted[i + 1]] = (count[noted[i + 1]] or 0) + 1
        all = all + 1
      else
        redis.call('hdel', 'assay:inflight:' .. queue, noted[i])
      end
    end
  end
  return count, all
end

local function next_in_line(queue, limit, by, count, all)
  for _, priority in ipairs(PRIORITIES) do
    local top = 'assay:turn:' .. queue .. ':' .. priority
    -- No more tenants can be at their limit than there are jobs in hand.
    for _, installation in ipairs(redis.call('zrange', top, 0, all)) do
      local middle = top .. ':' .. installation
      if by ~= 'installation' or (count[installation] or 0) < limit then
        for _, repository in ipairs(redis.call('zrange', middle, 0, all)) do
          if by ~= 'repository' or (count[repository] or 0) < limit then
            local id = redis.call('zrange', middle .. ':' .. repository, 0, 0)[1]
            return id, priority, installation, repository
          end
        end
      end
    end
  end
end

-- `limit`: jobs in hand per tenant over all of `together`; 0 is no limit. `by`: what a tenant is there.
local function feed(queue, limit, by, together)
  local list = 'rq:queue:' .. queue
  if redis.call('llen', list) > 0 or redis.call('exists', 'assay:waiting:' .. queue) == 0 then return end
  local count, all = {}, 0
  if limit > 0 then count, all = in_hand(together) else by = '' end
  local id, priority, installation, repository = next_in_line(queue, limit, by, count, all)
  if not id then return end
  leave_line(queue, id, priority, installation, repository)
  local turn = redis.call('incr', 'assay:turn')
  local top = 'assay:turn:' .. queue .. ':' .. priority
  redis.call('zadd', top, 'xx', turn, installation)
  redis.call('zadd', top .. ':' .. installation, 'xx', turn, repository)
  local name = string.match(id, '^(.*)_[^_]*$')
  if name then redis.call('hdel', 'assay:once:' .. queue, name) end
  if by == 'installation' then redis.call('hset', 'assay:inflight:' .. queue, id, installation) end
  if by == 'repository' then redis.call('hset', 'assay:inflight:' .. queue, id, repository) end
  redis.call('rpush', list, id)
end

-- `rule`: limit, what a tenant is, and the queues that share the limit, as `Rule.argv` gives them.
local function feed_by(queue, rule)
  local together = {}
  for name in string.gmatch(rule[3], '[^ ]+') do together[#together + 1] = name end
  feed(queue, tonumber(rule[1]), rule[2], together)
end

-- Sends a job; whether it was. `once`: what need not wait twice, or ''. The rest are the names and values of its hash.
local function send(queue, limit, by, together, id, priority, installation, repository, at, once, ...)
  if once ~= '' and redis.call('hsetnx', 'assay:once:' .. queue, once, id) == 0 then return 0 end
  open(queue)
  line_up(queue, id, priority, installation, repository, at, {...})
  feed_by(queue, {limit, by, together})
  return 1
end

-- Takes back a job that no worker has taken up. The rest are the queues where it may be, each with its rule (3).
local function drop(id, installation, repository, ...)
  local places = {...}
  for i = 1, #places, 4 do
    local queue = places[i]
    local found = redis.call('lrem', 'rq:queue:' .. queue, 0, id) > 0
    for _, priority in ipairs(PRIORITIES) do
      found = leave_line(queue, id, priority, installation, repository) or found
    end
    if found then
      redis.call('del', 'rq:job:' .. id)
      feed_by(queue, {places[i + 1], places[i + 2], places[i + 3]})
      return
    end
  end
end
"""

# ARGV: what `send` takes.
ENQUEUE = LIBRARY + "return send(unpack(ARGV))"

# ARGV: for each queue to feed: its name and its rule (3).
FEED = (
    LIBRARY
    + """
for i = 1, #ARGV, 4 do
  feed_by(ARGV[i], {ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]})
  -- Where nothing waits, what has ended is struck off here.
  if redis.call('exists', 'assay:inflight:' .. ARGV[i]) == 1 then in_hand({ARGV[i]}) end
end
"""
)
