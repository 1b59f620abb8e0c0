"""Intake: a delivery becomes events of runs, or is recorded as ignored with a reason.

A payload only says where to look. What is true of a pull request or a branch is read from GitHub, because deliveries
come late and out of order. Handling a delivery twice leads to the same end.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import assert_never

from bot.deliveries import Deliveries, Delivery
from bot.domain.commands import Reply
from bot.domain.events import RerunRequested
from bot.domain.findings import Cap
from bot.domain.service import Service
from bot.domain.triggers import Push
from bot.errors import AssayError, Conflict, Gone, Misconfigured, Refused, Theirs, Unavailable
from bot.github import payloads
from bot.github.received import (
    BranchDeleted,
    CheckRerun,
    CommandGiven,
    FromRepository,
    GateAnswered,
    Ignored,
    InstallationChanged,
    MergeGroupLeft,
    MergeGroupReceived,
    Ping,
    PullReceived,
    PushReceived,
    Received,
    SuiteRequested,
    ThreadTouched,
)
from bot.heads import Heads
from bot.intake.ahead import Ahead
from bot.intake.case import Case, Source
from bot.intake.people import People
from bot.intake.pulls import Pulls
from bot.intake.pushes import Pushes
from bot.intake.start import Later, Starts, plan_for
from bot.intake.succession import Runs, Succession
from bot.intake.threads import Threads
from bot.jobs import JobSpec
from bot.ledger import Ledger
from bot.patience import pause
from bot.publishing.unpublished import Unpublished

log = logging.getLogger(__name__)

# Requests that one delivery may have under way at once.
_AT_ONCE = 4
# What lets the App do more in an installation than before.
_MENDED = ("created", "unsuspend", "new_permissions_accepted", "added")


class Intake:
    """Reads deliveries. `later` puts a job off, `app_id` and `bot_login()` tell Assay's own doings from other people's.
    `ledger` remembers what people say of findings, `allow(repository, login)` counts one more order of a person, and
    says whether that is still within the limit; `service` is whom the operator lets be served, `refused(event)` counts
    who is not; `raise_limit` raises one on the cost of models."""

    def __init__(
        self,
        deliveries: Deliveries,
        runs: Runs,
        unpublished: Unpublished,
        heads: Heads,
        later: Callable[[JobSpec, float], None],
        source: Source,
        app_id: int,
        bot_login: Callable[[], str],
        clock: Callable[[], float],
        ledger: Ledger,
        allow: Callable[[str, str], bool],
        service: Service,
        refused: Callable[[str], None],
        raise_limit: Callable[[Cap, float], None],
    ) -> None:
        self._service = service
        self._refused = refused
        self._deliveries = deliveries
        self._runs = runs
        self._unpublished = unpublished
        self._later = later
        self._source = source
        self._app_id = app_id
        self._bot_login = bot_login
        self._clock = clock
        succession = Succession(runs, heads)
        self._starts = Starts(runs, succession, ledger.ignored)
        self._threads_of = Threads(runs, unpublished, ledger)
        self._pushes = Pushes(runs, succession, self._starts)
        self._pulls = Pulls(runs, succession, self._starts, ledger)
        self._people = People(runs, allow, self._reply, raise_limit)
        self._threads = ThreadPoolExecutor(_AT_ONCE, "ask-ahead")

    def on_delivery(self, guid: str) -> None:
        """Read one delivery and record what became of it. While GitHub is away, or the App's settings are wrong, the
        delivery stays and is tried again."""
        delivery = self._deliveries.load(guid)
        if delivery is None or not delivery.body:
            return
        try:
            outcome = self._read(delivery)
        except Later as later:
            log.info("delivery %s waits %.1f s: %s", guid, later.seconds, later)
            self._later(JobSpec.intake(guid), self._clock() + later.seconds)
            return
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
        self._later(JobSpec.intake(guid), self._clock() + wait)

    def _read(self, delivery: Delivery) -> str:
        received = payloads.parse(delivery.event, delivery.body, self._app_id, self._bot_login())
        if isinstance(received, FromRepository) and (why := self._not_served(delivery.event, received)):
            return f"ignored: {why}"
        return self._take(delivery, received)

    def _take(self, delivery: Delivery, received: Received | Ignored) -> str:
        match received:
            case Ignored():
                return f"ignored: {received.reason}"
            case Ping():
                return "accepted: ping"
            case InstallationChanged():
                return self._on_installation(received)
            case PushReceived() | SuiteRequested():
                return self._pushes.on_push(self._case(delivery, received), received)
            case PullReceived():
                return self._pulls.on_received(self._case(delivery, received), received)
            case CheckRerun() | GateAnswered() | CommandGiven():
                return self._on_person(self._case(delivery, received), received)
            case MergeGroupReceived():
                return self._pushes.on_merge_group(self._case(delivery, received), received)
            case MergeGroupLeft() | BranchDeleted():
                return self._pushes.on_left(self._case(delivery, received), received)
            case ThreadTouched():
                return self._threads_of.on_touched(self._case(delivery, received), received, self._bot_login())
            case _:
                assert_never(received)

    def _not_served(self, event: str, received: FromRepository) -> str:
        """Here and not where webhooks come in: what is sent again, and what nobody sent, comes by here too."""
        why = self._service.why_not(received.installation, received.repository, event)
        if why:
            self._refused(event)
        return why

    def _case(self, delivery: Delivery, received: FromRepository) -> Case:
        now = self._clock()
        return Case(
            received=received,
            guid=delivery.guid,
            at=now,
            age=now - delivery.received_at,
            source=self._source,
            contents=self._source.contents(received.installation, received.repository),
            ahead=Ahead(self._threads),
        )

    def _on_installation(self, changed: InstallationChanged) -> str:
        """GitHub may take now what it refused before."""
        if not self._service.serves(changed.installation):
            return f"ignored: ASSAY_SERVE_INSTALLATIONS does not name installation {changed.installation}"
        again = self._unpublished.publish_refused(changed.installation) if changed.action in _MENDED else 0
        told = f"accepted: installation {changed.installation} {changed.action}"
        return f"{told}; runs published again: {again}" if again else told

    # -- people

    def _on_person(self, case: Case, asked: CheckRerun | GateAnswered | CommandGiven) -> str:
        match asked:
            case CheckRerun():
                return self._on_rerun(case, asked)
            case GateAnswered():
                return self._people.on_answer(case, asked)
            case CommandGiven():
                return self._people.on_command(case, asked)

    def _reply(self, repository: str, installation: int, reply: Reply) -> None:
        self._later(JobSpec.reply(repository, installation, reply), self._clock())

    def _on_rerun(self, case: Case, rerun: CheckRerun) -> str:
        key = case.about(rerun.sha)
        if why_not := self._people.not_in_charge(case, key):
            return f"ignored: {why_not}"
        name = rerun.check_name or ""
        agents = (name.removeprefix("assay / "),) if name.startswith("assay / ") and name != "assay / config" else ()
        asked = RerunRequested(
            at=case.at, delivery=case.guid, actor=rerun.sender, agents=agents, failed_only=rerun.failed_only
        )
        run = self._runs.update(key, asked)
        if run is not None and run.triggers and not run.plan.problems:
            return f"accepted: {key}"
        return self._find(case, rerun)

    def _find(self, case: Case, rerun: CheckRerun) -> str:
        """Start a run nobody remembers (or whose configuration was bad) from what GitHub knows of the commit."""
        contents, outcome = case.contents, ""
        for number in contents.pulls_for_commit(rerun.sha) or rerun.pulls:
            outcome = self._pulls.on_seen(case, contents.pull(number))
        if outcome:
            return outcome
        # On a branch of this repository it is its writers'. Anything else may be a stranger's, from a fork.
        branch = rerun.branch
        if not branch and contents.merge_base(rerun.default_branch, rerun.sha) == rerun.sha:
            branch = rerun.default_branch
        if not branch:
            return "ignored: neither a branch of this repository nor an open pull request has this commit"
        trigger = Push(branch=branch, base_sha=contents.parent(rerun.sha))
        planned = plan_for(case.configuration(rerun.sha), trigger, rerun.default_branch)
        if isinstance(planned, str):
            return f"ignored: {planned}"
        return self._starts.start(case, case.key(rerun.sha), trigger, planned)
