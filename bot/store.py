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
from bot.domain.publication import ANNOUNCED_AFTER
from bot.domain.reduce import reduce
from bot.domain.run import Run, RunKey, Stored, as_written_now
from bot.domain.stored import understood
from bot.errors import Conflict, OtherVersion, TakenOver
from bot.jobs import JobSpec, agent_job
from bot.packing import pack, unpack
from bot.queues import Queues
from bot.saving import Saving, Step, version_of

log = logging.getLogger(__name__)

_RACES = 50
_RUNS = "assay:runs"
_DEADLINES = "assay:deadlines"
# Runs that GitHub does not show as they stand, by since when: `publishing/unpublished.py` keeps it.
UNPUBLISHED = "assay:unpublished"

_RUN = TypeAdapter(Run)


class Store:
    """`retention` is how long a run is kept after its last change, in seconds."""

    def __init__(self, redis: Redis, queues: Queues, retention: int) -> None:
        self.redis = redis
        self.queues = queues
        self.retention = retention
        self._saving = Saving(redis)

    def take_up(self, key: RunKey, agent: str, attempt: int) -> tuple[int, Stored | None]:
        """A new fencing token for the work on an attempt, and the run as it stands: whoever holds an older token is not
        listened to any more."""
        fence = _fence(key, agent, attempt)
        with self.redis.pipeline(transaction=True) as pipe:
            pipe.incr(fence)
            pipe.expire(fence, self.retention)
            pipe.get(state_key(key))
            token, _, raw = pipe.execute()
        return int(token), to_stored(key, raw) if raw else None

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
            stored, asked = to_stored(key, raw) if raw else None, True
            if attempt:
                time.sleep(random.uniform(0, 0.002 * attempt))  # noqa: S311 (spreads the racers, no secret)
        raise Conflict(f"the run {key} changed {_RACES} times while it was to be updated")

    def _look(self, key: RunKey, event: Event, token: int | None) -> Stored | None:
        """The run as it stands. Raises TakenOver when another worker holds a newer token."""
        if token is None:
            return self.load(key)
        newest, raw = cast("list[bytes | None]", self.redis.mget(_fence_of(key, event), state_key(key)))
        if int(newest or 0) > token:
            raise _taken_over(key, event)
        return to_stored(key, raw) if raw else None

    def _step(
        self, run: Run, event: Event, effects: tuple[Effect, ...], before: Stored | None, token: int | None
    ) -> Step:
        publish = any(isinstance(effect, Publish) for effect in effects)
        step = Step(
            run=state_key(run.key),
            version=before.version if before else "",
            log=_log(run.key),
            retention=self.retention,
            event=pack(EVENT.dump_json(event)),
            state=pack(run.model_dump_json().encode()),
            name=str(run.key),
            runs=(_RUNS, run.created_at if run.triggers else None),
            deadlines=(_DEADLINES, run.deadline),
            unpublished=(UNPUBLISHED, event.at if publish else None),
            fence="" if token is None else _fence_of(run.key, event),
            token=token,
        )
        for effect in effects:
            match effect:
                case StartAgent():
                    step.calls.append(("send", self.queues.to_send(JobSpec.agent(run, effect))))
                case StopAgent():
                    step.stops.append(_stop(run.key, effect.agent, effect.attempt))
                    job = agent_job(run.key, effect.agent, effect.attempt)
                    step.calls.append(("drop", self.queues.to_drop(job, run)))
                case Publish():
                    step.calls.append(self._publish(run, event, begins=before is None and not run.complete))
        return step

    def _publish(self, run: Run, event: Event, *, begins: bool) -> tuple[str, list[Any]]:
        """The call that has a run published: at once; in a moment where there is nothing to show but that it begins."""
        spec = JobSpec.publish(run.key, run.installation)
        if begins:
            return "later", self.queues.to_put_off(spec, event.at + ANNOUNCED_AFTER)
        return "send", self.queues.to_send(spec)

    def load(self, key: RunKey) -> Stored | None:
        """The run as it stands. Raises OtherVersion for one that this version does not understand."""
        raw = cast("bytes | None", self.redis.get(state_key(key)))
        return to_stored(key, raw) if raw else None

    def newer(self, stored: Stored) -> Stored:
        """The run as it stands now: what is given, while it has not changed or is past its retention."""
        raw = cast("bytes | None", self.redis.get(state_key(stored.run.key)))
        return stored if raw is None or version_of(raw) == stored.version else to_stored(stored.run.key, raw)

    def log(self, key: RunKey, kind: str = "") -> list[Event]:
        """Every event the run ever saw, in the order in which it was folded in; where a `kind` is given, only those of
        it, and the others need not be understood."""
        entries = cast("list[tuple[bytes, dict[bytes, bytes]]]", self.redis.xrange(_log(key)))
        texts = (unpack(fields[b"event"]) for _, fields in entries)
        wanted = (text for text in texts if f'"{kind}"'.encode() in text) if kind else texts
        events = (understood(EVENT, text, f"the log of {key}") for text in wanted)
        return [event for event in events if kind in ("", event.kind)]

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


def to_stored(key: RunKey, raw: bytes) -> Stored:
    """The run of what is kept at `state_key`. Raises OtherVersion for one that this version does not understand."""
    run = understood(_RUN, as_written_now(unpack(raw)), f"the run {key}")
    return Stored(run=run, version=version_of(raw))


def _taken_over(key: RunKey, event: Event) -> TakenOver:
    assert isinstance(event, AgentStarted | AgentProgressed | AgentFinished)
    return TakenOver(f"{key}: another worker has taken {event.agent} over")


def _fence_of(key: RunKey, event: Event) -> str:
    assert isinstance(event, AgentStarted | AgentProgressed | AgentFinished)
    return _fence(key, event.agent, event.attempt)


def state_key(key: RunKey) -> str:
    """Where the state of a run is kept."""
    return f"assay:run:{key}"


def _log(key: RunKey) -> str:
    return f"assay:log:{key}"


def _stop(key: RunKey, agent: str, attempt: int) -> str:
    return f"assay:stop:{key}:{agent}:{attempt}"


def _fence(key: RunKey, agent: str, attempt: int) -> str:
    return f"assay:fence:{key}:{agent}:{attempt}"
