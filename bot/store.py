"""The state of every run, in Redis: an event log, the state it folds into, and what is due.

`Store.update` is the only way a run changes: load, reduce, then event, state, deadline and jobs in one transaction,
tried again when somebody else was faster. All keys begin with `assay:`.
"""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast
from uuid import uuid4

from redis import Redis
from redis.client import Pipeline
from redis.exceptions import WatchError

from bot.domain.effects import Effect, Publish, StartAgent, StopAgent
from bot.domain.events import EVENT, Event
from bot.domain.model import Frozen
from bot.domain.publication import Publication, PullMemory
from bot.domain.reduce import reduce
from bot.domain.run import Run, RunKey
from bot.errors import Conflict
from bot.queues import JobSpec, Queues

_RACES = 50
_LATER = "assay:later"
_RUNS = "assay:runs"
_DEADLINES = "assay:deadlines"
_UNPUBLISHED = "assay:unpublished"

# A lock is freed and prolonged only for the one who holds it.
_UNLOCK = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0"
_KEEP = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('pexpire', KEYS[1], ARGV[2]) end return 0"


class Stored(Frozen):
    """A run as it stood in Redis; `version` changes whenever the run does."""

    run: Run
    version: str


class Store:
    """`retention` is how long a run is kept after its last change, in seconds."""

    def __init__(self, redis: Redis, queues: Queues, retention: int) -> None:
        self.redis = redis
        self._queues = queues
        self._retention = retention

    # -- runs

    def update(self, key: RunKey, event: Event) -> Run | None:
        """Fold an event into a run, and return the run; None where there is none and the event opens none.

        Raises Conflict after losing too many races.
        """
        for attempt in range(_RACES):
            with self.redis.pipeline() as pipe:
                try:
                    pipe.watch(_run(key))  # type: ignore[no-untyped-call]  # redis-py has no types here
                    raw = cast("bytes | None", pipe.get(_run(key)))
                    before = Run.model_validate_json(raw) if raw else None
                    step = reduce(before, event, key)
                    if step.run is None or (step.run == before and not step.effects):
                        return before
                    pipe.multi()
                    self._save(pipe, step.run, event, step.effects)
                    pipe.execute()
                except WatchError:
                    time.sleep(random.uniform(0, 0.002 * (attempt + 1)))  # noqa: S311 (spreads the racers, no secret)
                else:
                    return step.run
        raise Conflict(f"the run {key} changed {_RACES} times while it was to be updated")

    def _save(self, pipe: Pipeline, run: Run, event: Event, effects: tuple[Effect, ...]) -> None:
        name = str(run.key)
        pipe.xadd(_log(run.key), {"event": EVENT.dump_json(event)})
        pipe.expire(_log(run.key), self._retention)
        pipe.set(_run(run.key), run.model_dump_json(), ex=self._retention)
        if run.triggers:
            pipe.zadd(_RUNS, {name: run.created_at})
        if run.deadline is None:
            pipe.zrem(_DEADLINES, name)
        else:
            pipe.zadd(_DEADLINES, {name: run.deadline})
        for effect in effects:
            match effect:
                case StartAgent():
                    self._queues.enqueue(JobSpec.agent(run.key, effect), pipe)
                case StopAgent():
                    pipe.set(_stop(run.key, effect.agent, effect.attempt), "1", ex=86400)
                case Publish():
                    pipe.zadd(_UNPUBLISHED, {name: event.at})
                    self._queues.enqueue(JobSpec.publish(run.key), pipe)

    def load(self, key: RunKey) -> Stored | None:
        raw = cast("bytes | None", self.redis.get(_run(key)))
        if raw is None:
            return None
        return Stored(run=Run.model_validate_json(raw), version=hashlib.sha256(raw).hexdigest())

    def log(self, key: RunKey) -> list[Event]:
        """Every event the run ever saw, in the order in which it was folded in."""
        entries = cast("list[tuple[bytes, dict[bytes, bytes]]]", self.redis.xrange(_log(key)))
        return [EVENT.validate_json(fields[b"event"]) for _, fields in entries]

    def recent(self, limit: int = 50) -> list[Run]:
        """The newest runs first. Forgets those whose retention is over."""
        runs: list[Run] = []
        for name in cast("list[bytes]", self.redis.zrevrange(_RUNS, 0, -1)):
            if len(runs) >= limit:
                break
            stored = self.load(RunKey.parse(name.decode()))
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

    def forget_deadline(self, key: RunKey) -> None:
        """Drop the deadline of a run that is no longer there."""
        self.redis.zrem(_DEADLINES, str(key))

    # -- jobs for later

    def enqueue(self, spec: JobSpec) -> None:
        self._queues.enqueue(spec)

    def later(self, spec: JobSpec, at: float) -> None:
        """Send a job at a time, in seconds since the epoch. The sweep does it."""
        self.redis.zadd(_LATER, {spec.model_dump_json(): at})

    def send_due(self, now: float, limit: int = 100) -> int:
        """Send the jobs whose time has come; how many."""
        due = cast("list[bytes]", self.redis.zrangebyscore(_LATER, 0, now, start=0, num=limit))
        sent = 0
        for member in due:
            spec = JobSpec.model_validate_json(member)
            with self.redis.pipeline() as pipe:
                pipe.watch(_LATER)  # type: ignore[no-untyped-call]  # redis-py has no types here
                if pipe.zscore(_LATER, member) is None:
                    continue
                pipe.multi()
                pipe.zrem(_LATER, member)
                self._queues.enqueue(spec, pipe)
                try:
                    pipe.execute()
                except WatchError:
                    continue
                sent += 1
        return sent

    # -- what was published

    def publication(self, key: RunKey) -> Publication:
        raw = cast("bytes | None", self.redis.get(_publication(key)))
        return Publication.model_validate_json(raw) if raw else Publication()

    def save_publication(self, key: RunKey, publication: Publication) -> None:
        self.redis.set(_publication(key), publication.model_dump_json(), ex=self._retention)

    def published(self, key: RunKey, version: str) -> None:
        """Note that GitHub shows this version. A run that has changed since stays on the list."""
        stored = self.load(key)
        if stored is None or stored.version == version:
            self.redis.zrem(_UNPUBLISHED, str(key))

    def unpublished(self, before: float, limit: int = 100) -> list[RunKey]:
        """Runs that have waited to be shown since before that time."""
        names = cast("list[bytes]", self.redis.zrangebyscore(_UNPUBLISHED, 0, before, start=0, num=limit))
        return [RunKey.parse(name.decode()) for name in names]

    def postpone_publishing(self, key: RunKey, now: float) -> None:
        """Note that a run was sent to be published again, so that it is not sent at every pass."""
        self.redis.zadd(_UNPUBLISHED, {str(key): now}, xx=True)

    def pull(self, repository: str, number: int) -> PullMemory:
        raw = cast("bytes | None", self.redis.get(_pull(repository, number)))
        return PullMemory.model_validate_json(raw) if raw else PullMemory()

    def save_pull(self, repository: str, number: int, memory: PullMemory) -> None:
        self.redis.set(_pull(repository, number), memory.model_dump_json(), ex=self._retention)

    def move_head(self, repository: str, number: int, sha: str) -> str | None:
        """Note the head of a pull request; the head it had before, None for the same one or none."""
        old = cast("bytes | None", self.redis.set(_head(repository, number), sha, ex=self._retention, get=True))
        return old.decode() if old and old.decode() != sha else None

    def head(self, repository: str, number: int) -> str | None:
        raw = cast("bytes | None", self.redis.get(_head(repository, number)))
        return raw.decode() if raw else None

    @contextmanager
    def lock(self, name: str, ttl: float) -> Iterator[Callable[[], bool] | None]:
        """Hold a lock for `ttl` seconds at a time. Yields what prolongs it by as much and says whether it is still
        held; None where somebody else holds it."""
        key, token, milliseconds = f"assay:lock:{name}", uuid4().hex, str(int(ttl * 1000))
        if not self.redis.set(key, token, nx=True, px=int(milliseconds)):
            yield None
            return
        try:
            yield lambda: bool(self.redis.eval(_KEEP, 1, key, token, milliseconds))
        finally:
            self.redis.eval(_UNLOCK, 1, key, token)


def _run(key: RunKey) -> str:
    return f"assay:run:{key}"


def _log(key: RunKey) -> str:
    return f"assay:log:{key}"


def _publication(key: RunKey) -> str:
    return f"assay:publication:{key}"


def _stop(key: RunKey, agent: str, attempt: int) -> str:
    return f"assay:stop:{key}:{agent}:{attempt}"


def _pull(repository: str, number: int) -> str:
    return f"assay:pull:{repository}#{number}"


def _head(repository: str, number: int) -> str:
    return f"assay:head:{repository}#{number}"
