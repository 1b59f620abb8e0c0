"""Intake: a delivery becomes events of runs, or is recorded as ignored with a reason.

A payload only says where to look. What is true of a pull request is read from GitHub, because deliveries come late and
out of order. Handling a delivery twice leads to the same end.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol, assert_never

from bot.deliveries import Deliveries
from bot.domain.events import CommitReceived, Event, PullChanged, RerunRequested
from bot.domain.plan import Plan, plan, why_not
from bot.domain.run import Run, RunKey
from bot.domain.triggers import MergeGroup, Pull, Push, Trigger
from bot.errors import AssayError, Conflict, Gone, Misconfigured, Refused, Theirs, Unavailable
from bot.github import payloads
from bot.github.contents import Contents, PullSeen
from bot.github.received import (
    CheckRerun,
    FromRepository,
    Ignored,
    InstallationChanged,
    MergeGroupReceived,
    Ping,
    PullReceived,
    PushReceived,
    SuiteRequested,
)
from bot.patience import pause
from bot.queues import JobSpec
from bot.store import Stored
from config.problems import Problem
from config.reading import CONFIG_FILE, Layer, Reading, read
from config.repository import RepositoryConfig

log = logging.getLogger(__name__)


class Source(Protocol):
    """Where repositories are read."""

    def contents(self, installation: int, repository: str) -> Contents: ...

    def organisation_config(self, installation: int, owner: str) -> str | None:
        """The text of the organisation's own configuration file, None where there is none."""


class Runs(Protocol):
    """Where runs are kept."""

    def load(self, key: RunKey) -> Stored | None: ...
    def update(self, key: RunKey, event: Event) -> Run | None: ...
    def move_head(self, repository: str, number: int, sha: str) -> str | None: ...
    def later(self, spec: JobSpec, at: float) -> None: ...


