"""What becomes of one attempt of an agent, as the reducer hears of it. Pure."""

from __future__ import annotations

from bot.domain.findings import AgentResult, Cost, Outcome
from bot.domain.run import AWAY_PATIENCE, GRACE, STARTS, AgentState, Phase
from bot.domain.verdict import Conclusion, agent_conclusion
from bot.domain.wording import moment

# Seconds until a service that is away is asked again.
_SHORTEST_WAIT = 60.0


def started(agent: AgentState, at: float) -> AgentState:
    """A start may come twice: the job of a dead worker is taken up by another."""
    if not agent.in_flight or agent.resumes_at is not None:
        return agent
    span = agent.plan.timeout + GRACE
    first = min(at, at if agent.started_at is None else agent.started_at)
    deadline = at + span
    if agent.phase is Phase.RUNNING and agent.deadline is not None:
        deadline = max(deadline, agent.deadline)
    update = {"phase": Phase.RUNNING, "started_at": first, "deadline": min(deadline, first + STARTS * span)}
    return agent.model_copy(update=update)


def progressed(agent: AgentState, message: str) -> AgentState:
    """What it says of how far it is, while it is under way."""
    if agent.phase is not Phase.RUNNING or agent.resumes_at is not None:
        return agent
    return agent.model_copy(update={"progress": message})


def finished(agent: AgentState, result: AgentResult, at: float) -> AgentState:
    """Its own word, of which the worst counts where there are several. That a service is away parks it."""
    if result.retry_after is not None:
        if agent.result is not None or agent.resumes_at is not None:
            return agent
        since = at if agent.away_since is None else agent.away_since
        until = since + (AWAY_PATIENCE if agent.plan.away is None else agent.plan.away)
        if at < until:
            return _parked(agent, result, since, until, at)
    if agent.result is not None:
        # A worker that was told to stop says so; that is no news, but what it used until then is.
        if result.outcome is Outcome.CANCELLED:
            return _charged(agent, result.cost)
        said = agent.said or agent.result
        if not agent.assumed and _badness(agent, result) <= _badness(agent, said):
            return agent
    return ended(agent, result, at, assumed=result.outcome is Outcome.CANCELLED)


def _charged(agent: AgentState, cost: Cost | None) -> AgentState:
    """With what was spent on a result that is only assumed. Of several words of it the largest counts."""
    said = agent.result
    if said is None or cost is None or not agent.assumed or (said.cost and _size(said.cost) >= _size(cost)):
        return agent
    return agent.model_copy(update={"result": said.model_copy(update={"cost": cost})})


def _size(cost: Cost) -> tuple[int, str]:
    return cost.input_tokens + cost.output_tokens, cost.model_dump_json()


def _parked(agent: AgentState, result: AgentResult, since: float, until: float, at: float) -> AgentState:
    """It waits as long again as it has waited, or for as long as the service says, and no longer than `until`."""
    resumes = min(at + max(result.retry_after or 0.0, at - since, _SHORTEST_WAIT), until)
    update = {
        "phase": Phase.RUNNING,
        "away_since": since,
        "resumes_at": resumes,
        "deadline": resumes,
        "used": result.cost,
        "progress": f"waiting for the provider since {moment(since)}: {result.reason}",
    }
    return agent.model_copy(update=update)


def has_waited(agent: AgentState, at: float) -> bool:
    """Whether it has waited long enough for a service."""
    return agent.resumes_at is not None and agent.resumes_at <= at


def _badness(agent: AgentState, result: AgentResult) -> tuple[int, int, str]:
    conclusion = agent_conclusion(agent.model_copy(update={"phase": Phase.DONE, "result": result}))
    order = list(Conclusion).index(conclusion) if conclusion else -1
    return order, len(result.findings), result.model_dump_json()


def overdue(agent: AgentState, at: float) -> AgentState:
    """It is given up where its deadline has passed."""
    if agent.deadline is None or agent.deadline > at or agent.resumes_at is not None:
        return agent
    if agent.phase is Phase.QUEUED:
        return assume(agent, Outcome.ERROR, "no worker took it up in time; is one running for this queue?", at)
    return assume(agent, Outcome.TIMED_OUT, f"it gave no result within {agent.plan.timeout} s", at)


def assume(agent: AgentState, outcome: Outcome, reason: str, at: float) -> AgentState:
    """It ends without a word of its own, unless it has ended."""
    if agent.phase is Phase.DONE:
        return agent
    return ended(agent, AgentResult(outcome=outcome, reason=reason), at, assumed=True)


def ended(agent: AgentState, result: AgentResult, at: float, *, assumed: bool) -> AgentState:
    """It is done. `assumed`: this is not its own word, and gives way to that."""
    return agent.model_copy(
        update={
            "phase": Phase.DONE,
            "result": result,
            "first": None,
            "assumed": assumed,
            "deadline": None,
            "resumes_at": None,
            "used": None,
            "finished_at": at,
            "progress": "",
        }
    )
