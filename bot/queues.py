"""Queues: how work gets from one process to another. RQ is the engine, JSON the only serialisation.

A queue is served by workers of its own: a worker that listens on two can lose a job between them. Only the functions
in `FUNCTIONS` can be named by a job, whoever writes to Redis. A job waits in its repository's line (`turns.py`) before
RQ gets it.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Protocol, cast
from uuid import uuid4

from pydantic import Field, TypeAdapter
from redis import Redis
from rq import Queue
from rq.exceptions import DeserializationError
from rq.job import Job, JobStatus, Retry, _job_stack
from rq.serializers import JSONSerializer
from rq.utils import now, utcformat

from bot import context
from bot.context import Subject
from bot.domain.commands import Reply
from bot.domain.effects import StartAgent
from bot.domain.model import Frozen
from bot.domain.run import GRACE, Run, RunKey
from bot.domain.stored import understood
from bot.domain.triggers import Push
from bot.errors import Misconfigured, OtherVersion
from bot.turns import ENQUEUE, FEED, LIBRARY

log = logging.getLogger(__name__)

INTAKE = "intake"
PUBLISH = "publish"
# An agent kind that has no queue of its own waits in that of another one.
_QUEUE_OF = {"verify": "review"}
AGENT_QUEUES = ("test", "lint", "security", "review", "command", "extension")
QUEUES = (INTAKE, PUBLISH, *AGENT_QUEUES)

ON_DELIVERY = "bot.wiring.on_delivery"
ON_PUBLISH = "bot.wiring.on_publish"
ON_AGENT = "workers.wiring.on_agent"
ON_LOOSE_CHECKS = "bot.wiring.on_loose_checks"
ON_REPLY = "bot.wiring.on_reply"
ON_TOKEN = "bot.wiring.on_token"  # noqa: S105 - a function's name
FUNCTIONS = frozenset({ON_DELIVERY, ON_PUBLISH, ON_AGENT, ON_LOOSE_CHECKS, ON_REPLY, ON_TOKEN})

# Tries of a job whose process dies or raises; seconds that a control job may take; seconds that a failed job is kept.
TRIES = 3
CONTROL_TIMEOUT = 300
FAILURE_TTL = 30 * 86400


_LIKE_OURS = re.compile(r"(bot|workers)\.wiring\.on_[a-z_]+")

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


class Priority(IntEnum):
    """Who is served first: a person who waits, then what goes by itself, then what has time."""

    PERSON = 0
    COMMIT = 1
    SCHEDULE = 2


class JobSpec(Frozen):
    """A job: a function by dotted path and its arguments. `timeout`, in seconds, is only the backstop: a job watches
    its own clock. `installation` and `repository` say in whose line it waits. `name` tells it from all others, and the
    job's id is made of it; where it is empty, any number of such jobs may be there. `once`: while one of that name
    waits, no other is sent. `delivery`, for logs and traces, is what led to it: as a rule the one in hand. `since`, in
    seconds since the epoch, is when a worker first left it to a newer Assay; 0 for never."""

    queue: str
    function: str
    args: tuple[str | int, ...]
    timeout: int = CONTROL_TIMEOUT
    installation: int = 0
    repository: str = ""
    priority: Priority = Priority.COMMIT
    name: str = ""
    once: str = ""
    delivery: str = Field(default_factory=context.delivery)
    since: float = 0.0

    @classmethod
    def again(cls, job: AllowedJob, at: float) -> JobSpec:
        """The job in hand once more, which is left to a newer Assay at that time."""
        subject, since = job.subject, float(job.meta.get("since") or at)
        return cls(
            queue=job.origin,
            function=job.func_name or "",
            args=tuple(job.args or ()),
            timeout=int(job.timeout or CONTROL_TIMEOUT),
            repository=subject.repository,
            name=job.id,
            delivery=subject.delivery,
            since=since,
        )

    @classmethod
    def intake(cls, delivery: str, installation: int = 0, repository: str = "") -> JobSpec:
        return cls(
            queue=INTAKE, function=ON_DELIVERY, args=(delivery,), installation=installation, repository=repository
        )

    @classmethod
    def publish(cls, key: RunKey, installation: int) -> JobSpec:
        return cls(
            queue=PUBLISH,
            function=ON_PUBLISH,
            args=(str(key),),
            installation=installation,
            repository=key.repository,
            once=_short(PUBLISH, str(key)),
        )

    @classmethod
    def loose_checks(cls, key: RunKey, installation: int) -> JobSpec:
        return cls(
            queue=PUBLISH,
            function=ON_LOOSE_CHECKS,
            args=(str(key), installation),
            installation=installation,
            repository=key.repository,
            priority=Priority.SCHEDULE,
            once=_short("loose", str(key)),
        )

    @classmethod
    def agent(cls, run: Run, start: StartAgent) -> JobSpec:
        waits = run.reruns or not isinstance(run.leader, Push)
        return cls(
            queue=_QUEUE_OF.get(start.kind, start.kind),
            function=ON_AGENT,
            args=(str(run.key), start.agent, start.attempt),
            timeout=start.timeout + GRACE,
            installation=run.installation,
            repository=run.key.repository,
            priority=Priority.PERSON if waits else Priority.COMMIT,
            name=agent_job(run.key, start.agent, start.attempt),
        )

    @classmethod
    def reply(cls, repository: str, installation: int, reply: Reply) -> JobSpec:
        """Answer a comment."""
        return cls(
            queue=PUBLISH,
            function=ON_REPLY,
            args=(repository, installation, reply.model_dump_json()),
            installation=installation,
            repository=repository,
            priority=Priority.PERSON,
            name=_short("reply", repository, str(reply.comment)),
        )

    @classmethod
    def token(cls, key: RunKey, installation: int, name: str, public: str) -> JobSpec:
        """Hand a token over (`bot/handover.py`)."""
        return cls(
            queue=INTAKE,
            function=ON_TOKEN,
            args=(str(key), name, public),
            installation=installation,
            repository=key.repository,
            priority=Priority.PERSON,
            name=_short("token", name),
        )

    @property
    def id(self) -> str:
        """The id of a job for this; another one at each call, unless the job has a name."""
        return self.name or f"{self.once or self.queue}_{uuid4().hex}"


_SPEC = TypeAdapter(JobSpec)


def agent_job(key: RunKey, agent: str, attempt: int) -> str:
    """The id of the job that does an agent's attempt."""
    return _short("agent", str(key), agent, str(attempt))


