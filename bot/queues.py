"""Queues: how work gets from one process to another. RQ is the engine, JSON the only serialisation.

A queue is served by workers of its own: a worker that listens on two can lose a job between them. A job waits in its
repository's line (`turns.py`) before RQ gets it.
"""

from __future__ import annotations

import json
import logging
import zlib
from dataclasses import dataclass
from typing import Any, cast

from pydantic import TypeAdapter
from redis import Redis
from rq import Queue
from rq.job import JobStatus
from rq.serializers import JSONSerializer
from rq.utils import now, utcformat

from bot.domain.run import Run
from bot.domain.stored import understood
from bot.errors import OtherVersion
from bot.jobs import AGENT_QUEUES, FAILURE_TTL, INTAKE, PUBLISH, QUEUES, TRIES, AllowedJob, JobSpec
from bot.turns import ENQUEUE, FEED, LIBRARY

log = logging.getLogger(__name__)

# Jobs that were put off, by when they are due.
LATER = "assay:later"
# Seconds, more than anything is put off for: an hour for GitHub, 6 for a repository's next head (`triggers.debounce`).
_LONGEST_WAIT = 7 * 3600

# ARGV: where it was put off, what was put off, what `send` takes.
_ENQUEUE_DUE = (
    LIBRARY
    + """
if redis.call('zrem', ARGV[1], ARGV[2]) == 0 then return 0 end
send(unpack(ARGV, 3))
return 1
"""
)

_SPEC = TypeAdapter(JobSpec)


@dataclass(frozen=True)
class Rule:
    """How many jobs of one tenant may be in hand at once, over all of `together`; 0 is no limit."""

    limit: int = 0
    by: str = ""
    together: tuple[str, ...] = ()

    @property
    def argv(self) -> tuple[str, str, str]:
        return str(self.limit), self.by, " ".join(self.together)


class Queues:
    """The sending side. `repository_limit`: agents' jobs of one repository that may run at once, 0 for any number."""

    def __init__(self, redis: Redis, repository_limit: int = 0) -> None:
        self._redis = redis
        self._enqueue = redis.register_script(ENQUEUE)
        self._enqueue_due = redis.register_script(_ENQUEUE_DUE)
        self._feed = redis.register_script(FEED)
        agents = Rule(repository_limit, "repository", AGENT_QUEUES)
        # GitHub wants one writer at a time for each installation.
        self._rules = {INTAKE: Rule(), PUBLISH: Rule(1, "installation", (PUBLISH,))} | dict.fromkeys(
            AGENT_QUEUES, agents
        )

    def queue(self, name: str) -> Queue:
        """RQ's own queue: what is about to be taken up."""
        return Queue(name, connection=self._redis, job_class=AllowedJob, serializer=JSONSerializer)

    def rule(self, name: str) -> tuple[str, ...]:
        """What the scripts of `turns` need to know to feed that queue."""
        return name, *self._rules[name].argv

    def to_send(self, spec: JobSpec) -> list[Any]:
        """What the `send` of the scripts takes to send a job."""
        job_id = spec.id
        place = (job_id, int(spec.priority), spec.installation, spec.repository)
        fields = (part for pair in to_fields(spec).items() for part in pair)
        return [*self.rule(spec.queue), *place, now().timestamp(), spec.once, *fields]

    def to_drop(self, job_id: str, run: Run) -> list[Any]:
        """What the `drop` of the scripts takes to take back an agent's job of this run."""
        places = (word for name in AGENT_QUEUES for word in self.rule(name))
        return [job_id, run.installation, run.key.repository, *places]

    def enqueue(self, spec: JobSpec) -> None:
        """Send a job."""
        self._enqueue(args=self.to_send(spec))

    def put_off(self, spec: JobSpec, at: float) -> None:
        """Send a job at a time, in seconds since the epoch. The sweep does it."""
        self._redis.zadd(LATER, {spec.model_dump_json(): at})

    def to_put_off(self, spec: JobSpec, at: float) -> list[Any]:
        """What ZADD takes for the same."""
        return [LATER, at, spec.model_dump_json()]

    def send_due(self, now: float, limit: int = 100) -> int:
        """Send the jobs whose time has come; how many. One that would have to wait for longer than anything is put off
        for was put off by a clock that was ahead."""
        due = cast("list[bytes]", self._redis.zrangebyscore(LATER, 0, now, start=0, num=limit))
        due += cast("list[bytes]", self._redis.zrangebyscore(LATER, now + _LONGEST_WAIT, "+inf", start=0, num=limit))
        return sum(self._send_due(member) for member in due)

    def _send_due(self, member: bytes) -> bool:
        """Whether it was sent: somebody may have been faster."""
        try:
            spec = understood(_SPEC, member, "a job that was put off")
        except OtherVersion as error:
            # It waits for the newer version's sweep.
            log.debug("%s", error)
            return False
        return bool(self._enqueue_due(args=[LATER, member, *self.to_send(spec)]))

    def feed(self, *names: str) -> None:
        """Give RQ what is next in line, of these queues or of all."""
        self._feed(args=[word for name in names or QUEUES for word in self.rule(name)])

    def waiting(self, name: str) -> int:
        """How many jobs of a queue nobody has taken up."""
        return int(self._redis.zcard(f"assay:waiting:{name}")) + self.queue(name).count


def to_fields(spec: JobSpec) -> dict[str, Any]:
    """The hash of an RQ job that waits, as RQ itself would write it, but for what is empty: to make one RQ takes six
    times as long, and most jobs that are sent wait already."""
    sent = utcformat(now())
    fields = {
        "created_at": sent,
        "data": zlib.compress(json.dumps((spec.function, None, spec.args, {})).encode()),
        "retries_left": TRIES - 1,
        "retry_intervals": "[0]",
        "origin": spec.queue,
        "description": f"{spec.function}{spec.args}",
        "enqueued_at": sent,
        "timeout": spec.timeout,
        "result_ttl": 0,
        "failure_ttl": FAILURE_TTL,
        "status": JobStatus.QUEUED.value,
    }
    kept = {"delivery": spec.delivery, "since": spec.since, "installation": spec.installation}
    meta = {name: value for name, value in kept.items() if value}
    return fields | ({"meta": json.dumps(meta).encode()} if meta else {})
