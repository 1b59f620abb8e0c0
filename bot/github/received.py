"""What Assay acts on of all that GitHub sends: the values that `payloads` makes of webhooks."""

from __future__ import annotations

from bot.domain.commands import Command
from bot.domain.model import Frozen
from bot.domain.run import Gate


class FromRepository(Frozen):
    """What every event about a commit has. `sender` is the login of whoever caused it."""

    installation: int
    repository: str
    default_branch: str
    sender: str


class PushReceived(FromRepository):
    """A branch was moved to `after`. `before` is None for a new branch."""

    repository_id: int
    branch: str
    before: str | None
    after: str
    forced: bool
    created: bool


class PullReceived(FromRepository):
    """A pull request has news. `before` is its previous head, known for `synchronize` only; `base_sha` is the tip of
    the base branch, empty where it is not told; `updated_at` is in seconds since the epoch."""

    action: str
    number: int
    head_sha: str
    before: str | None
    base_changed: bool
    base_ref: str
    base_sha: str
    fork: bool
    draft: bool
    closed: bool
    merged: bool
    updated_at: float


class CheckRerun(FromRepository):
    """A person asks for checks to run again: the one of this name, or (`check_name` None) all of the commit.

    `external_id` is the one Assay gave the check, `pulls` the numbers of pull requests with this head, as far as
    GitHub knows (never those from forks). `branch` is the branch of this repository that was pushed with the commit,
    empty where GitHub knows none, as for a fork's. `failed_only` leaves out what passed.
    """

    sha: str
    branch: str
    check_name: str | None
    external_id: str
    pulls: tuple[int, ...]
    failed_only: bool


class SuiteRequested(FromRepository):
    """GitHub asks for checks of a commit that was pushed: `after`. `branch` is empty where GitHub does not know it."""

    branch: str
    before: str | None
    after: str
    pulls: tuple[int, ...]


class ThreadTouched(FromRepository):
    """Somebody answered in a review thread, or resolved it or opened it again. `sha` is the pull request's head; `said`
    is an answer's text, to the review comment `answers`."""

    number: int
    sha: str
    said: str = ""
    answers: int | None = None


class GateAnswered(FromRepository):
    """Somebody pressed a button that says yes to a question, on a check of this commit: the one that Assay gave this
    `external_id`."""

    sha: str
    gate: Gate = "approval"
    external_id: str = ""


class CommandGiven(FromRepository):
    """Somebody gave an order in a comment, `comment`, on a pull request."""

    number: int
    comment: int
    command: Command


class MergeGroupReceived(FromRepository):
    """An entry of the merge queue needs checks. The refs are whole, `refs/heads/...`."""

    sha: str
    head_ref: str
    base_sha: str
    base_ref: str


class MergeGroupLeft(FromRepository):
    """An entry left the merge queue without being merged; `reason` is GitHub's word for why."""

    sha: str
    head_ref: str
    reason: str


class BranchDeleted(FromRepository):
    """A branch is gone."""

    branch: str


class InstallationChanged(Frozen):
    """The App was installed, removed, suspended, or given other repositories or permissions."""

    installation: int
    event: str
    action: str
    account: str
    sender: str


class Ping(Frozen):
    """GitHub tries the webhook out."""


Received = (
    PushReceived
    | PullReceived
    | CheckRerun
    | GateAnswered
    | CommandGiven
    | SuiteRequested
    | MergeGroupReceived
    | MergeGroupLeft
    | BranchDeleted
    | ThreadTouched
    | InstallationChanged
    | Ping
)


class Ignored(Frozen):
    """A delivery that asks nothing of Assay, and why, for people who read the log."""

    reason: str
