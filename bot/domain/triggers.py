"""What brought a commit to Assay: a push, a pull request, a merge queue. A run may have several."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from bot.domain.model import Frozen, Text


class _Trigger(Frozen):
    """What every trigger has. `base_sha` is what the commit is compared with, None for a first commit. `updated_at`
    (seconds since the epoch) orders what is told of one trigger: it is a pull request's own, and otherwise when GitHub
    was asked, 0 where it was not. `live` is false once the trigger let the commit go."""

    base_sha: str | None = None
    updated_at: float = 0.0
    live: bool = True


class Push(_Trigger):
    """A branch was moved to this commit."""

    kind: Literal["push"] = "push"
    branch: str

    @property
    def event(self) -> str:
        return self.kind

    @property
    def id(self) -> str:
        return f"push:{self.branch}"


class Since(Frozen):
    """What changed since the commit of the same pull request that was approved last: `sha`, by whom, when and until
    when (seconds since the epoch). Of `total` files that may differ some are named, those that decide what is executed
    first, which are `weighty` in number. Not `complete` where GitHub does not tell of all."""

    sha: str
    by: str
    at: float
    until: float
    files: tuple[Text, ...] = ()
    weighty: int = 0
    total: int = 0
    complete: bool = False


class Pull(_Trigger):
    """This commit is the head of a pull request. `base_sha` is the merge base. `head_repository` differs from the
    run's repository for a fork, and is empty when the fork is gone; `trusted` says of a
    fork's that its author may write to this repository all the same. `live` is false once it is closed, has moved on or
    became an unwanted draft. `since` is there where an earlier head was approved."""

    kind: Literal["pull"] = "pull"
    number: int
    title: str = ""
    body: str = ""
    author: str = ""
    draft: bool = False
    base_ref: str
    head_ref: str = ""
    head_repository: str = ""
    fork: bool = False
    trusted: bool = False
    since: Since | None = None

    @property
    def stranger(self) -> bool:
        """Whether its author has no say in this repository: what they wrote is not executed unasked."""
        return self.fork and not self.trusted

    @property
    def event(self) -> str:
        return "pull_request"

    @property
    def id(self) -> str:
        return f"pull:{self.number}"


class MergeGroup(_Trigger):
    """This commit is an entry of the merge queue."""

    kind: Literal["merge_group"] = "merge_group"
    head_ref: str

    @property
    def event(self) -> str:
        return self.kind

    @property
    def id(self) -> str:
        return f"merge_group:{self.head_ref}"


class Manual(_Trigger):
    """A person asked for a look at this commit: `assay check`, or a demo."""

    kind: Literal["manual"] = "manual"

    @property
    def event(self) -> str:
        return self.kind

    @property
    def id(self) -> str:
        return self.kind


Trigger = Annotated[Push | Pull | MergeGroup | Manual, Field(discriminator="kind")]


_ORDER = {"pull": 0, "merge_group": 1, "push": 2, "manual": 3}


def rank(trigger: Trigger) -> tuple[bool, int, bool, int, str]:
    """Who leads a run; the smallest does.

    A fork's pull request comes last: a stranger who opens one for a commit of this repository must not take over its
    run. That a trigger is over counts among its own kind only: its end is no reason to do the work again.
    """
    pull = trigger if isinstance(trigger, Pull) else None
    return (
        pull is not None and pull.fork,
        _ORDER[trigger.kind],
        not trigger.live,
        pull.number if pull else 0,
        trigger.id,
    )
