"""Jobs: what there is to do, by the function that does it and its arguments. RQ is the engine.

Only the functions in `FUNCTIONS` can be named by a job, whoever writes to Redis.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from enum import IntEnum
from typing import Any, Protocol
from uuid import uuid4

from pydantic import Field
from rq.exceptions import DeserializationError
from rq.job import Job, _job_stack

from bot import context
from bot.context import Subject
from bot.domain.commands import Reply
from bot.domain.effects import StartAgent
from bot.domain.model import Frozen
from bot.domain.run import GRACE, Run, RunKey
from bot.domain.triggers import Push
from bot.errors import Misconfigured, OtherVersion

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
            installation=int(job.meta.get("installation", 0)),
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


def agent_job(key: RunKey, agent: str, attempt: int) -> str:
    """The id of the job that does an agent's attempt."""
    return _short("agent", str(key), agent, str(attempt))


def _short(kind: str, *parts: str) -> str:
    """A name as RQ allows it in a job's id."""
    return f"{kind}-{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:32]}"


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
