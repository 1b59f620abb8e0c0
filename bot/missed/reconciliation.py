"""Reconciliation: what GitHub has is compared with the runs, for webhooks that never came, never went, or were lost.

A pass goes over every repository. A pull request, or a push to the default branch, that changed since the last pass and
that the runs do not know is told to intake as a webhook would have told it (`restated`), so that configuration, forks
and supersession are intake's as ever. Then the checks of commits that nobody works on are looked at, and what is
unfinished among them is ended (`loose_checks`).

What is still to be done is a list in Redis. One small thing is done at a time and only then struck off, so a pass may
be cut off anywhere; what it brings to light goes to the end, so that a large installation does not keep others waiting.

An ETag for each list would save nothing: GitHub's belong to a token, and an installation's lives for an hour.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Annotated, Literal, Protocol, assert_never, cast

from pydantic import Field, TypeAdapter
from redis import Redis
from redis.exceptions import RedisError

from bot.deliveries import Deliveries
from bot.domain.model import Frozen
from bot.domain.run import RunKey
from bot.errors import Gone, Misconfigured, OtherVersion, Refused, Theirs, Unavailable
from bot.github.checks import Checks
from bot.github.contents import Contents
from bot.github.installations import InstallationSeen, InstalledRepository
from bot.github.restated import restate
from bot.jobs import JobSpec, Priority
from bot.missed.comparison import Change, changes, is_news
from bot.publishing.records import Records
from bot.store import Store

log = logging.getLogger(__name__)

# Seconds by which passes overlap: GitHub's clock is not ours, and its lists lag behind.
OVERLAP = 600.0
# After a longer absence only this much of it is made up for.
LONGEST = 7 * 86400.0
# GitHub itself ends an unfinished check after two weeks (`stale`).
STALE = 14 * 86400.0
# What is younger is left to the next pass: its webhook may be on its way; seconds.
ON_ITS_WAY = 60.0
# A check that was written longer ago and is unfinished, though its run is complete, has been forgotten; seconds.
FORGOTTEN = 3600.0

_STATE = "assay:reconciliation"
_TODO = "assay:reconciliation:todo"


class Pass(Frozen):
    """One round. What changed after `since` is compared, checks of what changed after `checks_since` are looked at.
    Counted are repositories `seen`, webhooks `told` to intake, and commits with `loose` checks. Times are in seconds
    since the epoch."""

    began: float
    since: float
    checks_since: float
    seen: int = 0
    told: int = 0
    loose: int = 0
    ended: float | None = None


class ListRepositories(Frozen):
    """A page of an installation's repositories is to be read. The App was installed at `created_at`."""

    kind: Literal["installation"] = "installation"
    installation: int
    created_at: float
    page: int = 1


class CompareRepository(Frozen):
    kind: Literal["repository"] = "repository"
    installation: int
    created_at: float
    repository: InstalledRepository


class LookAtChecks(Frozen):
    """Nobody works on this commit; are all its checks complete?"""

    kind: Literal["checks"] = "checks"
    installation: int
    key: RunKey


Todo = Annotated[ListRepositories | CompareRepository | LookAtChecks, Field(discriminator="kind")]
_TODO_ITEM: TypeAdapter[Todo] = TypeAdapter(Todo)


class GitHub(Protocol):
    """What is read of GitHub."""

    def installations(self) -> Iterator[InstallationSeen]: ...
    def repositories(self, installation: int, page: int) -> tuple[tuple[InstalledRepository, ...], bool]: ...
    def contents(self, installation: int, repository: str) -> Contents: ...
    def checks(self, installation: int, repository: str) -> Checks: ...


def next_pass(last: Pass | None, now: float, first: float) -> Pass:
    """What the next pass is about: all since the last one that came to its end began, and no more than that.

    Where none is remembered (Assay is new, or its data was lost) that is `first` seconds; it is no reason to look at
    every open pull request there is. But checks that an Assay before this one left unfinished would stay so.
    """
    if last is None:
        return Pass(began=now, since=now - first, checks_since=now - STALE)
    since = last.began - OVERLAP if last.ended is not None else last.since
    checks_since = last.began - OVERLAP if last.ended is not None else last.checks_since
    return Pass(
        began=now, since=max(min(since, now), now - LONGEST), checks_since=max(min(checks_since, now), now - STALE)
    )


