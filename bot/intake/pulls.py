"""Pull requests, as intake reads them."""

from __future__ import annotations

from typing import Protocol

from bot.domain.approvals import carries_over, since, since_words
from bot.domain.events import ApprovalGranted
from bot.domain.plan import Patience, Plan, held
from bot.domain.run import RunKey
from bot.domain.triggers import Pull, Since
from bot.github.contents import PullSeen
from bot.github.received import FromRepository, PullReceived
from bot.intake.case import Case
from bot.intake.people import is_trusted, not_an_approver
from bot.intake.start import LAG, LAG_PAUSE, Later, Starts, plan_for
from bot.intake.succession import Runs, Succession
from config.repository import Approvals


class Pushers(Protocol):
    """Where it is counted how many heads of a pull request in a row came from bots."""

    def pushed(self, repository: str, number: int, sha: str, *, by_bot: bool) -> None: ...
    def rounds(self, repository: str, number: int) -> int: ...


class Pulls:
    """Each method says what became of a delivery, in words; raises Later where it has to be read again."""

    def __init__(self, runs: Runs, succession: Succession, starts: Starts, pushers: Pushers) -> None:
        self._runs = runs
        self._succession = succession
        self._starts = starts
        self._pushers = pushers

    def on_received(self, case: Case, received: PullReceived) -> str:
        case.ahead.expect(case.contents.pull, received.number)
        if received.base_sha and not received.closed:
            # As the payload has it, which is mostly how it still is.
            case.ahead.expect(case.contents.merge_base, received.base_sha, received.head_sha)
            case.expect_configuration(received.base_ref if received.fork else received.head_sha)
        pull = case.ahead.ask(case.contents.pull, received.number)
        if _lags(pull, received) and case.age <= LAG:
            raise Later(f"GitHub does not show the news of pull request #{pull.number} yet", LAG_PAUSE)
        if received.action == "synchronize":
            by_bot = received.sender.endswith("[bot]")
            self._pushers.pushed(received.repository, received.number, received.head_sha, by_bot=by_bot)
        return self.on_seen(case, pull)

    def on_seen(self, case: Case, pull: PullSeen) -> str:
        key, trigger = case.about(pull.head_sha), _to_trigger(pull)
        if pull.state != "open":
            self._succession.end(case, key, trigger.id, pull.updated_at, "the pull request was closed")
            return f"accepted: {key} (pull request #{pull.number} is closed)"
        # A stranger's branch must not choose how it is checked.
        reading = case.configuration(pull.base_ref if pull.fork else pull.head_sha)
        if pull.fork:
            # A configuration that cannot be read names nobody.
            trigger = trigger.model_copy(update={"trusted": is_trusted(case, pull.author, reading.config.trusted)})
        planned = plan_for(reading, trigger, case.received.default_branch)
        if isinstance(planned, str):
            self._succession.supersede(case, key, trigger)
            if pull.draft:
                self._succession.end(case, key, trigger.id, pull.updated_at, "the pull request became a draft")
            return f"ignored: {planned}"
        if planned.code_scanning and not pull.fork:
            # Whether others hear of findings is not for a pull request to say.
            allowed = case.configuration(pull.base_ref).config.code_scanning
            planned = planned.model_copy(update={"code_scanning": allowed})
        planned = held(planned, self._pushers.rounds(key.repository, pull.number), reading.config)
        self._starts.let_wait(case, key, trigger, reading)
        base = case.ahead.ask(case.contents.merge_base, pull.base_sha, pull.head_sha) or pull.base_sha
        trigger = trigger.model_copy(update={"base_sha": base})
        policy = reading.config.approvals
        patience = Patience(expire=policy.expire, remind=policy.remind)
        if trigger.stranger or patience != Patience():
            planned = planned.model_copy(update={"patience": patience})
        if trigger.stranger:
            trigger = trigger.model_copy(update={"since": self._since(case, key, trigger, planned)})
            self._carry_over(case, key, trigger, policy)
        # First, for only the newest head's run writes the pull request's comment.
        self._succession.supersede(case, key, trigger)
        return self._starts.start(case, key, trigger, planned)

    def _since(self, case: Case, key: RunKey, trigger: Pull, planned: Plan) -> Since | None:
        """What changed since the head of this pull request that was approved last."""
        known = self._succession.known(key, trigger.id)
        newest = next((head.sha for head in self._succession.heads(key.repository, trigger.id)), None)
        if isinstance(known, Pull) and newest == key.sha:
            return known.since
        before = newest if newest != key.sha else _before(case.received)
        approved = self._approved(case, before, trigger.id) if before else None
        if approved is None or approved.sha == key.sha:
            return None
        paths, complete = case.contents.differing(approved.sha, key.sha)
        return since(approved, paths, planned.agents, complete=complete)

    def _approved(self, case: Case, head: str, trigger: str) -> Since | None:
        """Of an earlier head: its own approval, or the last one before it."""
        stored = self._runs.load(case.key(head))
        if stored is None:
            return None
        if granted := stored.run.approval:
            return Since(sha=head, by=granted.actor, at=granted.at, until=granted.ends)
        return next((t.since for t in stored.run.triggers if isinstance(t, Pull) and t.id == trigger), None)

    def _carry_over(self, case: Case, key: RunKey, trigger: Pull, policy: Approvals) -> None:
        """Approve the commit in the name of who approved the last one, where the base branch's policy lets them and
        they still may."""
        changed, stored = trigger.since, self._runs.load(key)
        if changed is None or policy.carry_over != "sources" or not carries_over(changed, case.at):
            return
        pulls = (*stored.run.pulls, trigger) if stored else (trigger,)
        if (stored and stored.run.approval) or not_an_approver(case, changed.by, pulls):
            return
        granted = ApprovalGranted(
            at=case.at,
            delivery=case.guid,
            actor=changed.by,
            until=changed.until,
            saw=(since_words(changed),),
            carried_from=changed.sha,
        )
        self._runs.update(key, granted)


def _before(received: FromRepository) -> str | None:
    return received.before if isinstance(received, PullReceived) else None


def _to_trigger(pull: PullSeen) -> Pull:
    return Pull(
        number=pull.number,
        title=pull.title,
        body=pull.body,
        author=pull.author,
        draft=pull.draft,
        base_ref=pull.base_ref,
        head_ref=pull.head_ref,
        head_repository=pull.head_repository,
        fork=pull.fork,
        updated_at=pull.updated_at,
    )


def _lags(pull: PullSeen, received: PullReceived) -> bool:
    """Whether GitHub's answer is older than its own webhook, in something that counts."""
    told = received.head_sha, received.closed, received.draft
    return pull.updated_at < received.updated_at and told != (pull.head_sha, pull.state == "closed", pull.draft)
