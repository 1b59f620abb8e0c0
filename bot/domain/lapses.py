"""What a deadline that passed has led to, in words for the log and for `assay show`. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from bot.domain.run import AgentState, Question, Run


class Lapse(NamedTuple):
    """`words` say what happened; `trouble`, that something did not come to an end of its own."""

    words: str
    trouble: bool = False


def lapses(before: Run, after: Run) -> tuple[Lapse, ...]:
    """What differs in a run that a passed deadline has changed. Nothing where nothing was overdue any more."""
    agents = ((agent, now) for agent in before.agents if (now := after.agent(agent.plan.name)))
    found = [lapse for agent, now in agents if (lapse := _of_agent(agent, now))]
    return (*found, *_of_question(before.question, after.question))


def _of_agent(before: AgentState, after: AgentState) -> Lapse | None:
    name = before.plan.name
    if after.assumed and not before.assumed and after.result is not None:
        return Lapse(f"{name} was given up: {after.result.reason}", trouble=True)
    if after.attempt == before.attempt:
        return None
    if before.resumes_at is not None:
        return Lapse(f"{name} begins anew, after it waited for a service that was away")
    return Lapse(f"{name} begins anew without the approval, which has ended") if before.in_flight else None


def _of_question(before: Question | None, after: Question | None) -> Iterator[Lapse]:
    if before is None or after is None:
        return
    if after.reminded and not before.reminded:
        yield Lapse("people are reminded that it waits for an approval")
    if after.expired and not before.expired:
        yield Lapse("nobody approved it in time, and it is not asked for any more")
