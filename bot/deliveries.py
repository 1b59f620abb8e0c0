"""Deliveries: webhooks between the request and the job that reads them.

Admission is one Lua script: look the delivery's GUID up in the ledger, check the queue's bound, save the raw body and
push the job, all or nothing. The ledger keeps every GUID for longer than GitHub can send it again (3 days; 7 on an
Enterprise Server), with what became of it.
"""

from __future__ import annotations

import zlib
from enum import StrEnum
from typing import cast

import redis.asyncio
from redis import Redis
from rq.utils import now, utcformat

from bot.domain.model import Frozen
from bot.queues import INTAKE, JobSpec, Queues

LEDGER_TTL = 8 * 86400
_RECENT = 1000

# KEYS: delivery, queue, job, set of queues, recent deliveries.
# ARGV: bound, ttl, event, body, received at, job id, queue key, guid, recent kept, then the job's fields and values.
_ADMIT = """
if redis.call('exists', KEYS[1]) == 1 then return 'seen' end
if redis.call('llen', KEYS[2]) >= tonumber(ARGV[1]) then return 'full' end
redis.call('hset', KEYS[1], 'event', ARGV[3], 'body', ARGV[4], 'received_at', ARGV[5], 'outcome', 'waiting')
redis.call('expire', KEYS[1], ARGV[2])
redis.call('lpush', KEYS[5], ARGV[8])
redis.call('ltrim', KEYS[5], 0, ARGV[9])
redis.call('hset', KEYS[3], unpack(ARGV, 10))
redis.call('sadd', KEYS[4], ARGV[7])
redis.call('rpush', KEYS[2], ARGV[6])
return 'accepted'
"""


class Admission(StrEnum):
    """How a delivery was received."""

    ACCEPTED = "accepted"
    SEEN = "seen"
    FULL = "full"


class Delivery(Frozen):
    """One webhook as it came. `outcome` is `waiting`, `accepted: RUN` or `ignored: REASON`; `body` is empty once it
    has been read."""

    guid: str
    event: str
    body: bytes
    received_at: float
    outcome: str


class Admissions:
    """The receiving side, for the web process."""

    def __init__(self, connection: redis.asyncio.Redis, queues: Queues, limit: int) -> None:
        self._connection = connection
        self._script = connection.register_script(_ADMIT)
        self._queues = queues
        self._limit = limit

    async def admit(self, guid: str, event: str, body: bytes, at: float) -> Admission:
        """Take a verified delivery in, once. Raises redis.exceptions.RedisError when Redis is away."""
        job = self._queues.job(JobSpec.intake(guid))
        queue = self._queues.queue(INTAKE)
        job.enqueued_at = now()
        fields = {key: value for key, value in job.to_dict().items() if value is not None}
        fields |= {"status": "queued", "enqueued_at": utcformat(job.enqueued_at)}
        answer = await self._script(
            keys=[_key(guid), queue.key, job.key, queue.redis_queues_keys, "assay:deliveries"],
            args=[
                self._limit,
                LEDGER_TTL,
                event,
                zlib.compress(body, 1),
                at,
                job.id,
                queue.key,
                guid,
                _RECENT - 1,
                *(part for pair in fields.items() for part in pair),
            ],
        )
        return Admission(answer.decode())

    async def has_room(self) -> bool:
        """Whether the next delivery would be taken."""
        waiting = await self._connection.llen(self._queues.queue(INTAKE).key)
        return int(waiting) < self._limit


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
            body=zlib.decompress(body) if body else b"",
            received_at=float(fields[b"received_at"]),
            outcome=fields[b"outcome"].decode("utf-8", "replace"),
        )

    def settle(self, guid: str, outcome: str) -> None:
        """Record what became of a delivery, and let its body go."""
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.hset(_key(guid), "outcome", outcome[:500])
            pipe.hdel(_key(guid), "body")
            pipe.execute()

    def recent(self, limit: int = 50) -> list[Delivery]:
        """The newest deliveries first, the ledger's memory permitting."""
        guids = cast("list[bytes]", self._redis.lrange("assay:deliveries", 0, limit - 1))
        return [found for guid in guids if (found := self.load(guid.decode())) is not None]


def _key(guid: str) -> str:
    return f"assay:delivery:{guid}"
