"""The verdict contract (design, section 4): what the results of a run amount to.

Nothing that was not looked at is green. `success` needs every required agent `clean`, or with findings below its
`fail_on`. Where a required agent had nothing to do (`skipped`) the verdict is `neutral`: it lets a merge pass, but does
not claim more than was seen. Where one did not look, or not at everything (`partial`, `not_run`), a person has to
decide: `action_required`. Agents that are not required never change the verdict.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import lru_cache
from typing import Generic, NamedTuple, TypeVar

from bot.domain.findings import AgentResult, Finding, Outcome, Severity, merge
from bot.domain.model import Frozen
from bot.domain.risk import Risk, risk
from bot.domain.run import AgentState, Phase, Run

T = TypeVar("T")


class Conclusion(StrEnum):
    """GitHub's words for how a check ends, from the best to the worst."""

    SUCCESS = "success"
    NEUTRAL = "neutral"
    SKIPPED = "skipped"
    ACTION_REQUIRED = "action_required"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"
    FAILURE = "failure"


class Verdict(Frozen):
    """The joined result. `conclusion` is None while agents are at work. `because` names, one sentence each, what kept
    it from being a plain success."""

    conclusion: Conclusion | None
    title: str
    because: tuple[str, ...] = ()


def blocking(agent: AgentState) -> tuple[Finding, ...]:
    """The agent's new findings at or above its `fail_on`."""
    limit = agent.plan.fail_on
    return _blocking(_Same((agent.result,)), limit) if agent.result and limit else ()


def risk_of(run: Run) -> Risk:
    """The risk of a run by what is known of it."""
    return _risk(_Same((run,)))


@lru_cache(maxsize=1)
def _risk(one: _Same[Run]) -> Risk:
    (run,) = one.things
    return risk(run, counted(run))


def conclusion_of(run: Run, agent: AgentState) -> Conclusion | None:
    """The conclusion of an agent's check within its run, whose risk may fail it."""
    return Conclusion.FAILURE if too_risky(run, agent) else agent_conclusion(agent)


def too_risky(run: Run, agent: AgentState) -> bool:
    """Whether the risk of the whole run fails the agent."""
    limit = agent.plan.fail_risk
    return limit is not None and run.complete and agent.outcome in _RISKED and risk_of(run).score >= limit


# An agent that was skipped or called off is not blamed for what others saw.
_RISKED = (Outcome.CLEAN, Outcome.FINDINGS, Outcome.PARTIAL)


def passed(agent: AgentState) -> bool:
    """Whether the agent looked at everything that was its business and has nothing against the commit."""
    return agent.outcome in (Outcome.CLEAN, Outcome.FINDINGS) and not blocking(agent)


def agent_conclusion(agent: AgentState) -> Conclusion | None:
    """The conclusion of the agent's own check; None while it is at work."""
    if agent.phase is not Phase.DONE or agent.result is None:
        return None
    if blocking(agent):
        return Conclusion.FAILURE
    advises = not agent.plan.required and agent.plan.fail_on is None and agent.plan.fail_risk is None
    if agent.outcome is Outcome.FINDINGS and advises:
        # It only gives advice, and there is some: neither red nor green.
        return Conclusion.NEUTRAL
    conclusion = _WITHOUT_BLOCKING[agent.result.outcome]
    return Conclusion.NEUTRAL if conclusion in _UNLOOKED and not agent.plan.required else conclusion


_WITHOUT_BLOCKING = {
    Outcome.CLEAN: Conclusion.SUCCESS,
    Outcome.FINDINGS: Conclusion.SUCCESS,
    Outcome.PARTIAL: Conclusion.ACTION_REQUIRED,
    Outcome.SKIPPED: Conclusion.SKIPPED,
    Outcome.NOT_RUN: Conclusion.ACTION_REQUIRED,
    Outcome.CANCELLED: Conclusion.CANCELLED,
    Outcome.TIMED_OUT: Conclusion.TIMED_OUT,
    Outcome.ERROR: Conclusion.FAILURE,
}
# What it means where a required agent did not look; one that is not required makes no such fuss.
_UNLOOKED = (Conclusion.ACTION_REQUIRED, Conclusion.TIMED_OUT, Conclusion.FAILURE)


def verdict(run: Run) -> Verdict:
    """Join the agents of a run."""
    return _verdict(_Same((run,)))


@lru_cache(maxsize=1)
def _verdict(one: _Same[Run]) -> Verdict:
    (run,) = one.things
    if run.plan.problems:
        return Verdict(
            conclusion=Conclusion.FAILURE,
            title="The configuration is not valid, so nothing was checked",
            because=tuple(f"{p.file}:{p.line}: {p.message}" for p in run.plan.problems),
        )
    shown = run.shown
    left = [agent for agent in shown if agent.phase is not Phase.DONE]
    if left:
        return Verdict(conclusion=None, title=f"{len(shown) - len(left)} of {len(shown)} agents done")
    required = [agent for agent in shown if agent.plan.required]
    conclusions = {conclusion for agent in required if (conclusion := conclusion_of(run, agent))}
    if not conclusions:
        return Verdict(conclusion=Conclusion.NEUTRAL, title="No agent is required, so nothing was decided")
    worst = _worst(conclusions)
    because = tuple(reason for agent in required if (reason := _reason(run, agent)))
    return Verdict(conclusion=worst, title=_title(worst, run), because=because)


