"""What brought a commit to Assay: a push, a pull request, a merge queue. A run may have several."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from bot.domain.model import Frozen


class Push(Frozen):
    """A branch was moved to this commit. `base_sha` is what it is compared with, None for a first commit."""

    kind: Literal["push"] = "push"
    branch: str
    base_sha: str | None = None

    @property
    def event(self) -> str:
        return self.kind

    @property
    def id(self) -> str:
        return f"push:{self.branch}"


class Pull(Frozen):
    """This commit is the head of a pull request. `base_sha` is the merge base. `head_repository` differs from the
    run's repository for a fork, and is empty when the fork is gone. `updated_at` (seconds since the epoch) orders
    what is told about one pull request; `live` is false once it is closed, has moved on or became an unwanted draft."""

    kind: Literal["pull"] = "pull"
    number: int
    title: str = ""
    body: str = ""
    author: str = ""
    draft: bool = False
    base_ref: str
    base_sha: str | None = None
    head_ref: str = ""
    head_repository: str = ""
    fork: bool = False
    updated_at: float = 0.0
    live: bool = True

    @property
    def event(self) -> str:
        return "pull_request"

    @property
    def id(self) -> str:
        return f"pull:{self.number}"


class MergeGroup(Frozen):
    """This commit is an entry of the merge queue."""

    kind: Literal["merge_group"] = "merge_group"
    head_ref: str
    base_sha: str | None = None

    @property
    def event(self) -> str:
        return self.kind

    @property
    def id(self) -> str:
        return f"merge_group:{self.head_ref}"


class Manual(Frozen):
    """A person asked for a look at this commit: `assay check`, or a demo."""

    kind: Literal["manual"] = "manual"
    base_sha: str | None = None

    @property
    def event(self) -> str:
        return self.kind

    @property
    def id(self) -> str:
        return self.kind


Trigger = Annotated[Push | Pull | MergeGroup | Manual, Field(discriminator="kind")]


def is_live(trigger: Trigger) -> bool:
    """Whether somebody still waits for the commit because of this trigger."""
    return not isinstance(trigger, Pull) or trigger.live


_ORDER = {"pull": 0, "merge_group": 1, "push": 2, "manual": 3}


def rank(trigger: Trigger) -> tuple[bool, int, bool, int, str]:
    """Who leads a run; the smallest does.

    A fork's pull request comes last: a stranger who opens one for a commit of this repository must not take over its
    run. That a pull request is over counts among pull requests only: its end is no reason to do the work again.
    """
    pull = trigger if isinstance(trigger, Pull) else None
    return (
        pull is not None and pull.fork,
        _ORDER[trigger.kind],
        not is_live(trigger),
        pull.number if pull else 0,
        trigger.id,
    )
