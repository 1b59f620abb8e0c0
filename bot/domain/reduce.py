"""All transitions of a run: `reduce(run, event) -> Step(run, effects)`.

The rules:
1. Level, not edge. After every event `_advance` asks what the run needs now: agents whose turn has come are started,
   and nothing depends on which event was the last.
2. An agent's news counts only for its current attempt; anything else is old and changes nothing.
3. A real result beats an assumed one (a deadline, a cancellation), and of two real results for one attempt the worse
   counts, so that every order of the same events ends the same way.
4. A commit has one run. The pull request with the lowest number decides what it is compared with, else the merge
   queue, else the push; when that changes, every agent starts a new attempt.
5. An event that changes nothing has no effects.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import assert_never

from bot.domain.effects import Effect, Publish, StartAgent, StopAgent
from bot.domain.events import (
    AgentFinished,
    AgentProgressed,
    AgentStarted,
    CommitReceived,
    DeadlinePassed,
    Event,
    PullChanged,
    RerunRequested,
)
from bot.domain.findings import AgentResult, Outcome
from bot.domain.run import GRACE, QUEUE_PATIENCE, AgentState, Phase, Run, RunKey
from bot.domain.triggers import Pull, Trigger
from bot.domain.verdict import passed


@dataclass(frozen=True)
class Step:
    """The run after an event, and what is to be done about it. `run` is None for news of a run nobody started."""

    run: Run | None
    effects: tuple[Effect, ...] = ()


def reduce(run: Run | None, event: Event, key: RunKey) -> Step:
    """Fold one event into the run of `key`. Pure, total, and idempotent."""
    if run is None:
        return _advance(None, _open(event, key), event) if isinstance(event, CommitReceived) else Step(None)
    match event:
        case CommitReceived():
            after = _receive(run, event)
        case RerunRequested():
            after = _rerun(run, event)
        case PullChanged():
            after = _pull_changed(run, event)
        case AgentStarted():
            after = _on_agent(run, event.agent, event.attempt, lambda agent: _started(agent, event.at))
        case AgentProgressed():
            after = _on_agent(run, event.agent, event.attempt, lambda agent: _progressed(agent, event.message))
        case AgentFinished():
            after = _on_agent(run, event.agent, event.attempt, lambda agent: _finished(agent, event.result, event.at))
        case DeadlinePassed():
            after = _each(run, lambda agent: _overdue(agent, event.at))
        case _:
            assert_never(event)
    return Step(run) if after == run else _advance(run, after, event)


def _advance(before: Run | None, run: Run, event: Event) -> Step:
    """Start every agent whose turn has come, and say what changed."""
    done = {agent.plan.name for agent in run.agents if agent.phase is Phase.DONE}
    names = {agent.plan.name for agent in run.agents}

    def start(agent: AgentState) -> AgentState:
        if agent.phase is not Phase.WAITING or any(name in names - done for name in agent.plan.after):
            return agent
        return agent.model_copy(update={"phase": Phase.QUEUED, "deadline": event.at + QUEUE_PATIENCE})

    run = _each(run, start).model_copy(update={"updated_at": max(run.updated_at, event.at)})
    old = {agent.plan.name: agent for agent in before.agents} if before else {}
    effects: list[Effect] = []
    for agent in run.agents:
        was = old.get(agent.plan.name)
        if was and was.in_flight and (was.attempt != agent.attempt or agent.assumed):
            effects.append(StopAgent(agent.plan.name, was.attempt))
        if agent.phase is Phase.QUEUED and (was is None or (was.attempt, was.phase) != (agent.attempt, Phase.QUEUED)):
            effects.append(StartAgent(agent.plan.name, agent.plan.kind, agent.attempt, agent.plan.timeout))
    for name in old.keys() - names:
        if old[name].in_flight:
            effects.append(StopAgent(name, old[name].attempt))
    return Step(run, (*effects, Publish()))


# -- commits and pull requests


def _open(event: CommitReceived, key: RunKey) -> Run:
    run = Run(key=key, installation=event.installation, created_at=event.at, updated_at=event.at)
    return _plan(run.model_copy(update={"triggers": (event.trigger,)}), event, attempt=1)


def _receive(run: Run, event: CommitReceived) -> Run:
    old = next((trigger for trigger in run.triggers if trigger.id == event.trigger.id), None)
    trigger = event.trigger
    if isinstance(old, Pull) and isinstance(trigger, Pull) and trigger.updated_at < old.updated_at:
        return run
    others = tuple(other for other in run.triggers if other.id != trigger.id)
    leader = _leader((*others, trigger))
    after = run.model_copy(
        update={
            "triggers": tuple(sorted((*others, trigger), key=lambda other: other.id)),
            "installation": event.installation,
        }
    )
    if leader.id == trigger.id and (leader.base_sha != run.base_sha or event.plan != run.plan):
        return _plan(after, event, attempt=run.attempt + 1)
    return _again(after.model_copy(update={"superseded_by": None}), lambda agent: agent.outcome is Outcome.CANCELLED)


def _leader(triggers: tuple[Trigger, ...]) -> Trigger:
    order = {"pull": 0, "merge_group": 1, "push": 2, "manual": 3}
    return min(
        triggers,
        key=lambda t: (not _live(t), order[t.kind], t.number if isinstance(t, Pull) else 0, t.id),
    )


def _live(trigger: Trigger) -> bool:
    return not isinstance(trigger, Pull) or trigger.live


def _plan(run: Run, event: CommitReceived, attempt: int) -> Run:
    """Lay the run out anew by the event's plan. Attempts of an agent go on counting, so that old news stays old."""
    attempts = {agent.plan.name: agent.attempt for agent in run.agents}
    agents = []
    for plan in event.plan.agents:
        agent = AgentState(plan=plan, attempt=attempts.get(plan.name, 0) + 1)
        if plan.skip:
            result = AgentResult(outcome=Outcome.SKIPPED, reason=plan.skip)
            agent = agent.model_copy(update={"phase": Phase.DONE, "finished_at": event.at, "result": result})
        agents.append(agent)
    return run.model_copy(
        update={
            "plan": event.plan,
            "base_sha": event.trigger.base_sha,
            "attempt": attempt,
            "agents": tuple(agents),
            "superseded_by": None,
        }
    )


