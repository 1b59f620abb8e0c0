"""A run: everything known about one commit of one repository."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import Field
from pydantic_core import from_json, to_json

from bot.domain.events import ApprovalGranted, BudgetRaised, OrderRefused, ReviewAccepted, TriggerEnded
from bot.domain.findings import AgentResult, Cap, Cost, Ignored, Outcome
from bot.domain.judging import rejected
from bot.domain.model import Frozen, Text
from bot.domain.plan import AgentPlan, Patience, Plan
from bot.domain.triggers import Pull, Trigger, rank

# How long an agent may wait in a queue before the run ends without it, and what a worker gets on top of an agent's own
# timeout to check out and report; seconds.
QUEUE_PATIENCE = 6 * 3600
GRACE = 120
# An attempt whose worker died is started again and gets its time again; all its starts together no more than this many
# times, so that work which kills its worker ends too.
STARTS = 3


# How long an agent waits at most for a service that it needs and that is away, such as a model's provider, where its
# plan does not say; seconds.
AWAY_PATIENCE = 6 * 3600


class RunKey(Frozen):
    """The unit of correlation: a repository (`owner/name`) and a full commit SHA."""

    repository: str
    sha: str

    def __str__(self) -> str:
        return f"{self.repository}@{self.sha}"

    @classmethod
    def parse(cls, text: str) -> RunKey:
        """The inverse of `str`. Raises ValueError for a text that is no key."""
        repository, at, sha = text.partition("@")
        if not at or repository.count("/") != 1 or not sha:
            raise ValueError(f"{text!r} is not a run: expected OWNER/NAME@SHA")
        return cls(repository=repository, sha=sha)


class Phase(StrEnum):
    """Where an agent stands. `waiting`: for the agents in its `after`."""

    WAITING = "waiting"
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"


class AgentState(Frozen):
    """One agent of a run. `attempt` is the run's attempt that started it; `assumed` marks a result that stands in for
    one that did not come (a deadline, a cancellation), `fresh` that a person asked for a new look, for which no earlier
    result will do. Times are seconds since the epoch.

    `first` is the agent's own word where a verifier, or a person, has changed what it amounts to: `result`. `about`
    tells what a verifier looks at; `barred` that this attempt may execute nothing of the commit; `round` is how often
    the agent was asked before, `refutations` what it is told then; of one that is `fresh`, `look` is the earlier
    attempt in which it was asked anew, if there was one: what it was answered since then will do. One that is parked,
    for a service that it needs is away since `away_since`, begins anew at `resumes_at`, and has `used` so much by
    then.
    """

    plan: AgentPlan
    attempt: int = 1
    phase: Phase = Phase.WAITING
    deadline: float | None = None
    started_at: float | None = None
    finished_at: float | None = None
    progress: str = ""
    result: AgentResult | None = None
    assumed: bool = False
    fresh: bool = False
    look: int = 0
    first: AgentResult | None = None
    about: str = ""
    round: int = 0
    refutations: tuple[Text, ...] = ()
    barred: bool = False
    away_since: float | None = None
    resumes_at: float | None = None
    used: Cost | None = None

    @property
    def asked_anew(self) -> int:
        """The attempt in which a person asked for a new look; 0 for none."""
        return (self.look or self.attempt) if self.fresh else 0

    @property
    def in_flight(self) -> bool:
        return self.phase in (Phase.QUEUED, Phase.RUNNING)

    @property
    def cost(self) -> Cost | None:
        """What this attempt has cost so far."""
        return self.used or (self.result.cost if self.result else None)

    @property
    def said(self) -> AgentResult | None:
        """The agent's own word."""
        return self.first or self.result

    @property
    def outcome(self) -> Outcome | None:
        return self.result.outcome if self.result else None

    @property
    def held_back(self) -> bool:
        """Whether it left something undone because it might execute nothing."""
        return self.barred and self.result is not None and (self.outcome is Outcome.NOT_RUN or self.result.waits)


class Request(Frozen):
    """When a trigger asked for the commit last, and the plan it came with."""

    at: float
    plan: Plan