def _worst(conclusions: set[Conclusion]) -> Conclusion:
    if Conclusion.TIMED_OUT in conclusions:
        return Conclusion.FAILURE
    worst = max(conclusions, key=list(Conclusion).index)
    return Conclusion.NEUTRAL if worst is Conclusion.SKIPPED else worst


def _title(conclusion: Conclusion, run: Run) -> str:
    match conclusion:
        case Conclusion.SUCCESS:
            below = len(counted(run))
            return f"Passed, with {count(below, 'finding')}" if below else "Passed"
        case Conclusion.NEUTRAL | Conclusion.SKIPPED:
            return "Nothing against it, but not every required agent had something to look at"
        case Conclusion.ACTION_REQUIRED:
            return "Not everything could be looked at: a person has to decide"
        case Conclusion.CANCELLED:
            return f"Superseded by {run.superseded_by[:7]}" if run.superseded_by else "Cancelled"
        case Conclusion.TIMED_OUT | Conclusion.FAILURE:
            total = len(merge(f for agent in run.agents if agent.plan.required for f in blocking(agent)))
            if not total and any(too_risky(run, agent) for agent in run.agents):
                return f"Failed: a risk of {risk_of(run).score} is too much"
            return f"Failed: {count(total, 'finding')} to mend" if total else "Failed: an agent could not finish"


def _reason(run: Run, agent: AgentState) -> str:
    """Why this agent is no plain success, in one sentence; empty when it is."""
    name, result = agent.plan.name, agent.result
    if too_risky(run, agent):
        return f"{name}: the risk is {risk_of(run).score}, and {agent.plan.fail_risk} is too much"
    if result is None or passed(agent):
        return ""
    if bad := blocking(agent):
        return f"{name}: {count(len(bad), 'finding')} at or above {agent.plan.fail_on}"
    return f"{name}: {result.outcome.value.replace('_', ' ')}" + (f": {result.reason}" if result.reason else "")


def count(number: int, noun: str) -> str:
    """`1 finding`, `2 findings`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def findings(run: Run) -> tuple[Finding, ...]:
    """All findings of the run, the worst first, one problem once."""
    return _merged(_results(run))


def counted(run: Run) -> tuple[Finding, ...]:
    """Those of them that are held against the change."""
    return _run_parts(_results(run)).counted


def beside(run: Run) -> tuple[Finding, ...]:
    """The others: those that were there before the change, and those that people decided to ignore."""
    return _run_parts(_results(run)).beside


def identified(run: Run) -> Mapping[str, Finding]:
    """Those that are held against the change, by fingerprint."""
    return _identified(_results(run))


class Parts(NamedTuple):
    """Findings that are held against the change, and the others."""

    counted: tuple[Finding, ...]
    beside: tuple[Finding, ...]


def parts(result: AgentResult) -> Parts:
    """The findings of one agent."""
    return _parts(_Same((result,)))


def _results(run: Run) -> _Same[AgentResult]:
    return _Same(agent.result for agent in run.shown if agent.result)


class _Same(Generic[T]):
    """Things that are equal to others only when they are the same objects: they are too large to be compared by what
    is in them."""

    def __init__(self, things: Iterable[T]) -> None:
        self.things = tuple(things)
        self._ids = tuple(map(id, self.things))

    def __hash__(self) -> int:
        return hash(self._ids)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self._ids == other._ids


# Whoever renders a run asks for all of these a dozen times.
@lru_cache(maxsize=1)
def _merged(joined: _Same[AgentResult]) -> tuple[Finding, ...]:
    every = merge(finding for result in joined.things for finding in result.findings)
    return tuple(sorted(every, key=lambda f: (-f.severity.rank, f.path, f.start_line or 0, f.tool, f.rule)))


@lru_cache(maxsize=1)
def _run_parts(joined: _Same[AgentResult]) -> Parts:
    return _parted(_merged(joined))


@lru_cache(maxsize=1)
def _identified(joined: _Same[AgentResult]) -> Mapping[str, Finding]:
    counted = _run_parts(joined).counted
    return {fingerprint: finding for finding in counted if (fingerprint := finding.fingerprint)}


@lru_cache(maxsize=8)
def _parts(said: _Same[AgentResult]) -> Parts:
    (result,) = said.things
    return _parted(result.findings)


def _parted(found: Iterable[Finding]) -> Parts:
    counted, beside = list[Finding](), list[Finding]()
    for finding in found:
        (counted if finding.counts else beside).append(finding)
    return Parts(tuple(counted), tuple(beside))


@lru_cache(maxsize=8)
def _blocking(said: _Same[AgentResult], limit: Severity) -> tuple[Finding, ...]:
    loud = {severity for severity in Severity if severity >= limit}
    return tuple(finding for finding in _parts(said).counted if finding.severity in loud)
