"""RQ workers, set up so that a death is noticed soon: RQ's defaults leave a killed worker's job for many minutes."""

from __future__ import annotations

import gc

from redis import Redis
from rq import SimpleWorker, Worker
from rq.serializers import JSONSerializer

from bot.queues import AGENT_QUEUES, AllowedJob, Queues

# Seconds: a worker's life sign, the look at its horse, and the cleaning of registries.
_WORKER_TTL = 30
_MONITORING = 5
_MAINTENANCE = 15


def work(redis: Redis, queue: str) -> None:
    """Serve one queue until SIGTERM or SIGINT; the job in hand is finished first.

    Agents' jobs run in a forked process each, control jobs (intake, publish) in this one.
    """
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
    # What is loaded by now is shared with every fork and never collected.
    gc.collect()
    gc.freeze()
    worker.work(logging_level="WARNING")
