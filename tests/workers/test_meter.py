"""Models that are charged to accounts, against a real Redis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel
from redis import Redis

from bot.domain.accounts import Account, Limits
from bot.domain.findings import AgentResult, Cost, Outcome
from bot.errors import AssayError, Refused, Theirs, Unavailable
from bot.spending import Spending
from tests.domain.runs import make_run
from workers.agent import Answer, CutOff, Declined, Model, OverBudget
from workers.meter import MeteredModel, metered


def account(key: str, limit: float, whose: str, **fields: Any) -> Account:
    return Account(key=key, limit=limit, configured=limit, whose=whose, remedy="raise it", kept=60, **fields)


MONTH = account("octo/shop:2026-11", 1.0, "the month's", name="month")
INSTALLATION = account("installation 7:2026-11", 5.0, "all's")
TOKENS = account("octo/shop:2026-11 tokens", 10_000, "the month's", name="month_tokens", unit="tokens")


class Word(BaseModel):
    word: str = ""


class Priced:
    """Answers, or fails, at a price; `when_asked` is called meanwhile."""

    name = "priced"
    room = 1_000_000

    def __init__(self, estimated: float | None, usd: float | None, error: AssayError | None = None) -> None:
        self.estimated, self.usd, self.error, self.asked = estimated, usd, error, 0
        self.when_asked: Callable[[], None] = lambda: None

    def named(self, model: str) -> Model:
        return self

    def estimate(self, system: str, user: str) -> Cost:
        return Cost(model=self.name, usd=self.estimated, input_tokens=2_000, output_tokens=4_000)

    def ask(self, system: str, user: str, answer: type[Answer], *, timeout: float) -> tuple[Answer, Cost]:
        self.asked += 1
        self.when_asked()
        if self.error:
            raise self.error
        return answer(), Cost(model=self.name, usd=self.usd, input_tokens=2_000, output_tokens=500)


def metered_by(redis: Redis, model: Priced) -> MeteredModel:
    return MeteredModel(model, Spending(redis), [MONTH, INSTALLATION])


def ask(redis: Redis, model: Priced) -> None:
    metered_by(redis, model).ask("", "", Word, timeout=1)


def spent(redis: Redis) -> list[float]:
    return [round(usd, 6) for usd in Spending(redis).spent([MONTH, INSTALLATION])]


@pytest.mark.parametrize(("used", "charged"), [(0.05, 0.05), (None, 0.5), (0.0, 0.0)])
def test_an_answer_that_was_cut_off_is_charged_with_what_was_used(
    redis: Redis, used: float | None, charged: float
) -> None:
    with pytest.raises(CutOff):
        ask(redis, Priced(0.5, 0.2, CutOff("called off", Cost(model="priced", usd=used))))
    assert spent(redis) == [charged, charged]


def test_answer_that_was_no_use_costs_what_it_did_and_no_estimate(redis: Redis) -> None:
    model = metered_by(redis, Priced(0.5, None, Declined("it refused", 200, Cost(model="priced", usd=0.1))))
    with pytest.raises(Refused):
        model.ask("", "", Word, timeout=1)
    assert spent(redis) == [0.1, 0.1]
    told = model.told(AgentResult(outcome=Outcome.ERROR))
    assert told.cost
    assert told.cost.usd == 0.1, "the run has it, whatever its agent says"


def test_what_all_questions_of_all_models_have_cost_is_the_result_s(redis: Redis) -> None:
    model = metered_by(redis, Priced(0.5, 0.2))
    model.ask("", "", Word, timeout=1)
    model.named("other").ask("", "", Word, timeout=1)
    told = model.told(AgentResult(outcome=Outcome.CLEAN))
    assert told.cost
    assert (told.cost.usd, told.cost.output_tokens) == (0.4, 1_000)


def test_what_was_estimated_is_set_right_by_what_it_cost(redis: Redis) -> None:
    ask(redis, Priced(0.5, 0.2))
    assert spent(redis) == [0.2, 0.2]


def test_question_whose_estimate_goes_over_a_limit_is_not_asked(redis: Redis) -> None:
    ask(redis, Priced(0.1, 0.8))
    dear = Priced(0.3, 0.01)
    with pytest.raises(
        Refused, match=r"the month's \$1.00 are used up: \$0.8000 spent, and the next request is estimated at \$0.3"
    ):
        ask(redis, dear)
    assert dear.asked == 0
    assert spent(redis) == [0.8, 0.8]


def test_questions_at_once_do_not_go_over_a_limit_together(redis: Redis) -> None:
    first, second = Priced(0.6, 0.6), Priced(0.6, 0.6)

    def meanwhile() -> None:
        with pytest.raises(Refused):
            ask(redis, second)

    first.when_asked = meanwhile
    ask(redis, first)
    assert (first.asked, second.asked, spent(redis)) == (1, 0, [0.6, 0.6])


def test_model_without_a_price_is_not_asked(redis: Redis) -> None:
    unknown = Priced(None, None)
    with pytest.raises(Refused, match="nobody stated the price of priced"):
        ask(redis, unknown)
    assert unknown.asked == 0


@pytest.mark.parametrize(
    ("error", "charged"),
    [
        (Unavailable("away"), 0.0),
        (Refused("no such model", 404), 0.0),
        (Refused("it refused", 200), 0.4),
        (Theirs("nonsense"), 0.4),
    ],
)
def test_answer_that_is_no_use_is_paid_for_and_none_is_not(redis: Redis, error: AssayError, charged: float) -> None:
    with pytest.raises(type(error)):
        ask(redis, Priced(0.4, None, error))
    assert spent(redis) == [charged, charged]


def test_answer_whose_price_is_not_told_costs_what_was_estimated(redis: Redis) -> None:
    ask(redis, Priced(0.4, None))
    assert spent(redis) == [0.4, 0.4]


# -- tokens, levels, and limits that were raised


def test_model_without_a_price_is_metered_in_tokens(redis: Redis) -> None:
    model = Priced(None, None)
    spending = Spending(redis)
    asked = MeteredModel(model, spending, [TOKENS])
    asked.ask("", "", Word, timeout=1)
    assert spending.spent([TOKENS]) == [2_500]
    asked.ask("", "", Word, timeout=1)
    with pytest.raises(OverBudget, match="the month's 10,000 tokens are used up: 5,000 tokens spent, and the next"):
        asked.ask("", "", Word, timeout=1)
    assert (model.asked, spending.spent([TOKENS])) == (2, [5_000])
    cap = asked.cap(Cost(model="priced", input_tokens=30_000, output_tokens=0))
    assert cap
    assert (cap.name, cap.unit, cap.spent, cap.proposed) == ("month_tokens", "tokens", 5_000, 40_000)


@pytest.mark.parametrize("of", [MONTH, TOKENS], ids=["dollars", "tokens"])
def test_each_level_is_told_of_once_and_anew_once_the_limit_is_raised(redis: Redis, of: Account) -> None:
    spending, tenth = Spending(redis), of.limit / 10
    told = [level for _ in range(12) for _, level in spending.charge([(of, tenth)])]
    assert told == [50, 75, 90, 100]
    higher = of.model_copy(update={"limit": of.limit * 2})
    assert [level for _ in range(8) for _, level in spending.charge([(higher, tenth)])] == [50, 75, 90, 100]


def test_limit_that_was_raised_counts_for_all_that_it_is_about_until_it_is_configured_otherwise(redis: Redis) -> None:
    spending = Spending(redis)
    cap = MONTH.cap(1.0, 0.5)
    assert cap
    spending.raise_to(cap, 2.0)
    spending.raise_to(cap, 1.5)
    other = MONTH.model_copy(update={"configured": 1.2, "limit": 1.2})
    assert spending.raised([MONTH, INSTALLATION, other]) == [2.0, None, None]
    spending.hold([(MONTH, 1.4)])
    run = make_run()
    model = metered(Priced(0.5, 0.5), spending, run, Limits(month=1.0), 0.0)
    assert [one.limit for one in model.accounts] == [1.0], "another repository"


def test_nothing_is_proposed_for_what_only_the_operator_may_raise(redis: Redis) -> None:
    asked = MeteredModel(Priced(6.0, 6.0), Spending(redis), [INSTALLATION])
    with pytest.raises(OverBudget) as refused:
        asked.ask("", "", Word, timeout=1)
    assert refused.value.remedy == "raise it"
    assert asked.told(AgentResult(outcome=Outcome.NOT_RUN, rest=Cost(model="priced", usd=6.0))).cap is None