def _meta(spec: JobSpec) -> dict[str, Any]:
    return {name: value for name, value in (("delivery", spec.delivery), ("since", spec.since)) if value}


def _short(kind: str, *parts: str) -> str:
    """A name as RQ allows it in a job's id."""
    return f"{kind}-{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:32]}"


@dataclass(frozen=True)
class Rule:
    """How many jobs of one tenant may be in hand at once, over all of `together`; 0 is no limit."""

    limit: int = 0
    by: str = ""
    together: tuple[str, ...] = ()

    @property
    def argv(self) -> tuple[str, str, str]:
        return str(self.limit), self.by, " ".join(self.together)


class InParts(Protocol):
    """The function of a job in three parts, for workers that fork: the middle one is done in the fork. Whatever a fork
    touches it has to copy first, so what may as well be done by the worker is done there. Called, it does them all."""

    def begin(self, *args: Any) -> Any | None:
        """What has to be known; None where there is nothing to be done."""

    def carry_out(self, begun: Any) -> bytes:
        """What comes of it."""

    def end(self, begun: Any, said: bytes) -> None: ...
    def __call__(self, *args: Any) -> Any: ...


class AllowedJob(Job):
    """A job that resolves no function but ours. `part` takes its place."""

    part: Callable[..., Any] | None = None

    @property
    def func(self) -> Callable[..., Any]:
        """The function to call. Raises Misconfigured for one that is not on the list, and OtherVersion for one that may
        be on a newer Assay's."""
        if self.part is not None:
            return self.part
        if self.func_name not in FUNCTIONS:
            if _LIKE_OURS.fullmatch(self.func_name or ""):
                raise OtherVersion(f"a job names {self.func_name!r}, which this version of Assay does not know")
            raise Misconfigured(
                f"a job names {self.func_name!r}, which is no job of Assay's: who else writes to Redis?"
            )
        function: Callable[..., Any] = super().func
        return function

    def perform(self) -> Any:
        """As RQ's own, which first has Redis keep the job for ever: ours has no lifetime."""
        _job_stack.push(self)  # type: ignore[no-untyped-call]  # RQ has no types here
        try:
            return self._execute()
        finally:
            _job_stack.pop()  # type: ignore[no-untyped-call]  # as above

    @property
    def subject(self) -> Subject:
        """What it is about, as far as it can be read."""
        try:
            return about(self.func_name, tuple(self.args or ()), self.id, str(self.meta.get("delivery", "")))
        except DeserializationError:
            return Subject(job=self.id)


def about(function: str | None, args: tuple[object, ...], job: str, delivery: str = "") -> Subject:
    """What a job is about, by what it calls. `delivery` is what led to it."""
    match args:
        case (str(guid),) if function == ON_DELIVERY:
            return Subject(delivery=guid, job=job)
        case (str(), *_) if function == ON_REPLY:
            return Subject(delivery=delivery, job=job)
        case (str(run), str(agent), int(attempt)) if function == ON_AGENT:
            return Subject(run=run, agent=agent, attempt=attempt, delivery=delivery, job=job)
        case (str(run), *_):
            return Subject(run=run, delivery=delivery, job=job)
    return Subject(delivery=delivery, job=job)


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

    def fields(self, spec: JobSpec, job_id: str) -> dict[str, Any]:
        """The hash of an RQ job that waits."""
        job = AllowedJob.create(
            spec.function,
            args=spec.args,
            id=job_id,
            connection=self._redis,
            serializer=JSONSerializer,
            timeout=spec.timeout,
            retry=Retry(max=TRIES - 1),
            result_ttl=0,
            failure_ttl=FAILURE_TTL,
            status=JobStatus.QUEUED,
            origin=spec.queue,
            description=f"{spec.function}{spec.args}",
            meta=_meta(spec) or None,
        )
        job.enqueued_at = now()
        fields = {key: value for key, value in job.to_dict().items() if value is not None}
        return fields | {"status": "queued", "enqueued_at": utcformat(job.enqueued_at)}

    def to_send(self, spec: JobSpec) -> list[Any]:
        """What the `send` of the scripts takes to send a job."""
        job_id = spec.id
        place = (job_id, int(spec.priority), spec.installation, spec.repository)
        fields = (part for pair in self.fields(spec, job_id).items() for part in pair)
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
