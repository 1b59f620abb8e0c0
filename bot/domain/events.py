"""Events: immutable facts about one run, in the past tense. The run's log is a list of them.

Each carries `at`, seconds since the epoch by the clock of the process that saw it, and who caused it: the `delivery`
GUID of the webhook and the `actor`'s login, where there is one.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, model_validator

from bot.domain.findings import AgentResult, Ignored
from bot.domain.model import Frozen, Text
from bot.domain.plan import Plan
from bot.domain.triggers import Trigger

# For how long an approval holds where nobody said; seconds.
APPROVAL_HOLDS = 14 * 86_400.0


class _Fact(Frozen):
    at: float
    delivery: str = ""
    actor: str = ""


class CommitReceived(_Fact):
    """A trigger wants this commit looked at, and this is the plan for it."""

    kind: Literal["CommitReceived"] = "CommitReceived"
    installation: int
    trigger: Trigger
    plan: Plan


class RerunRequested(_Fact):
    """A person wants agents to run again: those named, or all. `failed_only` leaves out those that passed. With
    `reuse`, what was said of the same before will do."""

    kind: Literal["RerunRequested"] = "RerunRequested"
    agents: tuple[str, ...] = ()
    failed_only: bool = False
    reuse: bool = False


class OrderRefused(_Fact):
    """`actor` pressed Re-run, and may not give orders here, for this reason."""

    kind: Literal["OrderRefused"] = "OrderRefused"
    reason: Text


class ApprovalGranted(_Fact):
    """`actor`, who may write to the repository and did not write this commit, lets it be executed. It holds for this
    commit and for no other, and no longer than `until` (seconds since the epoch). `saw` is what they were told, in
    plain words. One that is `carried_from` an earlier head of the pull request was given there."""

    kind: Literal["ApprovalGranted"] = "ApprovalGranted"
    until: float = 0.0
    saw: tuple[Text, ...] = ()
    carried_from: str = ""

    @property
    def ends(self) -> float:
        """When it ends. The first version set no end."""
        return self.until or self.at + APPROVAL_HOLDS


class BudgetRaised(_Fact):
    """`actor`, who may give orders here, raised a limit on the cost of models at which a review had stopped: the one
    called `name` in `agents.review.budget`, which is `configured` there, to `limit`. `words` names it for people; `saw`
    is what they were told."""

    kind: Literal["BudgetRaised"] = "BudgetRaised"
    name: str
    configured: float
    limit: float
    words: Text = ""
    saw: tuple[Text, ...] = ()


class ReviewAccepted(_Fact):
    """`actor` has looked at what is left of what an agent said in this attempt, most of whose claims had been refuted,
    and lets it count."""

    kind: Literal["ReviewAccepted"] = "ReviewAccepted"
    agent: str
    attempt: int
    saw: tuple[Text, ...] = ()


class TriggerEnded(_Fact):
    """The trigger of this id let the commit go: its pull request was closed or became a draft that is not wanted, its
    branch or pull request moved on to `moved_to`, its entry left the merge queue. `updated_at` orders it against the
    trigger's other news."""

    kind: Literal["TriggerEnded", "PullChanged"] = "TriggerEnded"
    trigger: str
    updated_at: float
    reason: str
    moved_to: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _as_first_written(cls, value: Any) -> Any:
        """Logs of version 0.1 call it PullChanged, and know pull requests only, by number."""
        if not isinstance(value, dict) or value.get("kind") != "PullChanged":
            return value
        rest = {name: field for name, field in value.items() if name != "number"}
        return rest | {"kind": "TriggerEnded", "trigger": f"pull:{value.get('number')}"}


class AgentStarted(_Fact):
    """A worker took the agent's job up."""

    kind: Literal["AgentStarted"] = "AgentStarted"
    agent: str
    attempt: int


class AgentProgressed(_Fact):
    """A running agent says how far it is, in a few words."""

    kind: Literal["AgentProgressed"] = "AgentProgressed"
    agent: str
    attempt: int
    message: Text


class AgentFinished(_Fact):
    """An agent ended, one way or another."""

    kind: Literal["AgentFinished"] = "AgentFinished"
    agent: str
    attempt: int
    result: AgentResult


class FindingsIgnored(_Fact):
    """People decided that these findings are not to be held against any change of the repository."""

    kind: Literal["FindingsIgnored"] = "FindingsIgnored"
    ignored: tuple[Ignored, ...]


class DeadlinePassed(_Fact):
    """The sweep saw that a deadline of this run had passed at `at`."""

    kind: Literal["DeadlinePassed"] = "DeadlinePassed"


Event = Annotated[
    CommitReceived
    | RerunRequested
    | OrderRefused
    | ApprovalGranted
    | BudgetRaised
    | ReviewAccepted
    | TriggerEnded
    | AgentStarted
    | AgentProgressed
    | AgentFinished
    | FindingsIgnored
    | DeadlinePassed,
    Field(discriminator="kind"),
]

EVENT: TypeAdapter[Event] = TypeAdapter(Event)
