"""Queues: how work gets from one process to another. RQ is the engine, JSON the only serialisation.

A queue is served by workers of its own: a worker that listens on two can lose a job between them. Only the functions
in `FUNCTIONS` can be named by a job, whoever writes to Redis.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from redis import Redis
from redis.client import Pipeline
from rq import Queue, get_current_job
from rq.job import Job, Retry
from rq.serializers import JSONSerializer

from bot.domain.effects import StartAgent
from bot.domain.model import Frozen
from bot.domain.run import GRACE, RunKey
from bot.errors import Misconfigured

INTAKE = "intake"
PUBLISH = "publish"
AGENT_QUEUES = ("test", "lint", "security", "review", "command", "extension")
QUEUES = (INTAKE, PUBLISH, *AGENT_QUEUES)

ON_DELIVERY = "bot.wiring.on_delivery"
ON_PUBLISH = "bot.wiring.on_publish"
ON_AGENT = "workers.wiring.on_agent"
FUNCTIONS = frozenset({ON_DELIVERY, ON_PUBLISH, ON_AGENT})

# Tries of a job whose process dies or raises; seconds that a control job may take; seconds that a failed job is kept.
TRIES = 3
CONTROL_TIMEOUT = 300
FAILURE_TTL = 30 * 86400


class JobSpec(Frozen):
    """A job: a function by dotted path and its arguments. `timeout`, in seconds, is only the backstop: a job watches
    its own clock."""

    queue: str
    function: str
    args: tuple[str | int, ...]
    timeout: int = CONTROL_TIMEOUT

    @classmethod
    def intake(cls, delivery: str) -> JobSpec:
        return cls(queue=INTAKE, function=ON_DELIVERY, args=(delivery,))

    @classmethod
    def publish(cls, key: RunKey) -> JobSpec:
        return cls(queue=PUBLISH, function=ON_PUBLISH, args=(str(key),))

    @classmethod
    def agent(cls, key: RunKey, start: StartAgent) -> JobSpec:
        args = (str(key), start.agent, start.attempt)
        return cls(queue=start.kind, function=ON_AGENT, args=args, timeout=start.timeout + GRACE)


class AllowedJob(Job):
    """A job that resolves no function but ours."""

    @property
    def func(self) -> Callable[..., Any]:
        """The function to call. Raises Misconfigured for one that is not on the list."""
        if self.func_name not in FUNCTIONS:
            raise Misconfigured(
                f"a job names {self.func_name!r}, which is no job of Assay's: who else writes to Redis?"
            )
        function: Callable[..., Any] = super().func
        return function


def is_last_try() -> bool:
    """Whether the job in hand is not run again when it raises."""
    job = get_current_job()
    return job is None or not job.should_retry


class Queues:
    """The sending side."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._queues = {name: self.queue(name) for name in QUEUES}

    def queue(self, name: str) -> Queue:
        return Queue(name, connection=self._redis, job_class=AllowedJob, serializer=JSONSerializer)

    def job(self, spec: JobSpec) -> Job:
        """The RQ job of a spec, not saved yet."""
        return AllowedJob.create(
            spec.function,
            args=spec.args,
            connection=self._redis,
            serializer=JSONSerializer,
            timeout=spec.timeout,
            retry=Retry(max=TRIES - 1),
            result_ttl=0,
            failure_ttl=FAILURE_TTL,
            origin=spec.queue,
            description=f"{spec.function}{spec.args}",
        )

    def enqueue(self, spec: JobSpec, pipeline: Pipeline | None = None) -> None:
        """Send a job; with a pipeline that is in MULTI, as part of its transaction."""
        self._queues[spec.queue].enqueue_job(self.job(spec), pipeline=pipeline)
