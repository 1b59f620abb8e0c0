"""The heads of branches and pull requests: which is the newest, which are let go for it, and which wait for the next.

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
from bot.intake.case import Case
from bot.store import Head
from config.repository import RepositoryConfig


class Runs(Protocol):
    """Where runs and heads are kept."""

    def load(self, key: RunKey) -> Stored | None: ...
    def update(self, key: RunKey, event: Event) -> Run | None: ...
    def heads(self, repository: str, trigger: str) -> list[Head]: ...
    def move_head(self, repository: str, trigger: str, head: Head) -> list[Head]: ...
    def let_head_go(self, repository: str, trigger: str, head: Head) -> None: ...
    def begin_on_head(self, repository: str, trigger: str, sha: str, window: float, now: float) -> float: ...


def known(runs: Runs, key: RunKey, trigger: str) -> Trigger | None:
    """The trigger of that id, where the commit's run has heard of it."""
    stored = runs.load(key)
    return next((one for one in stored.run.triggers if one.id == trigger), None) if stored else None


def pause(runs: Runs, case: Case, key: RunKey, trigger: Trigger, config: RepositoryConfig) -> float:
    """How long this head has to wait, in seconds, because another one came just before; 0 for not at all.

    Only for what starts something: not for a commit that is known already, nor for a person who asks for it.
    """
    window = config.triggers.debounce
    if window is None or isinstance(case.received, CheckRerun) or known(runs, key, trigger.id):
        return 0.0
    return runs.begin_on_head(key.repository, trigger.id, key.sha, window, case.at)


def supersede(runs: Runs, case: Case, key: RunKey, trigger: Trigger) -> None:
    """Note that the trigger's head was this commit when it was looked at, and let older ones go."""
    seen = Head(sha=key.sha, updated_at=trigger.updated_at, at=case.at)
    newest, *older = runs.move_head(key.repository, trigger.id, seen)
    what = f"the {'pull request' if isinstance(trigger, Pull) else 'branch'} moved on to {newest.sha[:7]}"
    for head in older:
        end(runs, case, case.key(head.sha), trigger.id, newest.updated_at, what, moved_to=newest.sha)
        runs.let_head_go(key.repository, trigger.id, head)


def end(
    runs: Runs, case: Case, key: RunKey, trigger: str, updated_at: float, reason: str, moved_to: str | None = None
) -> None:
    """Let a commit go, as far as this trigger is concerned."""
    runs.update(
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


def looked_at_until(runs: Runs, key: RunKey, trigger: str, before: str | None) -> str | None:
    """The commit up to which a branch that moves on was looked at: what its next head is compared with.

    That is its last head, or, where that one was let go unfinished, what that one was compared with. `before` is what
    the branch held before this push, for a branch that nothing is known of.
    """
    last = next((head.sha for head in runs.heads(key.repository, trigger) if head.sha != key.sha), None)
    stored = runs.load(RunKey(repository=key.repository, sha=last)) if last else None
    if stored is None:
        return before
    run = stored.run
    if run.complete and not any(agent.outcome is Outcome.CANCELLED for agent in run.agents):
        return last
    return next((one.base_sha for one in run.triggers if one.id == trigger), before)
