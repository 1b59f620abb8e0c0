"""The state of every run, in Redis: an event log, the state it folds into, and what is due.

`Store.update` is the only way a run changes: load, reduce, then event, state, deadline and jobs in one Lua call
(`saving.py`), tried again when somebody else was faster. All keys begin with `assay:`.
"""

from __future__ import annotations

import logging
import random
import time
from typing import Any, cast

from pydantic import TypeAdapter
from redis import Redis

from bot.domain.effects import Effect, Publish, StartAgent, StopAgent
from bot.domain.events import EVENT, AgentFinished, AgentProgressed, AgentStarted, Event
from bot.domain.model import Frozen
from bot.domain.publication import ANNOUNCED_AFTER, Publication, PullMemory
from bot.domain.reduce import reduce
from bot.domain.run import Run, RunKey, Stored
from bot.domain.stored import understood
from bot.errors import Conflict, OtherVersion, TakenOver
from bot.packing import pack, unpack
from bot.queues import LATER, JobSpec, Queues, agent_job
from bot.saving import Saving, Step, version_of

log = logging.getLogger(__name__)

_RACES = 50
# Seconds, more than anything is put off for: an hour for GitHub, 6 for a repository's next head (`triggers.debounce`).
_LONGEST_WAIT = 7 * 3600
_RUNS = "assay:runs"
_DEADLINES = "assay:deadlines"
_UNPUBLISHED = "assay:unpublished"
_UNFINISHED = "assay:unfinished"

# In one call, for the job of a change that comes in between does nothing for a run that is not on the list.
_PUBLISHED = """
local held = redis.call('get', KEYS[1])
if held and redis.sha1hex(held) ~= ARGV[1] then return 0 end
return redis.call('zrem', KEYS[2], ARGV[2])
"""


class _Noted(Frozen):
    """Which attempt of an agent told a result."""

    key: RunKey
    agent: str
    attempt: int


_RUN, _NOTED, _SPEC = TypeAdapter(Run), TypeAdapter(_Noted), TypeAdapter(JobSpec)
_PUBLICATION, _PULL = TypeAdapter(Publication), TypeAdapter(PullMemory)


