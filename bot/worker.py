"""RQ workers, set up so that a death is noticed soon: RQ's defaults leave a killed worker's job for many minutes."""

from __future__ import annotations

import gc
import time

from redis import Redis
from redis.exceptions import RedisError
from rq import SimpleWorker, Worker
from rq.serializers import JSONSerializer

from bot.errors import Unavailable
from bot.queues import AGENT_QUEUES, AllowedJob, Queues

# Seconds: a worker's life sign, the look at its horse, and the cleaning of registries.
_WORKER_TTL = 30
_MONITORING = 5
_MAINTENANCE = 15
_REDIS_PAUSE = 1.0
_REDIS_LONGEST_PAUSE = 5.0


def work(redis: Redis, queue: str) -> None:
    """Serve one queue until SIGTERM or SIGINT; the job in hand is finished first.

    Agents' jobs run in a forked process each, control jobs (intake, publish) in this one. Waits for a Redis that is
    away; raises Unavailable when it goes away while the worker keeps its books.
    """
    _await(redis)
    kind = Worker if queue in AGENT_QUEUES else SimpleWorker
    worker = kind(
        [Queues(redis).queue(queue)],
        connection=redis,
        job_class=AllowedJob,
        serializer=JSONSerializer,
        worker_ttl=_WORKER_TTL,
        job_monitoring_interval=_MONITORING,
        maintenance_interval=_MAINTENANCE,
        log_job_description=False,
    )
    # RQ waits ever longer for a Redis that is away, up to a minute.
    worker.max_connection_wait_time = _REDIS_LONGEST_PAUSE
    # What is loaded by now is shared with every fork and never collected.
    gc.collect()
    gc.freeze()
    try:
        worker.work(logging_level="WARNING")
    except RedisError as error:
        raise Unavailable(f"Redis went away ({type(error).__name__})") from None


def _await(redis: Redis) -> None:
    while True:
        try:
            redis.ping()
        except RedisError:
            time.sleep(_REDIS_PAUSE)
        else:
            return
