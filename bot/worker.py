"""RQ workers as Assay runs them.

What differs from RQ's own: a job is fed from the fair lines (`turns.py`); RQ's books of a job are kept in two Lua calls
(`books.py`); a dead worker's jobs are given to others by the sweep, within seconds, so RQ's own cleaning, which takes
minutes and can be cut off in the middle, is off; a work-horse waits for its job, not the job for it (`horses.py`), and
dies with its worker; a worker that was taken for dead keeps its hands off a job that is somebody else's by now; and
what only a newer Assay understands is left to that.
"""

from __future__ import annotations

import logging
import pickle
import random
import sys
import time
import traceback
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any, cast
from uuid import uuid4

from redis import Redis
from redis.client import Pipeline
from redis.exceptions import RedisError
from rq import Queue, SimpleWorker, Worker
from rq.exceptions import StopRequested
from rq.executions import Execution
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.timeouts import JobTimeoutException
from rq.utils import now

from bot.books import Books
from bot.context import Subject, taken_up
from bot.errors import OtherVersion, Unavailable
from bot.garbage import settle_in
from bot.horses import Horses
from bot.jobs import AGENT_QUEUES, CONTROL_TIMEOUT, ON_AGENT, AllowedJob, InParts, JobSpec
from bot.queues import Queues
from bot.recovery import Vouching, note_failure
from bot.redis.connection import hurry
from bot.telemetry import tracing

log = logging.getLogger(__name__)

# Seconds: how long RQ keeps a worker's entry without a life sign, and its look at the work-horse.
_WORKER_TTL = 30
_MONITORING = 5
# Seconds between two life signs; between two tries to leave a job to a newer Assay; and how long that is tried.
_BEAT = 10.0
_HANDOVER_PAUSE = 5.0
_HANDOVER = 3600.0
_REDIS_PAUSE = 1.0
_REDIS_LONGEST_PAUSE = 5.0

if TYPE_CHECKING:
    from resource import struct_rusage

    from rq.worker import BaseWorker
else:
    BaseWorker = object


class _Ours(BaseWorker):
    """What both kinds of worker have in common."""

    queues_of_ours: Queues
    books: Books
    at_work = False
    # What Redis holds of the job in hand.
    _kept: dict[bytes, bytes]
    _beat = float("-inf")

    # -- taking a job up

    def dequeue_job_and_maintain_ttl(
        self, timeout: int | None, _max_idle_time: int | None = None
    ) -> tuple[Job, Queue] | None:
        """The next job, already taken up. Without a timeout None where there is none at once; else it waits for one."""
        (queue,) = self.queues
        between = queue.intermediate_queue_key
        while True:
            self.heartbeat()
            if timeout is None:
                found = self.connection.lmove(queue.key, between, "LEFT", "RIGHT")
            else:
                found = self.connection.blmove(queue.key, between, timeout, "LEFT", "RIGHT")
            # From here on a signal lets it be finished.
            self.at_work = True
            if found is not None and (job := self._take(cast("bytes", found).decode(), queue)):
                return job, queue
            self.at_work = False
            if self._stop_requested:
                raise StopRequested
            if found is None and timeout is None:
                return None

    def _take(self, job_id: str, queue: Queue) -> Job | None:
        execution = Execution(uuid4().hex, job_id, self.connection, self.name)
        kept = self.books.take(execution, self.queues_of_ours.rule(queue.name), self.worker_ttl + 60)
        if kept is None:
            log.info("the job %s is gone, or another worker has it", job_id)
            return None
        self.execution, self._kept = execution, kept
        return self._restored(job_id)

    def _restored(self, job_id: str) -> AllowedJob:
        job = AllowedJob(job_id, connection=self.connection, serializer=self.serializer)
        job.restore(self._kept)
        return job

    def execute_job(self, job: Job, queue: Queue) -> None:
        try:
            with taken_up(job.subject if isinstance(job, AllowedJob) else Subject(job=job.id)):
                self.carry_out(job, queue)
        finally:
            self.at_work = False

    def carry_out(self, job: Job, queue: Queue) -> None:
        """Do it, in this process or another."""
        raise NotImplementedError

    def perform_job(self, job: Job, queue: Queue) -> bool:
        """As RQ's own, without results, callbacks and dependent jobs. In the process that does it."""
        assert isinstance(job, AllowedJob)
        try:
            job.started_at = now()
            with self.death_penalty_class(int(job.timeout or CONTROL_TIMEOUT), JobTimeoutException, job_id=job.id):
                job.perform()
            if job.part is None:
                self.close_books(job)
        except OtherVersion as error:
            if not self.leave(job, error):
                return self.failed(job, queue)
        except BaseException:  # noqa: BLE001 - a timeout, say; RQ's own does it, too
            return self.failed(job, queue)
        return True

    def close_books(self, job: Job) -> None:
        """The job is done, and whoever waits for its place is served."""
        if self.execution is not None and not self.books.close(self.execution, job, self._neighbours(job.origin)):
            log.warning("job %s was done, but another worker has it by now", job.id)

    def _neighbours(self, queue: str) -> list[tuple[str, ...]]:
        """The queues that may go on when a job of this one has ended."""
        return [self.queues_of_ours.rule(name) for name in (AGENT_QUEUES if queue in AGENT_QUEUES else (queue,))]

    # -- jobs that are not done

    def leave(self, job: Job, error: OtherVersion) -> bool:
        """Leave a job to a worker of a newer Assay; false where none has come for too long."""
        assert isinstance(job, AllowedJob)
        spec = JobSpec.again(job, time.time())
        if time.time() - spec.since > _HANDOVER:
            return False
        log.warning("job %s is left to a newer Assay: %s", job.id, error)
        # First, for whoever dies in between: that it is there twice for a while does no harm.
        self.queues_of_ours.put_off(spec, time.time() + _HANDOVER_PAUSE)
        self.close_books(job)
        return True

    def failed(self, job: Job, queue: Queue) -> bool:
        job.ended_at = now()
        self.handle_exception(job, *sys.exc_info())
        self.handle_job_failure(job, queue, exc_string=traceback.format_exc())
        return False

    def handle_job_failure(self, job: Job, queue: Queue, *rest: Any, **named: Any) -> None:
        if self._holds(queue):
            how = str(named.get("exc_string") or "").strip()
            note_failure(self.connection, job.id, self.name, how, queue.name, last=not job.should_retry)
            super().handle_job_failure(job, queue, *rest, **named)
            # The sweep does it, too.
            with suppress(RedisError):
                self.queues_of_ours.feed(*(rule[0] for rule in self._neighbours(queue.name)))

    def _holds(self, queue: Queue) -> bool:
        """Whether the job in hand is still this worker's."""
        entry = self.execution.composite_key if self.execution else ""
        return self.connection.zscore(queue.started_job_registry.key, entry) is not None

    # -- what RQ keeps of a worker

    def heartbeat(self, timeout: int | None = None, pipeline: Pipeline | None = None) -> None:
        """Nobody reads it but RQ's own tools, so it is not sent with each job."""
        if time.monotonic() - self._beat >= _BEAT:
            self._beat = time.monotonic()
            super().heartbeat(timeout, pipeline)

    def set_state(self, state: str, _pipeline: Pipeline | None = None) -> None:
        """The books tell of it."""
        self._state = state

    def check_for_suspension(self, burst: bool) -> None:
        """`rq suspend` would be asked for before every job."""

    def maintain_heartbeats(self, _job: Job) -> None:
        # Of the worker only: RQ's would put back what it notes of a job that others have by now, or that is done. And
        # Redis being away is no reason to end a job that gets on without it.
        with suppress(RedisError):
            self.heartbeat(self.job_monitoring_interval + 60)

    def set_current_job_working_time(self, seconds: float, _pipeline: Pipeline | None = None) -> None:
        self.current_job_working_time = seconds

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

    def carry_out(self, job: Job, queue: Queue) -> None:
        self.perform_job(job, queue)