def _pull_changed(run: Run, event: PullChanged) -> Run:
    old = next((pull for pull in run.pulls if pull.number == event.number), None)
    if old is None or not old.live or event.updated_at < old.updated_at:
        return run
    gone = old.model_copy(update={"live": False, "updated_at": event.updated_at})
    triggers = tuple(gone if trigger.id == old.id else trigger for trigger in run.triggers)
    run = run.model_copy(update={"triggers": triggers})
    if any(_live(trigger) for trigger in triggers):
        return run
    run = run.model_copy(update={"superseded_by": event.moved_to})
    return _each(run, lambda agent: _assume(agent, Outcome.CANCELLED, event.reason, event.at))


def _rerun(run: Run, event: RerunRequested) -> Run:
    if event.delivery and event.delivery in run.reruns:
        return run

    def wanted(agent: AgentState) -> bool:
        if agent.plan.skip or agent.phase is not Phase.DONE:
            return False
        if event.agents and agent.plan.name not in event.agents:
            return False
        return not (event.failed_only and passed(agent))

    after = _again(run, wanted)
    if after == run:
        return run
    return after.model_copy(update={"attempt": run.attempt + 1, "reruns": (*run.reruns, event.delivery)[-50:]})


def _again(run: Run, wanted: Callable[[AgentState], bool]) -> Run:
    return _each(run, lambda agent: AgentState(plan=agent.plan, attempt=agent.attempt + 1) if wanted(agent) else agent)


# -- agents


def _each(run: Run, change: Callable[[AgentState], AgentState]) -> Run:
    return run.model_copy(update={"agents": tuple(change(agent) for agent in run.agents)})


def _on_agent(run: Run, name: str, attempt: int, change: Callable[[AgentState], AgentState]) -> Run:
    return _each(run, lambda agent: change(agent) if (agent.plan.name, agent.attempt) == (name, attempt) else agent)


def _started(agent: AgentState, at: float) -> AgentState:
    if agent.phase is not Phase.QUEUED:
        return agent
    deadline = at + agent.plan.timeout + GRACE
    return agent.model_copy(update={"phase": Phase.RUNNING, "started_at": at, "deadline": deadline})


def _progressed(agent: AgentState, message: str) -> AgentState:
    if agent.phase is not Phase.RUNNING:
        return agent
    return agent.model_copy(update={"progress": message})


def _finished(agent: AgentState, result: AgentResult, at: float) -> AgentState:
    if agent.phase is Phase.WAITING:
        return agent
    if agent.result is not None and not agent.assumed and _badness(result) <= _badness(agent.result):
        return agent
    return agent.model_copy(
        update={
            "phase": Phase.DONE,
            "result": result,
            "assumed": False,
            "deadline": None,
            "finished_at": at,
            "progress": "",
        }
    )


def _badness(result: AgentResult) -> tuple[int, int, str]:
    return list(Outcome).index(result.outcome), len(result.findings), result.model_dump_json()


def _overdue(agent: AgentState, at: float) -> AgentState:
    if agent.deadline is None or agent.deadline > at:
        return agent
    if agent.phase is Phase.QUEUED:
        return _assume(agent, Outcome.ERROR, "no worker took it up in time; is one running for this queue?", at)
    return _assume(agent, Outcome.TIMED_OUT, f"it gave no result within {agent.plan.timeout} s", at)


def _assume(agent: AgentState, outcome: Outcome, reason: str, at: float) -> AgentState:
    if agent.phase is Phase.DONE:
        return agent
    return agent.model_copy(
        update={
            "phase": Phase.DONE,
            "result": AgentResult(outcome=outcome, reason=reason),
            "assumed": True,
            "deadline": None,
            "finished_at": at,
            "progress": "",
        }
    )
