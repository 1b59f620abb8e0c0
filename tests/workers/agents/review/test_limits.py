"""What a review may cost, and which models it may ask."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from bot.demo.model import KEY, MODEL, ScriptedModel
from bot.domain.accounts import Limits
from bot.domain.findings import AgentResult, Outcome
from tests.domain.runs import make_run
from tests.workers.agents.review.reviewing import (
    AFTER,
    BEFORE,
    QUIET,
    files,
    run,
    work_on,
)
from workers.llm.client import OpenAIModel
from workers.llm.prices import Price
from workers.llm.providers import Member, Providers
from workers.meter import Purse, metered


def limited(
    budget: Mapping[str, float], price: Price | None, count: int = 6, purse: Purse | None = None
) -> tuple[AgentResult, ScriptedModel]:
    with ScriptedModel(QUIET) as server:
        asked = OpenAIModel(KEY, server.base_url, MODEL, 10, {MODEL: price} if price else {})
        model = metered(asked, purse or Purse(), make_run(), Limits.model_validate(budget), 0.0)
        return model.told(run(work_on({}, files(count)), model)), server


def test_a_model_that_the_operator_does_not_allow_is_not_asked() -> None:
    with ScriptedModel(QUIET, models=(MODEL, "dear")) as server:
        own = Providers([Member("first", OpenAIModel(KEY, server.base_url, MODEL, 10))], MODEL).within([MODEL])
        result = run(work_on(BEFORE, AFTER, {"model": "dear"}), own)
        assert run(work_on(BEFORE, AFTER, {"model": MODEL}), own).outcome is Outcome.CLEAN
    assert (result.outcome, result.reason) == (
        Outcome.NOT_RUN,
        f"the operator does not allow the model dear, but {MODEL}",
    )
    assert "agents.review.model" in result.remedy
    assert [request.model for request in server.requests] == [MODEL]


# Some hundred tokens an answer, of which an estimate takes 4,000: half a cent in, four cents out.
COSTS = Price(input=1.0, output=10.0)


@pytest.mark.usefixtures("small_requests")
def test_a_request_that_would_go_over_the_budget_is_not_sent() -> None:
    result, server = limited({"run": 0.045}, COSTS)
    assert 2 <= len(server.requests) < 6
    assert result.outcome is Outcome.PARTIAL
    assert result.cost
    assert result.cost.usd is not None
    assert 0 < result.cost.usd <= 0.045
    assert "this run's $0.0450 are used up" in result.reason
    assert "estimated at $0.04" in result.reason
    assert result.remedy == "raise agents.review.budget.run"
    left = 6 - len(server.requests)
    assert result.cap
    assert (result.cap.limit, result.cap.most) == (0.045, 0.45)
    assert result.cap.spent == pytest.approx(result.cost.usd)
    assert result.cap.rest == pytest.approx(left * 0.0425, rel=0.1)
    assert result.cap.proposed == 0.18, "twice would not do"


@pytest.mark.usefixtures("small_requests")
def test_what_was_spent_on_the_same_run_before_counts() -> None:
    purse = Purse()
    first, second = (limited({"run": 0.045}, COSTS, 6, purse) for _ in range(2))
    assert first[0].outcome is Outcome.PARTIAL
    assert len(second[1].requests) <= 1
    assert second[0].outcome is Outcome.NOT_RUN


@pytest.mark.usefixtures("small_requests")
def test_two_requests_at_once_do_not_go_over_the_budget_together() -> None:
    result, server = limited({"run": 0.06}, COSTS, 2)
    assert len(server.requests) == 2, "one after the other"
    assert (result.outcome, result.cap) == (Outcome.CLEAN, None)
    assert not limited({"run": 0.03}, COSTS)[1].requests


def test_a_budget_in_dollars_asks_nothing_where_no_price_is_known() -> None:
    result, server = limited({"run": 5}, None)
    assert not server.requests
    assert (result.outcome, result.cap) == (Outcome.NOT_RUN, None)
    assert f"nobody stated the price of {MODEL}" in result.reason


@pytest.mark.usefixtures("small_requests")
def test_a_budget_in_tokens_needs_no_price() -> None:
    result, server = limited({"tokens": 8_000}, None)
    assert 1 <= len(server.requests) < 6
    assert "this run's 8,000 tokens are used up" in result.reason
    assert result.cap
    assert result.cap.proposed in (32_000, 64_000)
    assert result.cost
    assert result.cost.usd is None


def test_a_budget_of_nothing_asks_nothing() -> None:
    result, server = limited({"run": 0}, COSTS)
    assert result.outcome is Outcome.NOT_RUN
    assert not server.requests