class AgentWorker(_Ours, Worker):
    """Runs each job, or the middle part of it, in a process of its own, which may be killed."""

    _ended_well = False

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self.horses = Horses(self._in_horse, self.connection.close)

    def carry_out(self, job: Job, queue: Queue) -> None:
        assert isinstance(job, AllowedJob)
        try:
            work = job.func if job.func_name == ON_AGENT else None
            if work is None:
                self._send_away(job, queue)
            else:
                self._in_parts(cast("InParts", work), job, queue)
        except OtherVersion as error:
            if not self.leave(job, error):
                self.failed(job, queue)
        except Exception:  # noqa: BLE001 - it is the job's failure, and told
            self.failed(job, queue)

    def _in_parts(self, work: InParts, job: AllowedJob, queue: Queue) -> None:
        begun = work.begin(*job.args)
        if begun is None:
            self.close_books(job)
            return
        words = self._send_away(job, queue, begun)
        # Where it failed it has told so itself.
        if words and self._ended_well:
            work.end(begun, words)
            self.close_books(job)

    def _send_away(self, job: Job, queue: Queue, begun: Any = None) -> bytes:
        """Have the job done by a work-horse, or the part of it that follows on what was `begun`; what that said."""
        assert self.execution is not None
        self._ended_well = False
        self._order = pickle.dumps((job.id, self.execution.id, self._kept, begun))
        self.fork_work_horse(job, queue)
        self.monitor_work_horse(job, queue)
        return self.horses.said()

    def fork_work_horse(self, _job: Job, _queue: Queue) -> None:
        """One that was forked before is given the job."""
        self._horse_pid = self.horses.send(self._order)

    def wait_for_horse(self) -> tuple[int | None, int | None, struct_rusage | None]:
        status = self.horses.ended(self._horse_pid)
        self._ended_well = status == 0
        return self._horse_pid, status, None

    def _in_horse(self, order: bytes, said: IO[bytes]) -> bool:
        if not self._is_horse:
            random.seed()
            self.setup_work_horse_signals()  # type: ignore[no-untyped-call]  # RQ has no types here
            self._is_horse = True
        job_id, execution, self._kept, begun = pickle.loads(order)  # noqa: S301 - the worker's own words
        self.execution = Execution(execution, job_id, self.connection, self.name)
        job, (queue,) = self._restored(job_id), self.queues
        if begun is not None:
            work = cast("InParts", job.func)
            job.part = lambda *_: said.write(work.carry_out(begun))
        with taken_up(job.subject):
            # Spans are sent when their process ends.
            return self.perform_job(job, queue) and not tracing.installed()


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
    worker.books = Books(redis)
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
    settle_in()
    if isinstance(worker, AgentWorker):
        worker.horses.start()
    try:
        # Before it takes anything up, so that nobody takes it for dead.
        Vouching(redis).vouch([name])
        queues.feed(queue)
        worker.work(logging_level="WARNING")
    except RedisError as error:
        raise Unavailable(f"Redis went away ({type(error).__name__})") from None
    finally:
        if isinstance(worker, AgentWorker):
            worker.horses.close()


def _await(redis: Redis) -> None:
    while True:
        try:
            redis.ping()
        except RedisError:
            time.sleep(_REDIS_PAUSE)
        else:
            return
