"""What a deadline that passed has led to, in words for the log and for `assay show`. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from bot.domain.run import AgentState, Gate, Question, Run


class Lapse(NamedTuple):
    """`words` say what happened; `trouble`, that something did not come to an end of its own."""

    words: str
    trouble: bool = False


def lapses(before: Run, after: Run) -> tuple[Lapse, ...]:
    """What differs in a run that a passed deadline has changed. Nothing where nothing was overdue any more."""
    agents = ((agent, now) for agent in before.agents if (now := after.agent(agent.plan.name)))
    found = [lapse for agent, now in agents if (lapse := _of_agent(agent, now))]
    pairs = [(gate, asked, after.questions.get(gate)) for gate, asked in before.questions.items()]
    return (*found, *(lapse for gate, asked, now in pairs if now for lapse in _of_question(gate, asked, now)))


def _of_agent(before: AgentState, after: AgentState) -> Lapse | None:
    name = before.plan.name
    if after.assumed and not before.assumed and after.result is not None:
        return Lapse(f"{name} was given up: {after.result.reason}", trouble=True)
    if after.attempt == before.attempt:
        return None
    if before.resumes_at is not None:
        return Lapse(f"{name} begins anew, after it waited for a service that was away")
    return Lapse(f"{name} begins anew without the approval, which has ended") if before.in_flight else None


def _of_question(gate: Gate, before: Question, after: Question) -> Iterator[Lapse]:
    reminder, end = _WORDS[gate]
    if after.reminded and not before.reminded:
        yield Lapse(f"people are reminded that it waits for {reminder}")
    if after.expired and not before.expired:
        yield Lapse(f"{end}, and it is not asked for any more")


_WORDS: dict[Gate, tuple[str, str]] = {
    "approval": ("an approval", "nobody approved it in time"),
    "budget": ("somebody to raise the limit on the cost of its review", "nobody raised the limit in time"),
    "judgement": ("somebody to let its review count", "nobody let the review count in time"),
}
