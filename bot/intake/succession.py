"""One head follows another: which is the newest, which are let go for it, and which wait for the next.

Deliveries come in any order, so what counts is the repository's state, and when it was looked at. A head is noted
together with that, and an older one is let go only then; it is forgotten only after the run knows. Whatever is cut off
in between is done by whoever handles the next head, or the same delivery again.
"""

from __future__ import annotations

from typing import Protocol

from bot.domain.events import Event, TriggerEnded
from bot.domain.findings import Outcome
from bot.domain.run import Run, RunKey, Stored
from bot.domain.triggers import Pull, Trigger
from bot.github.received import CheckRerun
from bot.heads import Head, Heads
from bot.intake.case import Case
from config.repository import RepositoryConfig


class Runs(Protocol):
    """Where runs are kept."""

    def load(self, key: RunKey) -> Stored | None: ...
    def update(self, key: RunKey, event: Event) -> Run | None: ...


class Succession:
    """`heads` are kept by the ids of triggers."""

    def __init__(self, runs: Runs, heads: Heads) -> None:
        self._runs = runs
        self._heads = heads

    def heads(self, repository: str, trigger: str) -> list[Head]:
        """The newest head, and older ones that have not been let go; the newest first."""
        return self._heads.of(repository, trigger)

    def known(self, key: RunKey, trigger: str) -> Trigger | None:
        """The trigger of that id, where the commit's run has heard of it."""
        stored = self._runs.load(key)
        return next((one for one in stored.run.triggers if one.id == trigger), None) if stored else None

    def pause(self, case: Case, key: RunKey, trigger: Trigger, config: RepositoryConfig) -> float:
        """How long this head has to wait, in seconds, because another one came just before; 0 for not at all.

        Only for what starts something: not for a commit that is known already, nor for a person who asks for it.
        """
        window = config.triggers.debounce
        if window is None or isinstance(case.received, CheckRerun) or self.known(key, trigger.id):
            return 0.0
        return self._heads.begin(key.repository, trigger.id, key.sha, window, case.at)

    def supersede(self, case: Case, key: RunKey, trigger: Trigger) -> None:
        """Note that the trigger's head was this commit when it was looked at, and let older ones go."""
        seen = Head(sha=key.sha, updated_at=trigger.updated_at, at=case.at)
        newest, *older = self._heads.move(key.repository, trigger.id, seen)
        what = f"the {'pull request' if isinstance(trigger, Pull) else 'branch'} moved on to {newest.sha[:7]}"
        for head in older:
            self.let_go(case, head, trigger.id, newest.updated_at, what, moved_to=newest.sha)

    def let_go(
        self, case: Case, head: Head, trigger: str, updated_at: float, reason: str, moved_to: str | None = None
    ) -> None:
        """Let a head go, and forget it."""
        key = case.key(head.sha)
        self.end(case, key, trigger, updated_at, reason, moved_to)
        self._heads.let_go(key.repository, trigger, head)

    def end(
        self, case: Case, key: RunKey, trigger: str, updated_at: float, reason: str, moved_to: str | None = None
    ) -> None:
        """Let a commit go, as far as this trigger is concerned."""
        self._runs.update(
            key,
            TriggerEnded(
                at=case.at,
                delivery=case.guid,
                actor=case.received.sender,
                trigger=trigger,
                updated_at=updated_at,
                reason=reason,
                moved_to=moved_to,
            ),
        )

    def looked_at_until(self, key: RunKey, trigger: str, before: str | None) -> str | None:
        """The commit up to which a branch that moves on was looked at: what its next head is compared with.

        That is its last head, or, where that one was let go unfinished, what that one was compared with. `before` is
        what the branch held before this push, for a branch that nothing is known of.
        """
        last = next((head.sha for head in self.heads(key.repository, trigger) if head.sha != key.sha), None)
        stored = self._runs.load(RunKey(repository=key.repository, sha=last)) if last else None
        if stored is None:
            return before
        run = stored.run
        if run.complete and not any(agent.outcome is Outcome.CANCELLED for agent in run.agents):
            return last
        return next((one.base_sha for one in run.triggers if one.id == trigger), before)