class Intake:
    """Reads deliveries. `app_id` and `bot_login()` tell Assay's own doings from other people's."""

    def __init__(
        self,
        deliveries: Deliveries,
        runs: Runs,
        source: Source,
        app_id: int,
        bot_login: Callable[[], str],
        clock: Callable[[], float],
    ) -> None:
        self._deliveries = deliveries
        self._runs = runs
        self._source = source
        self._app_id = app_id
        self._bot_login = bot_login
        self._clock = clock

    def on_delivery(self, guid: str) -> None:
        """Read one delivery and record what became of it. While GitHub is away, or the App's settings are wrong, the
        delivery stays and is tried again."""
        delivery = self._deliveries.load(guid)
        if delivery is None or not delivery.body:
            return
        try:
            outcome = self._read(delivery.event, delivery.body, guid)
        except (Theirs, Gone) as error:
            outcome = f"ignored: {error}"
        except Refused as error:
            self.give_up(guid, error)
            return
        except (Unavailable, Misconfigured, Conflict) as error:
            self._put_off(guid, delivery.received_at, error)
            return
        log.info("delivery %s %s: %s", guid, delivery.event, outcome)
        self._deliveries.settle(guid, outcome)

    def give_up(self, guid: str, error: Exception) -> None:
        """Record that a delivery could not be read, and why."""
        log.error("delivery %s: %s: %s", guid, type(error).__name__, error)
        words = str(error) if isinstance(error, AssayError) else f"{type(error).__name__}: {error}"
        self._deliveries.settle(guid, f"failed: {words}")

    def _put_off(self, guid: str, received_at: float, error: AssayError) -> None:
        asked = error.retry_after if isinstance(error, Unavailable) else None
        wait = pause(self._clock() - received_at, asked)
        if wait is None:
            self.give_up(guid, error)
            return
        log.warning("delivery %s waits %.0f s: %s", guid, wait, error)
        self._runs.later(JobSpec.intake(guid), self._clock() + wait)

    def _read(self, event: str, body: bytes, guid: str) -> str:
        received = payloads.parse(event, body, self._app_id, self._bot_login())
        match received:
            case Ignored():
                return f"ignored: {received.reason}"
            case Ping():
                return "accepted: ping"
            case InstallationChanged():
                return f"accepted: installation {received.installation} {received.action}"
            case PushReceived() | SuiteRequested():
                return self._on_push(received, guid)
            case PullReceived():
                contents = self._source.contents(received.installation, received.repository)
                return self._on_pull(received, contents.pull(received.number), contents, guid)
            case CheckRerun():
                return self._on_rerun(received, guid)
            case MergeGroupReceived():
                trigger = MergeGroup(head_ref=received.head_ref, base_sha=received.base_sha)
                return self._start(received, received.sha, trigger, received.sha, guid)
            case _:
                assert_never(received)

    # -- what comes in

    def _on_push(self, push: PushReceived | SuiteRequested, guid: str) -> str:
        """A push; `check_suite.requested` is GitHub's second word on the same, and backs up the first."""
        if not push.branch:
            return "ignored: GitHub names no branch for this commit; a pull request says what it is"
        sha = push.after if isinstance(push, PushReceived) else push.sha
        if isinstance(push, SuiteRequested) and self._knows(push, Push(branch=push.branch)):
            return f"accepted: {push.repository}@{sha} (known already)"
        contents = self._source.contents(push.installation, push.repository)
        trigger = Push(branch=push.branch, base_sha=_pushed_base(contents, push, sha))
        return self._start(push, sha, trigger, sha, guid)

    def _knows(self, suite: SuiteRequested, trigger: Trigger) -> bool:
        stored = self._runs.load(RunKey(repository=suite.repository, sha=suite.sha))
        return stored is not None and trigger.id in stored.run.requests

    def _on_pull(self, received: FromRepository, pull: PullSeen, contents: Contents, guid: str) -> str:
        key = RunKey(repository=received.repository, sha=pull.head_sha)
        if pull.state != "open":
            self._leave(key, pull, "the pull request was closed", received.sender, guid)
            return f"accepted: {key} (pull request #{pull.number} is closed)"
        self._supersede(key, pull, received.sender, guid)
        trigger = Pull(
            number=pull.number,
            title=pull.title,
            body=pull.body,
            author=pull.author,
            draft=pull.draft,
            base_ref=pull.base_ref,
            base_sha=contents.merge_base(pull.base_sha, pull.head_sha) or pull.base_sha,
            head_ref=pull.head_ref,
            head_repository=pull.head_repository,
            fork=pull.fork,
            updated_at=pull.updated_at,
        )
        # A stranger's branch must not choose how it is checked.
        config_ref = pull.base_ref if pull.fork else pull.head_sha
        outcome = self._start(received, pull.head_sha, trigger, config_ref, guid)
        if pull.draft and outcome.startswith("ignored"):
            self._leave(key, pull, "the pull request became a draft", received.sender, guid)
        return outcome

    def _supersede(self, key: RunKey, pull: PullSeen, actor: str, guid: str) -> None:
        old = self._runs.move_head(key.repository, pull.number, key.sha)
        if old is not None:
            reason = f"the pull request moved on to {key.sha[:7]}"
            old_key = RunKey(repository=key.repository, sha=old)
            self._leave(old_key, pull, reason, actor, guid, moved_to=key.sha)

    def _leave(
        self, key: RunKey, pull: PullSeen, reason: str, actor: str, guid: str, moved_to: str | None = None
    ) -> None:
        changed = PullChanged(
            at=self._clock(),
            delivery=guid,
            actor=actor,
            number=pull.number,
            updated_at=pull.updated_at,
            reason=reason,
            moved_to=moved_to,
        )
        self._runs.update(key, changed)

    def _on_rerun(self, rerun: CheckRerun, guid: str) -> str:
        key = RunKey(repository=rerun.repository, sha=rerun.sha)
        name = rerun.check_name or ""
        agents = (name.removeprefix("assay / "),) if name.startswith("assay / ") and name != "assay / config" else ()
        asked = RerunRequested(
            at=self._clock(), delivery=guid, actor=rerun.sender, agents=agents, failed_only=rerun.failed_only
        )
        run = self._runs.update(key, asked)
        if run is not None and run.triggers and not run.plan.problems:
            return f"accepted: {key}"
        return self._find(rerun, guid)

    def _find(self, rerun: CheckRerun, guid: str) -> str:
        """Start a run nobody remembers (or whose configuration was bad) from what GitHub knows of the commit."""
        contents = self._source.contents(rerun.installation, rerun.repository)
        outcome = ""
        for number in contents.pulls_for_commit(rerun.sha) or rerun.pulls:
            outcome = self._on_pull(rerun, contents.pull(number), contents, guid)
        if outcome:
            return outcome
        # On a branch of this repository it is its writers'. Anything else may be a stranger's, from a fork.
        branch = rerun.branch
        if not branch and contents.merge_base(rerun.default_branch, rerun.sha) == rerun.sha:
            branch = rerun.default_branch
        if not branch:
            return "ignored: neither a branch of this repository nor an open pull request has this commit"
        trigger = Push(branch=branch, base_sha=contents.parent(rerun.sha))
        return self._start(rerun, rerun.sha, trigger, rerun.sha, guid)

    # -- starting

    def _start(self, received: FromRepository, sha: str, trigger: Trigger, config_ref: str, guid: str) -> str:
        planned = self._plan(received, trigger, config_ref)
        if isinstance(planned, str):
            return f"ignored: {planned}"
        key = RunKey(repository=received.repository, sha=sha)
        event = CommitReceived(
            at=self._clock(),
            delivery=guid,
            actor=received.sender,
            installation=received.installation,
            trigger=trigger,
            plan=planned,
        )
        self._runs.update(key, event)
        return f"accepted: {key}"

    def _plan(self, received: FromRepository, trigger: Trigger, ref: str) -> Plan | str:
        """The plan, or why there is none."""
        reading = self._reading(received, ref)
        if reading.problems:
            return Plan(source=reading.source, problems=reading.problems)
        if reason := why_not(reading.config, trigger, received.default_branch):
            return reason
        return plan(reading.config, trigger, reading.source)

    def _reading(self, received: FromRepository, ref: str) -> Reading:
        owner = received.repository.partition("/")[0]
        contents = self._source.contents(received.installation, received.repository)
        shared = Layer(name=f"organisation {owner}", file=f"{owner}/.github:{CONFIG_FILE}", text=None)
        own = Layer(name=f"{CONFIG_FILE} at {_short(ref)}", file=CONFIG_FILE, text=None)
        layers = (
            _filled(shared, lambda: self._source.organisation_config(received.installation, owner)),
            _filled(own, lambda: contents.file(CONFIG_FILE, ref)),
        )
        problems = tuple(layer for layer in layers if isinstance(layer, Problem))
        if problems:
            return Reading(RepositoryConfig(), own.name, problems)
        return read([layer for layer in layers if isinstance(layer, Layer)])


def _filled(layer: Layer, text: Callable[[], str | None]) -> Layer | Problem:
    """The layer with its text; or, for a file that is not even read, what is wrong with it."""
    try:
        return replace(layer, text=text())
    except Theirs as error:
        return Problem(file=layer.file, line=1, column=1, key="", message=str(error))


def _short(ref: str) -> str:
    return ref[:7] if _SHA.fullmatch(ref) else ref


_SHA = re.compile(r"[0-9a-f]{40,64}")


def _pushed_base(contents: Contents, push: PushReceived | SuiteRequested, sha: str) -> str | None:
    """What a push is compared with: what the branch held before (where the histories parted, if it was forced), for a
    new branch the default branch, and nothing for the first push of all."""
    if push.before and (base := contents.merge_base(push.before, sha)):
        return base
    if push.branch != push.default_branch:
        return contents.merge_base(push.default_branch, sha)
    # What was there before is gone, or has nothing in common with this.
    return contents.parent(sha) if push.before else None
