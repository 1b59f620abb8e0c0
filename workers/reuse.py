"""No work twice: what an agent said of the same files is taken over.

What it depends on is put into one text: trees, not commits, for the merge queue's commit mostly has the tree of the
pull request's head, and a rebased one often has. Where the author may not execute code an agent looks at less, so a
stranger's results serve strangers only.
"""

from __future__ import annotations

import hashlib
import json
from typing import Protocol

from bot.domain.events import AgentFinished
from bot.domain.findings import AgentResult, Origin, Outcome
from bot.domain.plan import AgentPlan
from bot.domain.run import AgentState, Run, RunKey
from workers.agent import Model
from workers.registry import only_reads

# Seconds for which a result may serve again: advisories, registries and the like go on without us.
LONGEST = 86_400
# These look at nothing but files.
_DEAF = ("test", "lint", "security", "command")


class Results(Protocol):
    """Where it is noted who said what."""

    def note(self, digest: str, key: RunKey, agent: str, attempt: int, ttl: int) -> None: ...
    def find(self, digest: str) -> tuple[RunKey, AgentFinished] | None: ...


def digest_of(run: Run, plan: AgentPlan, trees: tuple[str, str], model: Model | None, toolbox: str) -> str:
    """All that an agent's result depends on. `trees` are those of the commit and of what it is compared with; or, of an
    agent of which nobody knows what it looks at, the two commits."""
    pull = next((pull for pull in run.pulls if pull.live), None)
    words = (pull.title, pull.body) if pull and plan.kind not in _DEAF else ()
    own = plan.model_dump(mode="json", include={"name", "kind", "report", "paths", "paths_ignore", "settings", "image"})
    agent = run.agent(plan.name)
    refuted = agent.refutations if agent else ()
    trust = run.trusted, not (agent and agent.barred)
    facts = [run.key.repository, trust, trees, own, words, model.name if model else "", toolbox, refuted]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def take_over(results: Results, digest: str, agent: AgentState) -> AgentResult | None:
    """What was said before, if it may serve again; never for whom a person has asked to look anew."""
    if agent.fresh or not agent.plan.reuse:
        return None
    noted = results.find(digest)
    if noted is None:
        return None
    key, finished = noted
    origin = Origin(sha=key.sha, at=finished.at)
    # It costs nothing this time.
    return finished.result.model_copy(update={"origin": origin, "cost": None, "seconds": 0.0})


def may_serve_again(plan: AgentPlan, result: AgentResult) -> bool:
    """Whether the agent came to an end that it would come to again. What fails when the repository's code is run may
    pass the next time."""
    if not plan.reuse or result.origin is not None:
        return False
    return result.outcome is Outcome.CLEAN or (result.outcome is Outcome.FINDINGS and only_reads(plan.kind))
