"""Values that tests begin with: each has sensible defaults, a test names only what it is about."""

from __future__ import annotations

from typing import Any

from bot.domain.events import AgentFinished, CommitReceived, TriggerEnded
from bot.domain.findings import AgentResult, Finding, Outcome, Severity
from bot.domain.plan import AgentPlan, Plan
from bot.domain.run import AgentState, Phase, RunKey
from bot.domain.triggers import Pull, Trigger

SHA = "c0ffee" + "0" * 34


def run_key(repository: str = "octo/demo", sha: str = SHA) -> RunKey:
    return RunKey(repository=repository, sha=sha)


def agent_plan(name: str = "lint", **fields: Any) -> AgentPlan:
    """A required agent that findings of medium severity fail."""
    given = {
        "kind": name,
        "required": True,
        "fail_on": Severity.MEDIUM,
        "report": "added",
        "timeout": 600,
    }
    return AgentPlan(name=name, **(given | fields))


def plan_of(*agents: AgentPlan | str, **fields: Any) -> Plan:
    plans = tuple(agent if isinstance(agent, AgentPlan) else agent_plan(agent) for agent in agents)
    return Plan(agents=plans, **fields)


def pull(number: int = 1, updated_at: float = 100.0, **fields: Any) -> Pull:
    given = {"base_ref": "main", "base_sha": "b" * 40, "head_ref": "feature", "head_repository": "octo/demo"}
    return Pull(number=number, updated_at=updated_at, **(given | fields))


def commit_received(
    *agents: AgentPlan | str, trigger: Trigger | None = None, plan: Plan | None = None, at: float = 100.0
) -> CommitReceived:
    """A pull request's commit, with these agents to run."""
    return CommitReceived(at=at, installation=7, trigger=trigger or pull(), plan=plan or plan_of(*agents))


def pull_changed(
    number: int = 1, updated_at: float = 200.0, moved_to: str | None = None, at: float | None = None
) -> TriggerEnded:
    reason = f"the pull request moved on to {moved_to}" if moved_to else "the pull request was closed"
    when = updated_at if at is None else at
    return TriggerEnded(at=when, trigger=f"pull:{number}", updated_at=updated_at, reason=reason, moved_to=moved_to)


def trigger_ended(
    trigger: str, updated_at: float = 200.0, moved_to: str | None = None, at: float | None = None
) -> TriggerEnded:
    """A branch moved on, or an entry left the merge queue."""
    when = updated_at if at is None else at
    return TriggerEnded(at=when, trigger=trigger, updated_at=updated_at, reason="it is gone", moved_to=moved_to)


def finding(**fields: Any) -> Finding:
    given = {
        "tool": "ruff",
        "rule": "F401",
        "severity": Severity.MEDIUM,
        "message": "`os` imported but unused",
        "path": "app.py",
        "start_line": 3,
    }
    return Finding(**(given | fields))


def result(outcome: Outcome = Outcome.CLEAN, *findings: Finding, **fields: Any) -> AgentResult:
    return AgentResult(outcome=outcome, findings=findings, **fields)


def finished(
    agent: str = "lint", outcome: AgentResult | None = None, attempt: int = 1, at: float = 160.0
) -> AgentFinished:
    return AgentFinished(at=at, agent=agent, attempt=attempt, result=outcome or result())


def ended(plan: AgentPlan, outcome: AgentResult) -> AgentState:
    """An agent that is done."""
    return AgentState(plan=plan, phase=Phase.DONE, result=outcome)