class Reconciliation:
    """`step` does one small thing; whoever calls it sees to it that nobody else does.

    `has_room()` says whether intake can take more; `first` is how far back the very first pass goes, in seconds.
    """

    def __init__(
        self,
        store: Store,
        records: Records,
        deliveries: Deliveries,
        github: GitHub,
        has_room: Callable[[], bool],
        interval: float,
        first: float,
    ) -> None:
        self._store = store
        self._records = records
        self._redis = store.redis
        self._deliveries = deliveries
        self._github = github
        self._has_room = has_room
        self._interval = interval
        self._first = first
        self._at_once = False

    def wake(self) -> None:
        """Begin a pass at the next step, as after an absence."""
        self._at_once = True

    def step(self, now: float) -> bool:
        """Do one thing of the pass under way, or begin one; whether something was done. Raises AssayError."""
        current = load(self._redis)
        if current is None or self._at_once or (current.ended is not None and now >= current.began + self._interval):
            self._begin(next_pass(current, now, self._first))
            self._at_once = False
            return True
        if current.ended is not None or not self._has_room():
            return False
        raw = cast("bytes | None", self._redis.lindex(_TODO, 0))
        if raw is None:
            self._end(current, now)
        else:
            self._take(current, raw, now)
        return True

    def _begin(self, new: Pass) -> None:
        found = [
            ListRepositories(installation=one.id, created_at=one.created_at)
            for one in self._github.installations()
            if not one.suspended
        ]
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.delete(_TODO)
            if found:
                pipe.rpush(_TODO, *(one.model_dump_json() for one in found))
            pipe.set(_STATE, new.model_dump_json())
            pipe.execute()
        self._look_after_forgotten(new.began)

    def _end(self, current: Pass, now: float) -> None:
        self._redis.set(_STATE, current.model_copy(update={"ended": now}).model_dump_json())
        log.info(
            "repositories compared with the runs: %d, webhooks missing: %d, commits with unfinished checks: %d",
            current.seen,
            current.told,
            current.loose,
        )

    def _look_after_forgotten(self, now: float) -> None:
        """Of what Assay itself wrote it knows what is unfinished."""
        for key in self._records.unfinished_checks(now - FORGOTTEN):
            try:
                stored = self._store.load(key)
            except OtherVersion as error:
                log.info("%s", error)
                continue
            if stored is None:
                self._records.forget_checks(key)
            elif stored.run.complete:
                self._store.queues.enqueue(JobSpec.loose_checks(key, stored.run.installation))

    # -- one thing

    def _take(self, current: Pass, raw: bytes, now: float) -> None:
        try:
            more, counted = self._do(current, _TODO_ITEM.validate_json(raw), now)
        except (Gone, Refused, Theirs) as error:
            # Deleted, suspended, or not ours any more: others are.
            log.warning("a repository is not compared with its runs: %s", error)
            more, counted = [], current
        except Unavailable as error:
            self._strike_off(current, raw, raw)
            if error.retry_after is None:
                raise
            return
        except (Misconfigured, RedisError):
            raise
        except Exception:
            # A bug: one repository must not keep all others from their turn.
            self._strike_off(current)
            raise
        self._strike_off(counted, *(one.model_dump_json() for one in more))

    def _strike_off(self, current: Pass, *more: str | bytes) -> None:
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.lpop(_TODO)
            if more:
                pipe.rpush(_TODO, *more)
            pipe.set(_STATE, current.model_dump_json())
            pipe.execute()

    def _do(self, current: Pass, todo: Todo, now: float) -> tuple[list[Todo], Pass]:
        """What there is to do beyond it, and the pass with its counts."""
        match todo:
            case ListRepositories():
                return self._list(todo), current
            case CompareRepository():
                more, told = self._compare(current, todo, now)
                return more, current.model_copy(update={"seen": current.seen + 1, "told": current.told + told})
            case LookAtChecks():
                loose = self._look_at_checks(todo)
                return [], current.model_copy(update={"loose": current.loose + loose})
            case _:
                assert_never(todo)

    def _list(self, todo: ListRepositories) -> list[Todo]:
        found, more = self._github.repositories(todo.installation, todo.page)
        next_page = [todo.model_copy(update={"page": todo.page + 1})] if more else []
        awake = sorted((one for one in found if not one.asleep), key=lambda one: -one.pushed_at)
        about = {"installation": todo.installation, "created_at": todo.created_at}
        return [*(CompareRepository(**about, repository=one) for one in awake), *next_page]

    def _compare(self, current: Pass, todo: CompareRepository, now: float) -> tuple[list[Todo], int]:
        repository, installation = todo.repository, todo.installation
        # What was there before the App was is no news, and has no checks of ours.
        since, checks_since = max(current.since, todo.created_at), max(current.checks_since, todo.created_at)
        contents = self._github.contents(installation, repository.full_name)
        idle, told = dict[str, Todo](), 0
        for change in changes(contents, repository, min(since, checks_since)):
            if change.updated_at > now - ON_ITS_WAY:
                continue
            key = RunKey(repository=repository.full_name, sha=change.head_sha)
            stored = self._store.load(key)
            run = stored.run if stored else None
            if change.updated_at >= since and is_news(run, change):
                told += self._tell(todo, change, now)
            elif run is None or run.complete:
                idle[key.sha] = LookAtChecks(installation=installation, key=key)
        return [*idle.values()], told

    def _tell(self, todo: CompareRepository, change: Change, now: float) -> bool:
        """Have intake read what the webhook would have told; whether it had not been told so before."""
        webhook = restate(todo.installation, todo.repository, change)
        if not self._deliveries.put(webhook.guid, webhook.event, webhook.body, now):
            return False
        name = todo.repository.full_name
        log.info("%s@%s: no webhook told of it; %s stands in for one", name, change.head_sha, webhook.guid)
        job = JobSpec.intake(webhook.guid, todo.installation, name)
        # What comes now is served before what was missed.
        self._store.queues.enqueue(job.model_copy(update={"priority": Priority.SCHEDULE}))
        return True

    def _look_at_checks(self, todo: LookAtChecks) -> bool:
        checks = self._github.checks(todo.installation, todo.key.repository).list(todo.key.sha)
        if all(check.status == "completed" for check in checks):
            return False
        self._store.queues.enqueue(JobSpec.loose_checks(todo.key, todo.installation))
        return True


def load(redis: Redis) -> Pass | None:
    """The pass under way, or the last one; None before the first."""
    raw = cast("bytes | None", redis.get(_STATE))
    return Pass.model_validate_json(raw) if raw else None