class Store:
    """`retention` is how long a run is kept after its last change, in seconds."""

    def __init__(self, redis: Redis, queues: Queues, retention: int) -> None:
        self.redis = redis
        self._queues = queues
        self._retention = retention
        self._saving = Saving(redis)

    # -- runs

    def take_up(self, key: RunKey, agent: str, attempt: int) -> tuple[int, Stored | None]:
        """A new fencing token for the work on an attempt, and the run as it stands: whoever holds an older token is not
        listened to any more."""
        fence = _fence(key, agent, attempt)
        with self.redis.pipeline(transaction=True) as pipe:
            pipe.incr(fence)
            pipe.expire(fence, self._retention)
            pipe.get(_run(key))
            token, _, raw = pipe.execute()
        return int(token), _stored(key, raw) if raw else None

    def update(self, key: RunKey, event: Event, token: int | None = None, known: Stored | None = None) -> Run | None:
        """Fold an event into a run, and return the run; None where there is none and the event opens none.

        `token` is that of the agent's worker whose event it is. `known` is the run as the caller saw it last: while
        that is how it stands, it need not be asked for. Raises TakenOver when another worker holds a newer token,
        OtherVersion for a run that this version does not understand, Conflict after losing too many races.
        """
        stored, asked = (known, False) if known else (self._look(key, event, token), True)
        for attempt in range(_RACES):
            before = stored.run if stored else None
            step = reduce(before, event, key)
            if step.run is None or (step.run == before and not step.effects):
                if asked:
                    return before
                stored, asked = self._look(key, event, token), True
                continue
            said, raw = self._saving.save(self._step(step.run, event, step.effects, stored, token))
            if said == "saved":
                return step.run
            if said == "taken over":
                raise _taken_over(key, event)
            stored, asked = _stored(key, raw) if raw else None, True
            if attempt:
                time.sleep(random.uniform(0, 0.002 * attempt))  # noqa: S311 (spreads the racers, no secret)
        raise Conflict(f"the run {key} changed {_RACES} times while it was to be updated")

    def _look(self, key: RunKey, event: Event, token: int | None) -> Stored | None:
        """The run as it stands. Raises TakenOver when another worker holds a newer token."""
        if token is None:
            return self.load(key)
        with self.redis.pipeline(transaction=True) as pipe:
            pipe.get(_fence_of(key, event))
            pipe.get(_run(key))
            newest, raw = pipe.execute()
        if int(newest or 0) > token:
            raise _taken_over(key, event)
        return _stored(key, raw) if raw else None

    def _step(
        self, run: Run, event: Event, effects: tuple[Effect, ...], before: Stored | None, token: int | None
    ) -> Step:
        publish = any(isinstance(effect, Publish) for effect in effects)
        step = Step(
            run=_run(run.key),
            version=before.version if before else "",
            log=_log(run.key),
            retention=self._retention,
            event=pack(EVENT.dump_json(event)),
            state=pack(run.model_dump_json().encode()),
            name=str(run.key),
            runs=(_RUNS, run.created_at if run.triggers else None),
            deadlines=(_DEADLINES, run.deadline),
            unpublished=(_UNPUBLISHED, event.at if publish else None),
            fence="" if token is None else _fence_of(run.key, event),
            token=token,
        )
        for effect in effects:
            match effect:
                case StartAgent():
                    step.calls.append(("send", self._queues.to_send(JobSpec.agent(run, effect))))
                case StopAgent():
                    step.stops.append(_stop(run.key, effect.agent, effect.attempt))
                    job = agent_job(run.key, effect.agent, effect.attempt)
                    step.calls.append(("drop", self._queues.to_drop(job, run)))
                case Publish():
                    step.calls.append(self._publish(run, event, begins=before is None and not run.complete))
        return step

    def _publish(self, run: Run, event: Event, *, begins: bool) -> tuple[str, list[Any]]:
        """The call that has a run published: at once; in a moment where there is nothing to show but that it begins."""
        spec = JobSpec.publish(run.key, run.installation)
        if begins:
            return "later", self._queues.to_put_off(spec, event.at + ANNOUNCED_AFTER)
        return "send", self._queues.to_send(spec)

    def to_publish(self, key: RunKey) -> Stored | None:
        """The run as it stands, while there is anything in it that GitHub does not show yet."""
        with self.redis.pipeline(transaction=True) as pipe:
            pipe.zscore(_UNPUBLISHED, str(key))
            pipe.get(_run(key))
            since, raw = pipe.execute()
        return _stored(key, raw) if raw and since is not None else None

    def load(self, key: RunKey) -> Stored | None:
        """The run as it stands. Raises OtherVersion for one that this version does not understand."""
        raw = cast("bytes | None", self.redis.get(_run(key)))
        return _stored(key, raw) if raw else None

    def newer(self, stored: Stored) -> Stored:
        """The run as it stands now: what is given, while it has not changed or is past its retention."""
        raw = cast("bytes | None", self.redis.get(_run(stored.run.key)))
        return stored if raw is None or version_of(raw) == stored.version else _stored(stored.run.key, raw)

    def log(self, key: RunKey) -> list[Event]:
        """Every event the run ever saw, in the order in which it was folded in."""
        entries = cast("list[tuple[bytes, dict[bytes, bytes]]]", self.redis.xrange(_log(key)))
        return [understood(EVENT, unpack(fields[b"event"]), f"the log of {key}") for _, fields in entries]

    def recent(self, limit: int = 50) -> list[Run]:
        """The newest runs first, without those that this version does not understand. Forgets those whose retention is
        over."""
        runs: list[Run] = []
        for name in cast("list[bytes]", self.redis.zrevrange(_RUNS, 0, -1)):
            if len(runs) >= limit:
                break
            try:
                stored = self.load(RunKey.parse(name.decode()))
            except OtherVersion as error:
                log.warning("%s", error)
                continue
            if stored is None:
                self.redis.zrem(_RUNS, name)
            else:
                runs.append(stored.run)
        return runs

    def find(self, prefix: str) -> list[RunKey]:
        """The runs whose key, or whose SHA, begins with this text."""
        names = (name.decode() for name in cast("list[bytes]", self.redis.zrevrange(_RUNS, 0, -1)))
        return [RunKey.parse(n) for n in names if n.startswith(prefix) or n.partition("@")[2].startswith(prefix)]

    def stopped(self, key: RunKey, agent: str, attempt: int) -> bool:
        """Whether nobody waits for this attempt any more."""
        return bool(self.redis.exists(_stop(key, agent, attempt)))

    def overdue(self, now: float, limit: int = 100) -> list[RunKey]:
        """Runs with a deadline that has passed."""
        names = cast("list[bytes]", self.redis.zrangebyscore(_DEADLINES, 0, now, start=0, num=limit))
        return [RunKey.parse(name.decode()) for name in names]

    def put_off_deadline(self, key: RunKey, until: float) -> None:
        """Do not count a run as overdue before that time, unless it changes."""
        self.redis.zadd(_DEADLINES, {str(key): until}, xx=True)

    def forget_deadline(self, key: RunKey) -> None:
        """Drop the deadline of a run that is no longer there."""
        self.redis.zrem(_DEADLINES, str(key))

    def feed(self) -> None:
        """See to it that every queue with waiting jobs has one ready."""
        self._queues.feed()

    # -- results that may serve again

    def note_result(self, digest: str, key: RunKey, agent: str, attempt: int, ttl: int) -> None:
        """Note, for `ttl` seconds, where the result that a digest stands for is told: nothing is kept twice."""
        noted = _Noted(key=key, agent=agent, attempt=attempt)
        self.redis.set(_result(digest), noted.model_dump_json(), ex=ttl)

    def noted_result(self, digest: str) -> tuple[RunKey, AgentFinished] | None:
        """The run, and its agent's word, that a digest stands for. None where there is none, or no longer, and where an
        attempt has more than one: then it was not that sure."""
        raw = cast("bytes | None", self.redis.get(_result(digest)))
        try:
            return self._told(understood(_NOTED, raw, "a result that may serve again")) if raw else None
        except OtherVersion as error:
            log.info("%s", error)
            return None

    def _told(self, noted: _Noted) -> tuple[RunKey, AgentFinished] | None:
        entries = cast("list[tuple[bytes, dict[bytes, bytes]]]", self.redis.xrange(_log(noted.key)))
        told = [event for _, fields in entries if b'"AgentFinished"' in (event := unpack(fields[b"event"]))]
        found = [
            event
            for event in (understood(EVENT, one, f"the log of {noted.key}") for one in told)
            if isinstance(event, AgentFinished) and (event.agent, event.attempt) == (noted.agent, noted.attempt)
        ]
        return (noted.key, found[0]) if len(found) == 1 else None

    # -- jobs for later

    def enqueue(self, spec: JobSpec) -> None:
        self._queues.enqueue(spec)

    def later(self, spec: JobSpec, at: float) -> None:
        """Send a job at a time, in seconds since the epoch. The sweep does it."""
        self._queues.put_off(spec, at)

    def send_due(self, now: float, limit: int = 100) -> int:
        """Send the jobs whose time has come; how many. One that would have to wait for longer than anything is put off
        for was put off by a clock that was ahead."""
        due = cast("list[bytes]", self.redis.zrangebyscore(LATER, 0, now, start=0, num=limit))
        due += cast("list[bytes]", self.redis.zrangebyscore(LATER, now + _LONGEST_WAIT, "+inf", start=0, num=limit))
        return sum(self._send_due(member) for member in due)

    def _send_due(self, member: bytes) -> bool:
        try:
            spec = understood(_SPEC, member, "a job that was put off")
        except OtherVersion as error:
            # It waits for the newer version's sweep.
            log.debug("%s", error)
            return False
        return self._queues.enqueue_due(member, spec)

    # -- what was published

    def publication(self, key: RunKey) -> Publication:
        raw = cast("bytes | None", self.redis.get(_publication(key)))
        return understood(_PUBLICATION, unpack(raw), f"what is published of {key}") if raw else Publication()

    def save_publication(self, key: RunKey, publication: Publication) -> None:
        with self.redis.pipeline(transaction=True) as pipe:
            pipe.set(_publication(key), pack(publication.model_dump_json().encode()), ex=self._retention)
            if publication.finished:
                pipe.zrem(_UNFINISHED, str(key))
            else:
                pipe.zadd(_UNFINISHED, {str(key): publication.written_at})
            pipe.execute()

    def unfinished_checks(self, before: float, limit: int = 1000) -> list[RunKey]:
        """Runs with checks that are unfinished on GitHub and were last written before that time."""
        names = cast("list[bytes]", self.redis.zrangebyscore(_UNFINISHED, 0, before, start=0, num=limit))
        return [RunKey.parse(name.decode()) for name in names]

    def forget_checks(self, key: RunKey) -> None:
        """Do not call a run's checks unfinished any more."""
        self.redis.zrem(_UNFINISHED, str(key))

    def published(self, key: RunKey, version: str) -> None:
        """Note that GitHub shows this version. A run that has changed since stays on the list."""
        self.redis.eval(_PUBLISHED, 2, _run(key), _UNPUBLISHED, version, str(key))

    def let_be(self, key: RunKey) -> None:
        """Do not try to publish a run any more, until it changes."""
        stored = self.load(key)
        if stored is not None:
            self.published(key, stored.version)

    def give_up_publishing(self, stored: Stored, why: str) -> None:
        """Do not try to publish a run any more, until it changes or something changes for its installation."""
        run = stored.run
        self.save_publication(run.key, self.publication(run.key).model_copy(update={"refusal": why}))
        with self.redis.pipeline(transaction=True) as pipe:
            pipe.zadd(_refused(run.installation), {str(run.key): run.updated_at})
            pipe.expire(_refused(run.installation), self._retention)
            pipe.execute()
        self.published(run.key, stored.version)

    def publish_refused(self, installation: int) -> int:
        """Have what GitHub refused of this installation published again, the newest first; how many runs."""
        names = cast("list[bytes]", self.redis.zrevrange(_refused(installation), 0, -1))
        for name in names:
            self.publish(RunKey.parse(name.decode()), installation)
            self.redis.zrem(_refused(installation), name)
        return len(names)

    def publish(self, key: RunKey, installation: int) -> None:
        """Have a run published again."""
        self.redis.zadd(_UNPUBLISHED, {str(key): time.time()}, nx=True)
        self.enqueue(JobSpec.publish(key, installation))

    def publish_again(self, key: RunKey) -> bool:
        """Have a run published once more, for what GitHub shows may have changed; whether there is such a run."""
        stored = self.load(key)
        if stored is None or not stored.run.triggers:
            return False
        self.publish(key, stored.run.installation)
        return True

    def unpublished(self, before: float, limit: int = 100) -> list[RunKey]:
        """Runs that have waited to be shown since before that time."""
        names = cast("list[bytes]", self.redis.zrangebyscore(_UNPUBLISHED, 0, before, start=0, num=limit))
        return [RunKey.parse(name.decode()) for name in names]

    def postpone_publishing(self, key: RunKey, now: float) -> None:
        """Note that a run was sent to be published again, so that it is not sent at every pass."""
        self.redis.zadd(_UNPUBLISHED, {str(key): now})

    def pull(self, repository: str, number: int) -> PullMemory:
        raw = cast("bytes | None", self.redis.get(_pull(repository, number)))
        return understood(_PULL, unpack(raw), f"the memory of {repository}#{number}") if raw else PullMemory()

    def save_pull(self, repository: str, number: int, memory: PullMemory) -> None:
        self.redis.set(_pull(repository, number), pack(memory.model_dump_json().encode()), ex=self._retention)