# What people are asked, and hold part of a run by their answer: whether a stranger's commit may be executed, whether a
# limit on the cost of models is raised, whether a review most of whose claims were refuted counts all the same.
Gate = Literal["approval", "budget", "judgement"]


class Question(Frozen):
    """A gate that is shut: since when people are asked, whether they were reminded of it, and whether nobody answered
    for too long."""

    asked_at: float
    reminded: bool = False
    expired: bool = False


class Run(Frozen):
    """The state that the event log folds into.

    `base_sha` is what the commit is compared with. `requests` holds the newest word of each trigger by the trigger's
    id, `closings` that of each trigger which let the commit go. `superseded_by` names the newer head when the last of
    them moved on; `reruns` the deliveries that asked for another attempt; `approval` the word that counts of
    somebody who let a stranger's commit be executed, of all `approvals` that were heard; `raised` and `accepted` are
    people's answers at the other gates, `questions` is what they are asked at each, while an answer is waited for;
    `refused` is the last order that was not obeyed; `spent` is what results have cost that are gone. While only the end
    of a trigger has been heard of there is no trigger, and `installation` and `attempt` are 0: nobody asked for this
    commit.
    """

    key: RunKey
    installation: int
    created_at: float
    updated_at: float
    triggers: tuple[Trigger, ...] = ()
    requests: dict[str, Request] = Field(default_factory=dict)
    closings: tuple[TriggerEnded, ...] = ()
    plan: Plan = Plan()
    base_sha: str | None = None
    attempt: int = 1
    agents: tuple[AgentState, ...] = ()
    superseded_by: str | None = None
    reruns: tuple[str, ...] = ()
    approval: ApprovalGranted | None = None
    approvals: tuple[ApprovalGranted, ...] = ()
    questions: dict[Gate, Question] = Field(default_factory=dict)
    raised: tuple[BudgetRaised, ...] = ()
    accepted: tuple[ReviewAccepted, ...] = ()
    refused: OrderRefused | None = None
    ignored: tuple[Ignored, ...] = ()
    spent: Cost | None = None

    @property
    def costs(self) -> tuple[Cost, ...]:
        """What the models cost that were asked about this commit: for results that there are, and for those before."""
        return tuple(cost for cost in (self.spent, *(agent.cost for agent in self.agents)) if cost)

    def agent(self, name: str) -> AgentState | None:
        return next((agent for agent in self.agents if agent.plan.name == name), None)

    @property
    def shown(self) -> tuple[AgentState, ...]:
        """The agents as people know them. A verifier speaks through the one whose findings it judges, and that one has
        said nothing before it did; nor has one that is judged by the risk of the whole run before all have ended."""
        return tuple(self._shown(agent) for agent in self.agents if not agent.plan.verifies)

    def _shown(self, agent: AgentState) -> AgentState:
        if agent.phase is not Phase.DONE or agent.result is None:
            return agent
        verifier = self.verifier(agent.plan.name)
        if verifier is not None and verifier.phase is not Phase.DONE:
            found = len(agent.result.findings)
            parked = f", {verifier.progress}" if verifier.resumes_at is not None else ""
            said = f"Verifying {found} finding{'' if found == 1 else 's'}{parked}"
        elif agent.plan.fail_risk is not None and not self.complete:
            said = "Waiting for the risk of the whole"
        else:
            return agent
        return agent.model_copy(update={"phase": Phase.RUNNING, "result": None, "first": None, "progress": said})

    def verifier(self, name: str) -> AgentState | None:
        """Who judges that agent's findings."""
        return next((agent for agent in self.agents if agent.plan.verifies == name), None)

    @property
    def complete(self) -> bool:
        """Whether every agent has ended. A run that is complete may be opened again by a new attempt."""
        return all(agent.phase is Phase.DONE for agent in self.agents)

    @property
    def leader(self) -> Trigger | None:
        """The trigger that decides the plan and the base."""
        return min(self.triggers, key=rank, default=None)

    @property
    def wanted(self) -> bool:
        """Whether anybody still waits for this commit."""
        return any(trigger.live for trigger in self.triggers)

    @property
    def trusted(self) -> bool:
        """Whether it came from somebody who may write to the repository, not only as a fork's pull request."""
        return self.leader is not None and not (isinstance(self.leader, Pull) and self.leader.stranger)

    def may_execute(self, at: float) -> bool:
        """Whether agents may execute what the commit holds at that time: because of who wrote it, or because somebody
        who may say so has approved it and that still holds."""
        return self.trusted or (self.approval is not None and at < self.approval.ends)

    @property
    def lacks_approval(self) -> bool:
        """Whether an agent did not run that would after an approval."""
        return any(agent.held_back for agent in self.agents) and not self.trusted and self.wanted

    @property
    def awaits_approval(self) -> bool:
        """Whether one is asked for."""
        return self.awaits("approval")

    @property
    def cap(self) -> Cap | None:
        """The limit on the cost of models at which a review of this commit has stopped, and that people may raise."""
        return next((agent.result.cap for agent in self.capped if agent.result), None) if self.wanted else None

    @property
    def capped(self) -> tuple[AgentState, ...]:
        """The agents that stopped at such a limit."""
        return tuple(agent for agent in self.agents if agent.phase is Phase.DONE and agent.result and agent.result.cap)

    @property
    def contested(self) -> AgentState | None:
        """The agent most of whose claims were refuted every time that it was asked, where nobody has looked yet."""
        found = (agent for agent in self.agents if self.is_contested(agent))
        return next(found, None) if self.wanted else None

    def is_contested(self, agent: AgentState) -> bool:
        """Whether it is such an agent."""
        if agent.phase is not Phase.DONE or agent.result is None or not rejected(agent.result):
            return False
        return not any((one.agent, one.attempt) == (agent.plan.name, agent.attempt) for one in self.accepted)

    @property
    def lacking(self) -> tuple[Gate, ...]:
        """The gates that hold something, whether or not people are still asked."""
        held: dict[Gate, bool] = {
            "approval": self.lacks_approval,
            "budget": self.cap is not None,
            "judgement": self.contested is not None,
        }
        return tuple(gate for gate, holds in held.items() if holds)

    def awaits(self, gate: Gate) -> bool:
        """Whether people are asked at a gate."""
        question = self.questions.get(gate)
        return gate in self.lacking and not (question and question.expired)

    @property
    def patience(self) -> Patience:
        """How long people's answers are waited for."""
        return self.plan.patience or Patience()

    @property
    def pulls(self) -> tuple[Pull, ...]:
        """The pull requests whose head this is, the oldest first."""
        return tuple(sorted((t for t in self.triggers if isinstance(t, Pull)), key=lambda pull: pull.number))

    @property
    def deadline(self) -> float | None:
        """When the sweep must look at this run again."""
        ends = [agent.deadline for agent in self.agents if agent.deadline is not None]
        patience = self.patience
        for question in self.questions.values():
            if not question.expired:
                reminds = not question.reminded and patience.remind < patience.expire
                ends.append(question.asked_at + (patience.remind if reminds else patience.expire))
        if self.approval and self.under_approval:
            ends.append(self.approval.ends)
        return min(ends, default=None)

    @property
    def under_approval(self) -> tuple[str, ...]:
        """The agents under way that may execute a stranger's commit because it was approved."""
        if self.trusted:
            return ()
        return tuple(a.plan.name for a in self.agents if a.in_flight and a.plan.executes and not a.barred)


def raised_to(run: Run, name: str, configured: float) -> float:
    """A limit of `agents.review.budget` as people raised it for this run."""
    raises = (one.limit for one in run.raised if (one.name, one.configured) == (name, configured))
    return max(raises, default=configured)


def as_written_now(text: bytes) -> bytes:
    """A run's JSON as this version writes it: there was one gate once, and its question was called so.

    A validator of the model would see to it as well, but have every run read half as slowly again: pydantic makes
    Python's values of all JSON that such a one may change. What is no run comes back as it is.
    """
    if b'"question":' not in text:
        return text
    try:
        value = from_json(text)
    except ValueError:
        return text
    if not isinstance(value, dict):
        return text
    asked = value.pop("question", None)
    return to_json(value | ({"questions": {"approval": asked}} if asked else {}))


class Stored(Frozen):
    """A run as it stood in Redis; `version` changes whenever the run does."""

    run: Run
    version: str
