"""Pushes and the merge queue, as intake reads them."""

from __future__ import annotations

from bot.domain.plan import Plan, keeps_every_commit
from bot.domain.run import RunKey
from bot.domain.triggers import MergeGroup, Push
from bot.github.contents import Contents
from bot.github.received import BranchDeleted, MergeGroupLeft, MergeGroupReceived, PushReceived, SuiteRequested
from bot.intake.case import Case
from bot.intake.start import LAG, LAG_PAUSE, Later, Starts, plan_for
from bot.intake.succession import Runs, Succession
from config.reading import Reading


class Pushes:
    """Each method says what became of a delivery, in words; raises Later where it has to be read again."""

    def __init__(self, runs: Runs, succession: Succession, starts: Starts) -> None:
        self._runs = runs
        self._succession = succession
        self._starts = starts

    def on_push(self, case: Case, push: PushReceived | SuiteRequested) -> str:
        """A push; `check_suite.requested` is GitHub's second word on the same, and backs up the first."""
        if not push.branch:
            return "ignored: GitHub names no branch for this commit; a pull request says what it is"
        key, trigger = case.about(push.after), Push(branch=push.branch)
        before = self._succession.known(key, trigger.id)
        if before is not None and before.live:
            if before.updated_at:
                self._succession.supersede(case, key, before)
            return f"accepted: {key} (known already)"
        reading = case.configuration(push.after)
        planned = plan_for(reading, trigger, push.default_branch)
        if isinstance(planned, str):
            return f"ignored: {planned}"
        if keeps_every_commit(reading.config, push.branch, push.default_branch):
            base = _pushed_base(case.contents, push, push.before)
            return self._starts.start(case, key, trigger.model_copy(update={"base_sha": base}), planned)
        return self._move_on(case, push, reading, planned)

    def _move_on(self, case: Case, push: PushReceived | SuiteRequested, reading: Reading, planned: Plan) -> str:
        """A push to a branch of which only the newest head is of interest."""
        key, trigger = case.key(push.after), Push(branch=push.branch, updated_at=case.at)
        head = self._head(case, push.branch, push.before, push.after)
        if head is None:
            return f"ignored: the branch {push.branch} is gone"
        if head != push.after:
            self._widen(case, push, case.key(head), trigger)
            return f"ignored: the branch {push.branch} moved on to {head[:7]}"
        self._starts.let_wait(case, key, trigger, reading)
        before = self._succession.known(key, trigger.id)
        base = before.base_sha if before else self._base(case, push, trigger)
        outcome = self._starts.start(case, key, trigger.model_copy(update={"base_sha": base}), planned)
        # Last, for what the base was found by is forgotten with it.
        self._succession.supersede(case, key, trigger)
        return outcome

    def _base(self, case: Case, push: PushReceived | SuiteRequested, trigger: Push) -> str | None:
        until = self._succession.looked_at_until(case.key(push.after), trigger.id, push.before)
        return _pushed_base(case.contents, push, until)

    def _widen(self, case: Case, push: PushReceived | SuiteRequested, head: RunKey, trigger: Push) -> None:
        """A push that is told of late will not be looked at by itself. If the head was compared with it, nobody would
        ever look at it, so the head is compared with what was there before."""
        stored, known = self._runs.load(head), self._succession.known(head, trigger.id)
        if stored and known and known.base_sha == push.after and not self._runs.load(case.key(push.after)):
            base = _pushed_base(case.contents, push, push.before)
            wider = known.model_copy(update={"base_sha": base, "updated_at": case.at})
            self._starts.start(case, head, wider, stored.run.requests[known.id].plan)

    def _head(self, case: Case, branch: str, before: str | None, after: str) -> str | None:
        """What the branch holds. Raises Later where GitHub seems not to know of its own news yet."""
        head = case.ahead.ask(case.contents.branch, branch)
        if head not in (before, after) or head == after or case.age > LAG:
            return head
        raise Later(f"GitHub does not show {after[:7]} on {branch} yet", LAG_PAUSE)

    def _on_deleted(self, case: Case, deleted: BranchDeleted) -> str:
        """Nobody waits for the head of a branch that is gone; a pull request that has it waits by itself."""
        branch, trigger = deleted.branch, Push(branch=deleted.branch).id
        known = self._succession.heads(deleted.repository, trigger)
        if not known:
            return "ignored: push that deleted a branch"
        held = case.contents.branch(branch)
        if held in {head.sha for head in known} and case.age <= LAG:
            raise Later(f"GitHub still shows the branch {branch}", LAG_PAUSE)
        if held is not None:
            return f"ignored: the branch {branch} is there again"
        for head in known:
            self._succession.let_go(case, head, trigger, case.at, f"the branch {branch} was deleted")
        return f"accepted: {case.about(known[0].sha)} (the branch {branch} was deleted)"

    def on_merge_group(self, case: Case, group: MergeGroupReceived) -> str:
        key, branch = case.about(group.sha), group.head_ref.removeprefix("refs/heads/")
        case.ahead.expect(case.contents.branch, branch)
        trigger = MergeGroup(head_ref=group.head_ref, base_sha=group.base_sha, updated_at=case.at)
        planned = plan_for(case.configuration(group.sha), trigger, group.default_branch)
        if isinstance(planned, str):
            return f"ignored: {planned}"
        if self._head(case, branch, None, group.sha) != group.sha:
            return f"ignored: {key} has left the merge queue"
        return self._starts.start(case, key, trigger, planned)

    def on_left(self, case: Case, left: MergeGroupLeft | BranchDeleted) -> str:
        if isinstance(left, BranchDeleted):
            return self._on_deleted(case, left)
        key, trigger = case.about(left.sha), MergeGroup(head_ref=left.head_ref)
        self._succession.end(case, key, trigger.id, case.at, f"it left the merge queue ({left.reason})")
        return f"accepted: {key} (left the merge queue)"


def _pushed_base(contents: Contents, push: PushReceived | SuiteRequested, before: str | None) -> str | None:
    """What a push is compared with: what the branch held `before` (where the histories parted, if it was forced), for a
    new branch the default branch, and nothing for the first push of all."""
    if before and before == push.before and isinstance(push, PushReceived) and not push.forced:
        return before
    if before and (base := contents.merge_base(before, push.after)):
        return base
    if push.branch != push.default_branch:
        return contents.merge_base(push.default_branch, push.after)
    # What was there before is gone, or has nothing in common with this.
    return contents.parent(push.after) if before else None
