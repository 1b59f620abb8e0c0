"""Deliveries: webhooks between the request and the job that reads them.

Admission is one Lua script for all deliveries that come at about the same time: look each one's GUID up in the ledger,
check the bound of those that wait, save the body and send the job, all or nothing. The ledger keeps every GUID for
longer than GitHub can send it again (3 days; 7 on an Enterprise Server), with what became of it.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from enum import StrEnum
from string import Template
from typing import NamedTuple, cast

import redis.asyncio
from msgspec import msgpack
from redis import Redis
from rq.utils import now, utcformat

from bot.batches import Batches, Tell
from bot.domain.model import Frozen
from bot.jobs import INTAKE, JobSpec
from bot.packing import pack, unpack
from bot.queues import Queues, to_fields
from bot.redis.quick import QuickScript
from bot.turns import LIBRARY

LEDGER_TTL = 8 * 86400
_RECENT = 1000
# Deliveries in one script at most: Redis serves nobody else meanwhile, and 64 take it some 2 ms.
_TOGETHER = 64
# Of RQ's fields those that the script fills in, or that nobody reads.
_OWN_FIELDS = ("created_at", "enqueued_at", "description")

# What all deliveries share stands in the script itself, see `_script`.
# ARGV: time for the jobs' fields; in MessagePack's notation for each delivery a list: guid, event, its body's size,
# received at, installation, repository, and why it is ignored or '', numbers as texts (Lua's are less exact); the
# bodies, one after the other. The answers come in the same order, in one text. redis-py takes microseconds for every
# argument and every answer, and Redis 6's MessagePack knows no bytes.
_ADMIT = """
local QUEUE, RULE, BOUND, TTL, RECENT = $queue, {$rule}, $bound, $ttl, $recent
local PRIORITY, DATA_BEGIN, DATA_END = $priority, $begin, $finish
local fields = {'data', '', 'created_at', ARGV[1], 'enqueued_at', ARGV[1], $fields}

local room, fresh = BOUND - depth(QUEUE), {}

