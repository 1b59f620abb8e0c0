"""What of a run GitHub's code scanning is told, and for which refs.

An analysis takes the place of the one before of the same ref and agent, and what it does not name counts as fixed. So
an agent that did not get to look has none. On a branch only those have one that speak of the whole tree: from those
that look at what a push changed, everything before would seem to be fixed. A pull request is looked at as a whole.
"""

from __future__ import annotations

from bot.domain.findings import Outcome
from bot.domain.model import Frozen
from bot.domain.plan import AgentPlan
from bot.domain.run import AgentState, Run
from bot.domain.triggers import Pull, Push, Trigger

# GitHub refuses a file with more of them.
AGENTS = 20

_QUEUE = "gh-readonly-queue/"
_LOOKED = (Outcome.CLEAN, Outcome.FINDINGS, Outcome.PARTIAL)


class Target(Frozen):
    """A ref that code scanning is told of, and the agents whose findings it is told. `trigger` is what brought it."""

    ref: str
    trigger: Trigger
    agents: tuple[str, ...]


def targets(run: Run) -> tuple[Target, ...]:
    """Where the findings of a run that has ended belong; nowhere where nobody asked for it."""
    if not run.plan.code_scanning or not run.complete:
        return ()
    found = (_target(run, trigger) for trigger in run.triggers if trigger.live)
    return tuple(target for target in found if target is not None and target.agents)


def kept_back(run: Run) -> tuple[str, ...]:
    """What code scanning is not told, in words for people."""
    if not run.plan.code_scanning or not run.complete:
        return ()
    every = _looked(run)
    pushes = (trigger for trigger in run.triggers if isinstance(trigger, Push) and trigger.live)
    branches = [push.branch for push in pushes if not push.branch.startswith(_QUEUE)]
    partly = [agent.plan.name for agent in every if not _whole(run, agent.plan)]
    notes = []
    if branches and partly:
        who, what = " and ".join(partly), "what a push does not touch would count as fixed there"
        notes.append(f"Code scanning of {', '.join(branches)} is not told of {who}, who looked at the change: {what}.")
    if beyond := [agent.plan.name for agent in every[AGENTS:]]:
        notes.append(f"Code scanning takes {AGENTS} agents: it is not told of {', '.join(beyond)}.")
    return tuple(notes)


def _target(run: Run, trigger: Trigger) -> Target | None:
    agents = _looked(run)
    match trigger:
        case Pull():
            ref = f"refs/pull/{trigger.number}/head"
        case Push() if not trigger.branch.startswith(_QUEUE):
            ref, agents = f"refs/heads/{trigger.branch}", [one for one in agents if _whole(run, one.plan)]
        case _:
            return None
    return Target(ref=ref, trigger=trigger, agents=tuple(agent.plan.name for agent in agents[:AGENTS]))


def _looked(run: Run) -> list[AgentState]:
    return [agent for agent in run.shown if agent.outcome in _LOOKED]


def _whole(run: Run, plan: AgentPlan) -> bool:
    """Whether an agent speaks of all files: because there was nothing to compare with, or because it is a command,
    which looks where it likes, and all is reported."""
    return run.base_sha is None or (plan.kind in ("test", "command") and plan.report == "all")
