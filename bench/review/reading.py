"""One change through the reviewer, its verifier and the reducer, as `assay check` runs them."""

from __future__ import annotations

import time
from pathlib import Path

from bench.review.cases import Case, work_tree
from bench.review.score import Reviewed
from bot.domain.findings import Cost
from bot.domain.plan import Plan, plan
from bot.domain.run import Run
from bot.domain.triggers import Manual
from bot.domain.verdict import findings
from config.repository import RepositoryConfig
from workers.desk import open_desk
from workers.kit import local_kit, resolve
from workers.local import check

_OTHERS = ("test", "lint", "security")


def orders(*, verify: bool) -> Plan:
    """The reviewer, and what checks it."""
    review = {"verify": {"enabled": verify}, "max_comments": 50}
    agents = {name: {"enabled": False} for name in _OTHERS} | {"review": review}
    return plan(RepositoryConfig.model_validate({"agents": agents}), Manual())


def review(case: Case, clones: Path | None, *, verify: bool, comments: int) -> Reviewed:
    """What the reviewer would show people of this change."""
    begun = time.monotonic()
    with work_tree(case, clones) as (root, base), open_desk(root, base) as desk:
        run = check(desk, orders(verify=verify), resolve, local_kit(root), time.time, lambda _: None)
    agent = run.agent("review")
    assert agent is not None
    assert agent.result is not None
    costs = _costs(run)
    return Reviewed(
        candidates=tuple(one for one in findings(run) if one.counts)[:comments],
        outcome=agent.result.outcome,
        why=agent.result.reason,
        usd=None if not costs or any(cost.usd is None for cost in costs) else sum(cost.usd or 0.0 for cost in costs),
        tokens=sum(cost.input_tokens + cost.output_tokens for cost in costs),
        seconds=time.monotonic() - begun,
    )


def _costs(run: Run) -> list[Cost]:
    return [agent.result.cost for agent in run.agents if agent.result and agent.result.cost]