def _stored(key: RunKey, raw: bytes) -> Stored:
    return Stored(run=understood(_RUN, unpack(raw), f"the run {key}"), version=version_of(raw))


def _taken_over(key: RunKey, event: Event) -> TakenOver:
    assert isinstance(event, AgentStarted | AgentProgressed | AgentFinished)
    return TakenOver(f"{key}: another worker has taken {event.agent} over")


def _fence_of(key: RunKey, event: Event) -> str:
    assert isinstance(event, AgentStarted | AgentProgressed | AgentFinished)
    return _fence(key, event.agent, event.attempt)


def _run(key: RunKey) -> str:
    return f"assay:run:{key}"


def _log(key: RunKey) -> str:
    return f"assay:log:{key}"


def _refused(installation: int) -> str:
    return f"assay:refused:{installation}"


def _publication(key: RunKey) -> str:
    return f"assay:publication:{key}"


def _stop(key: RunKey, agent: str, attempt: int) -> str:
    return f"assay:stop:{key}:{agent}:{attempt}"


def _fence(key: RunKey, agent: str, attempt: int) -> str:
    return f"assay:fence:{key}:{agent}:{attempt}"


def _pull(repository: str, number: int) -> str:
    return f"assay:pull:{repository}#{number}"


def _result(digest: str) -> str:
    return f"assay:result:{digest}"
