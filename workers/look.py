"""One agent's look at one commit: the agent runs, and its findings are put in their place.

The same code serves a job from the queue and `assay check` on somebody's desk.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from bot.domain.diff import Diff
from bot.domain.findings import AgentResult, Outcome
from bot.domain.plan import AgentPlan, skipped_by_paths
from bot.domain.run import AgentState, Phase
from bot.errors import AssayError, NoSandbox
from workers.agent import Agent, Command, Completed, Kit, Sandbox, Work
from workers.measure import History, measure
from workers.results import WORDS_LIMIT, settle

log = logging.getLogger(__name__)

# Agents that look at the change itself: to measure it costs them nothing.
_MEASURING = ("lint", "security", "review")
# These end soon, and the reviewer is not to repeat them.
_QUICK = ("lint", "security")


def look(plan: AgentPlan, work: Work, kit: Kit, agent_for: Callable[[AgentPlan], Agent]) -> AgentResult:
    """Run the agent of a plan. Never raises: whatever goes wrong is a result."""
    begun = time.monotonic()
    try:
        if plan.paths or plan.paths_ignore:
            reason = skipped_by_paths(plan, tuple(work.diff.files))
            if reason:
                return AgentResult(outcome=Outcome.SKIPPED, reason=reason)
        used = _Used(kit.sandbox)
        said = agent_for(plan).run(work, replace(kit, sandbox=used))
        said = said.model_copy(update={"sandbox": used.said})
        # What found nothing need not be placed, nor anything be fetched for it.
        diff, root = (work.diff, work.root) if said.findings else (Diff(), Path())
        result = _measured(settle(said, plan, diff, root, kit.redact), plan, work, kit)
    except NoSandbox as error:
        reason, _, remedy = str(error).partition(". To mend it: ")
        result = AgentResult(outcome=Outcome.NOT_RUN, reason=kit.redact(reason), remedy=remedy)
    except AssayError as error:
        result = AgentResult(outcome=Outcome.ERROR, reason=kit.redact(str(error))[:WORDS_LIMIT])
    except Exception as error:
        log.exception("agent %s failed", plan.name)
        words = kit.redact(f"{type(error).__name__}: {error}")[:WORDS_LIMIT]
        result = AgentResult(outcome=Outcome.ERROR, reason=f"a fault in the agent: {words}")
    return result.model_copy(update={"seconds": round(time.monotonic() - begun, 3)})


def _measured(result: AgentResult, plan: AgentPlan, work: Work, kit: Kit) -> AgentResult:
    if plan.kind not in _MEASURING:
        return result
    history = History(kit.memory)
    history.note(work.sha, result)
    return result.model_copy(update={"measure": measure(work.diff, history.troubled(work.sha, work.diff.paths))})


class _Used:
    """A sandbox that knows whether it was used, so that a check says what its commands ran in."""

    def __init__(self, inner: Sandbox) -> None:
        self._inner = inner
        self.said = ""

    @property
    def level(self) -> str:
        return self._inner.level

    @property
    def isolates(self) -> bool:
        return self._inner.isolates

    def which(self, program: str) -> str | None:
        return self._inner.which(program)

    def run(self, command: Command) -> Completed:
        self.said = self.level
        return self._inner.run(command)


def is_at_work(agent: AgentState) -> bool:
    """Whether it is one whose word is soon there. Of one that is not begun nobody knows when it will be."""
    return agent.plan.kind in _QUICK and agent.phase is Phase.RUNNING


def said_so_far(agents: Sequence[AgentState]) -> dict[str, AgentResult]:
    """What agents have said, by their names."""
    return {agent.plan.name: agent.result for agent in agents if agent.result}
