"""RQ workers as Assay runs them.

What differs from RQ's own: a job is fed from the fair lines (`turns.py`); a dead worker's jobs are given to others by
the sweep, within seconds, so RQ's own cleaning, which takes minutes and can be cut off in the middle, is off; a
work-horse dies with its worker; and a worker that was taken for dead keeps its hands off a job that is somebody else's
by now.
"""

from __future__ import annotations

import gc
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from redis import Redis
from redis.client import Pipeline
from redis.exceptions import RedisError
from rq import Queue, SimpleWorker, Worker
from rq.exceptions import StopRequested
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.utils import now

from bot.context import Subject, taken_up
from bot.errors import TakenOver, Unavailable
from bot.parent import die_with_parent
from bot.queues import AGENT_QUEUES, AllowedJob, Queues
from bot.recovery import Vouching, note_failure
from bot.redis.connection import hurry

# Seconds: how long RQ keeps a worker's entry without a life sign, and its look at the work-horse.
_WORKER_TTL = 30
_MONITORING = 5
_NOTES_TTL = 86400
_REDIS_PAUSE = 1.0
_REDIS_LONGEST_PAUSE = 5.0

if TYPE_CHECKING:
    from rq.worker import BaseWorker
else:
    BaseWorker = object


class _Ours(BaseWorker):
    """What both kinds of worker have in common."""

    queues_of_ours: Queues
    at_work = False

    def execute_job(self, job: Job, queue: Queue) -> None:
        self.at_work = True
        # RQ's list is empty now: whoever is idle gets the next one.
        self._feed(queue.name)
        try:
            with taken_up(job.subject if isinstance(job, AllowedJob) else Subject(job=job.id)):
                super().execute_job(job, queue)
        finally:
            self.at_work = False
            # A job that has ended makes room in the lines of its repository, on whatever queue.
            self._feed(*(AGENT_QUEUES if queue.name in AGENT_QUEUES else (queue.name,)))

    def _feed(self, *queues: str) -> None:
        # The sweep does it too.
        with suppress(RedisError):
            self.queues_of_ours.feed(*queues)

    def handle_job_success(self, job: Job, queue: Queue, *rest: Any, **named: Any) -> None:
        if self._holds(queue):
            super().handle_job_success(job, queue, *rest, **named)

    def handle_job_failure(self, job: Job, queue: Queue, *rest: Any, **named: Any) -> None:
        if self._holds(queue):
            how = str(named.get("exc_string") or "").strip()
            note_failure(self.connection, job.id, self.name, how, queue.name, last=not job.should_retry)
            super().handle_job_failure(job, queue, *rest, **named)

    def _holds(self, place: Queue | Job) -> bool:
        """Whether the job in hand is still this worker's."""
        execution = self.execution
        entry = execution.composite_key if execution else ""
        return self.connection.zscore(place.started_job_registry.key, entry) is not None

    def get_heartbeat_ttl(self, _job: Job) -> int:
        """Seconds that RQ keeps its notes on a job in hand: longer than Redis may be away."""
        return _NOTES_TTL

    def prepare_job_execution(self, job: Job, remove_from_intermediate_queue: bool = False) -> None:
        if not self._holds(job):
            raise TakenOver(f"another worker has the job {job.id}")
        super().prepare_job_execution(job, remove_from_intermediate_queue)

    def maintain_heartbeats(self, _job: Job) -> None:
        # Of the worker only: RQ's would put back what it notes of a job that others have by now, or that is done. And
        # Redis being away is no reason to end a job that gets on without it.
        with suppress(RedisError):
            self.heartbeat(self.job_monitoring_interval + 60)

    def handle_execution_ended(self, job: Job, _queue: Queue, _heartbeat_ttl: int) -> None:
        # RQ's is a heartbeat too.
        job.ended_at = now()

    def set_current_job_working_time(self, seconds: float, pipeline: Pipeline | None = None) -> None:
        with suppress(RedisError):
            super().set_current_job_working_time(seconds, pipeline)

    def _shutdown(self) -> None:
        # RQ asks Redis whether a job is in hand; it may be away.
        self._stop_requested = True
        if not self.at_work:
            raise StopRequested

    def teardown(self) -> None:
        # The sweep buries those who cannot say that they die.
        hurry(self.connection)
        with suppress(RedisError):
            super().teardown()  # type: ignore[no-untyped-call]  # RQ has no types here

    def run_maintenance_tasks(self) -> None:
        """The sweep does it."""

    def subscribe(self) -> None:
        """Nobody sends commands to workers; the thread that listens for them would wake five times a second."""

    def unsubscribe(self) -> None:
        """Nothing was subscribed to."""


class ControlWorker(_Ours, SimpleWorker):
    """Runs jobs in its own process: they are Assay's own code, and short."""


class AgentWorker(_Ours, Worker):
    """Runs each job in a forked process, which may be killed."""

    def main_work_horse(self, job: Job, queue: Queue) -> None:
        die_with_parent(self.pid or 0, signal.SIGKILL)
        super().main_work_horse(job, queue)


def make_worker(
    redis: Redis,
    queue: str,
    queues: Queues,
    name: str | None = None,
    kind: type[AgentWorker | ControlWorker] | None = None,
) -> AgentWorker | ControlWorker:
    """A worker of one queue, of the kind that is usual for it. `name` is by what somebody vouches for it."""
    usual = AgentWorker if queue in AGENT_QUEUES else ControlWorker
    worker = (kind or usual)(
        [queues.queue(queue)],
        name=name,
        connection=redis,
        job_class=AllowedJob,
        serializer=JSONSerializer,
        worker_ttl=_WORKER_TTL,
        job_monitoring_interval=_MONITORING,
        log_job_description=False,
    )
    worker.queues_of_ours = queues
    # RQ waits ever longer for a Redis that is away, up to a minute.
    worker.max_connection_wait_time = _REDIS_LONGEST_PAUSE
    return worker


def work(redis: Redis, queue: str, queues: Queues, name: str) -> None:
    """Serve one queue until SIGTERM or SIGINT; the job in hand is finished first.

    Agents' jobs run in a forked process each, control jobs (intake, publish) in this one. Waits for a Redis that is
    away; raises Unavailable when it goes away while the worker keeps its books.
    """
    _await(redis)
    worker = make_worker(redis, queue, queues, name)
    # What is loaded by now is shared with every fork and never collected.
    gc.collect()
    gc.freeze()
    try:
        # Before it takes anything up, so that nobody takes it for dead.
        Vouching(redis).vouch([name])
        queues.feed(queue)
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
