"""Models that are charged to accounts, against a real Redis."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pydantic import BaseModel
from redis import Redis

from bot.domain.accounts import Account
from bot.domain.findings import Cost
from bot.errors import AssayError, Refused, Theirs, Unavailable
from bot.spending import Spending
from workers.agent import Answer, CutOff, Model
from workers.meter import MeteredModel

MONTH = Account(key="octo/shop:2026-11", limit=1.0, words="the month's $1.00", remedy="raise it", kept=60)
INSTALLATION = Account(key="installation 7:2026-11", limit=5.0, words="all's $5.00", remedy="ask", kept=60)


class Word(BaseModel):
    word: str = ""


class Priced:
    """Answers, or fails, at a price; `when_asked` is called meanwhile."""

    name = "priced"

    def __init__(self, estimated: float | None, usd: float | None, error: AssayError | None = None) -> None:
        self.estimated, self.usd, self.error, self.asked = estimated, usd, error, 0
        self.when_asked: Callable[[], None] = lambda: None

    def named(self, model: str) -> Model:
        raise NotImplementedError

    def estimate(self, system: str, user: str) -> Cost:
        return Cost(model=self.name, usd=self.estimated)

    def ask(self, system: str, user: str, answer: type[Answer], *, timeout: float) -> tuple[Answer, Cost]:
        self.asked += 1
        self.when_asked()
        if self.error:
            raise self.error
        return answer(), Cost(model=self.name, usd=self.usd)


def ask(redis: Redis, model: Priced) -> None:
    MeteredModel(model, Spending(redis), [MONTH, INSTALLATION]).ask("", "", Word, timeout=1)


def spent(redis: Redis) -> list[float]:
    return [round(usd, 6) for usd in Spending(redis).spent([MONTH, INSTALLATION])]


@pytest.mark.parametrize(("used", "charged"), [(0.05, 0.05), (None, 0.5), (0.0, 0.0)])
def test_an_answer_that_was_cut_off_is_charged_with_what_was_used(
    redis: Redis, used: float | None, charged: float
) -> None:
    with pytest.raises(CutOff):
        ask(redis, Priced(0.5, 0.2, CutOff("called off", Cost(model="priced", usd=used))))
    assert spent(redis) == [charged, charged]


def test_what_was_estimated_is_set_right_by_what_it_cost(redis: Redis) -> None:
    ask(redis, Priced(0.5, 0.2))
    assert spent(redis) == [0.2, 0.2]


def test_question_whose_estimate_goes_over_a_limit_is_not_asked(redis: Redis) -> None:
    ask(redis, Priced(0.1, 0.8))
    dear = Priced(0.3, 0.01)
    with pytest.raises(Refused, match=r"the month's \$1.00 are used up: the next request is estimated at \$0.3"):
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