local function admit(guid, event, body, at, installation, repository, ignored)
  local key = 'assay:delivery:' .. guid
  if redis.call('exists', key) == 1 then return 'seen' end
  if ignored ~= '' then
    redis.call('hset', key, 'event', event, 'received_at', at, 'outcome', 'ignored: ' .. ignored)
  else
    if room <= 0 then return 'full' end
    room = room - 1
    redis.call('hset', key, 'event', event, 'body', body, 'received_at', at, 'outcome', 'waiting')
    fields[2] = DATA_BEGIN .. guid .. DATA_END
    line_up(QUEUE, QUEUE .. '_' .. guid, PRIORITY, installation, repository, at, fields)
  end
  redis.call('expire', key, TTL)
  fresh[#fresh + 1] = guid
  return 'accepted'
end

local answers, read = {}, 0
open(QUEUE)
for _, delivery in ipairs(cmsgpack.unpack(ARGV[2])) do
  local last = read + tonumber(delivery[3])
  delivery[3] = string.sub(ARGV[3], read + 1, last)
  answers[#answers + 1], read = admit(unpack(delivery)), last
end
if #fresh > 0 then
  redis.call('lpush', 'assay:deliveries', unpack(fresh))
  redis.call('ltrim', 'assay:deliveries', 0, RECENT)
end
feed_by(QUEUE, RULE)
return table.concat(answers, ' ')
"""


def _script(queues: Queues, bound: int) -> str:
    """The admission script. One job is made, and the script fills in what differs."""
    spec = JobSpec.intake("GUID")
    fields = to_fields(spec)
    begin, finish = zlib.decompress(fields.pop("data")).decode().split("GUID")
    same = [pair for pair in fields.items() if pair[0] not in _OWN_FIELDS]
    queue, *rule = queues.rule(INTAKE)
    literals = {
        "queue": _literals(queue),
        "rule": _literals(*rule),
        "priority": _literals(int(spec.priority)),
        "begin": _literals(begin),
        "finish": _literals(finish),
        "fields": _literals(*(word for pair in same for word in pair)),
    }
    return LIBRARY + Template(_ADMIT).substitute(literals, bound=bound, ttl=LEDGER_TTL, recent=_RECENT - 1)


def _literals(*words: str | int) -> str:
    # JSON's notation of a plain text is Lua's as well.
    return ", ".join(json.dumps(str(word)) for word in words)


class Admission(StrEnum):
    """How a delivery was received."""

    ACCEPTED = "accepted"
    SEEN = "seen"
    FULL = "full"


class Arrival(NamedTuple):
    """A verified webhook; `at` is in seconds since the epoch. Its job waits in the line of installation and repository,
    which are 0 and empty where the payload names none. `ignored` says why it asks for nothing: then it has no job, and
    only the ledger knows of it."""

    guid: str
    event: str
    body: bytes
    at: float
    installation: int
    repository: str
    ignored: str = ""


# What the script is told of it, and its body as it is kept.
_Packed = tuple[tuple[str, ...], bytes]


class Delivery(Frozen):
    """One webhook as it came. `outcome` is `waiting`, `accepted: RUN` or `ignored: REASON`; `body` is empty once it
    has been read."""

    guid: str
    event: str
    body: bytes
    received_at: float
    outcome: str


class Admissions:
    """The receiving side, for the web process. `limit`: how many deliveries may wait."""

    def __init__(self, connection: redis.asyncio.Redis, queues: Queues, limit: int) -> None:
        self._connection = connection
        self._script = QuickScript(connection, _script(queues, limit))
        self._batches = Batches(self._admit, _TOGETHER)
        self._limit = limit

    def admit(self, arrival: Arrival, tell: Tell[Admission]) -> None:
        """Take a verified delivery in, once. When Redis is away, a redis.exceptions.RedisError or OSError is told."""
        guid, event, body, at, installation, repository, ignored = arrival
        # Now, while the processor has it at hand, and Redis need not wait for the others' to be packed.
        kept = b"" if ignored else pack(body)
        words = (guid, event, str(len(kept)), str(at), str(installation), repository, ignored)
        self._batches.submit((words, kept), tell)

    async def _admit(self, batch: Sequence[_Packed]) -> list[Admission]:
        deliveries, bodies = zip(*batch, strict=True)
        answers = await self._script(utcformat(now()), msgpack.encode(deliveries), b"".join(bodies))
        return [Admission(answer) for answer in answers.decode().split(" ")]

    async def has_room(self) -> bool:
        """Whether the next delivery would be taken."""
        waiting = await self._connection.zcard(f"assay:waiting:{INTAKE}")
        ready = await self._connection.llen(f"rq:queue:{INTAKE}")
        return int(waiting) + int(ready) < self._limit


class Deliveries:
    """The reading side, for jobs and the command line."""

    def __init__(self, connection: Redis) -> None:
        self._redis = connection

    def load(self, guid: str) -> Delivery | None:
        fields = cast("dict[bytes, bytes]", self._redis.hgetall(_key(guid)))
        if not fields:
            return None
        body = fields.get(b"body", b"")
        return Delivery(
            guid=guid,
            event=fields[b"event"].decode("utf-8", "replace"),
            body=unpack(body),
            received_at=float(fields[b"received_at"]),
            outcome=fields[b"outcome"].decode("utf-8", "replace"),
        )

    def has(self, guid: str) -> bool:
        """Whether the ledger knows it, whatever became of it."""
        return bool(self._redis.exists(_key(guid)))

    def put(self, guid: str, event: str, body: bytes, at: float) -> bool:
        """Enter one that did not come over the web; whether it is still to be read. Its job is the caller's to send."""
        if (known := self.load(guid)) is not None:
            return known.outcome == "waiting"
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.hset(_key(guid), "body", pack(body))
            pipe.hset(_key(guid), mapping={"event": event, "received_at": at, "outcome": "waiting"})
            pipe.expire(_key(guid), LEDGER_TTL)
            pipe.lpush("assay:deliveries", guid)
            pipe.ltrim("assay:deliveries", 0, _RECENT - 1)
            pipe.execute()
        return True

    def settle(self, guid: str, outcome: str, *, keep_body: bool = False) -> None:
        """Record what became of a delivery, and let its body go, unless it may be read once more."""
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.hset(_key(guid), "outcome", outcome[:500])
            if not keep_body:
                pipe.hdel(_key(guid), "body")
            pipe.execute()

    def recent(self, limit: int = 50) -> list[Delivery]:
        """The newest deliveries first, the ledger's memory permitting."""
        guids = cast("list[bytes]", self._redis.lrange("assay:deliveries", 0, limit - 1))
        return [found for guid in guids if (found := self.load(guid.decode())) is not None]


def _key(guid: str) -> str:
    return f"assay:delivery:{guid}"
