"""What limits the cost of models: by run, by pull request, by repository and month, by installation and month. Pure.

A limit is in US dollars, or, for models whose price nobody states, in tokens. People may raise those of the
repository's configuration where a review stopped at one, for the run, the pull request or the month that it is about;
those of the operator only the operator may.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from pydantic import ConfigDict

from bot.domain.findings import Cap, Cost, Unit
from bot.domain.model import Frozen
from bot.domain.run import Run, raised_to

# Seconds. A run's account outlives the run, a month's the month, a pull request's its last review.
_RUN, _MONTH, _PULL = 60 * 86_400, 62 * 86_400, 180 * 86_400
# Shares of a limit, in percent, that people are told of once.
LEVELS = (50, 75, 90, 100)
# To how many times what is configured a limit can be raised.
MOST_RAISED = 10
# Decimals, so that a limit that is shown is one that may be named.
_EXACT = 6


class Limits(Frozen):
    """See `config.repository.Budget`; `installation` and `installation_tokens` are the operator's, a month."""

    model_config = ConfigDict(extra="ignore")

    run: float | None = None
    tokens: int | None = None
    pull: float | None = None
    month: float | None = None
    month_tokens: int | None = None
    installation: float | None = None
    installation_tokens: int | None = None


class Account(Frozen):
    """Something that has a limit: `configured`, and `limit` as it was raised. `name` is the limit's in
    `agents.review.budget`, empty for the operator's; `whose` and `span` name it for people, `remedy` says who may raise
    it; it is kept for so many seconds after the last charge."""

    key: str
    configured: float
    limit: float
    whose: str
    remedy: str
    kept: int
    unit: Unit = "usd"
    span: str = ""
    name: str = ""

    @property
    def words(self) -> str:
        """`this run's $0.50`, `the repository's 2,000,000 tokens a month`."""
        return f"{self.whose} {amount(self.limit, self.unit)}{self.span}"

    def of(self, cost: Cost) -> float | None:
        """What something that cost so much is charged with, None where the price is not known."""
        return cost.usd if self.unit == "usd" else float(cost.input_tokens + cost.output_tokens)

    def cap(self, spent: float, rest: float) -> Cap | None:
        """The question whether it is raised, of an agent that stopped at it after so much was `spent`, and the `rest`
        of whose work is estimated at so much; None where people cannot raise it, or not any more."""
        most = round(self.configured * MOST_RAISED, _EXACT)
        if not self.name or self.limit >= most:
            return None
        proposed = self.limit * 2
        while proposed < min(spent + rest, most):
            proposed *= 2
        return Cap(
            name=self.name,
            unit=self.unit,
            account=self.key,
            configured=self.configured,
            limit=self.limit,
            proposed=round(min(proposed, most), _EXACT),
            most=most,
            spent=spent,
            rest=rest,
            words=self.words,
            kept=self.kept,
        )


def amount(value: float, unit: Unit, least: int = 2) -> str:
    """`$0.50`, `15,000 tokens`. Dollars have `least` decimals, and four where they need them."""
    if unit == "tokens":
        return f"{value:,.0f} tokens"
    return f"${value:,.{least}f}" if round(value, least) == value else f"${value:,.4f}"


def unit_of(name: str) -> Unit:
    """What a limit of `agents.review.budget` counts."""
    return "tokens" if name.endswith("tokens") else "usd"


def accounts(run: Run, limits: Limits, now: float) -> list[Account]:
    """The accounts that a run is charged to, of those that have a limit. `now` is in seconds since the epoch."""
    return [_raised(account, raised_to(run, account.name, account.configured)) for account in _all(run, limits, now)]


def with_raises(found: Iterable[Account], raises: Iterable[float | None]) -> list[Account]:
    """The accounts as people have raised them elsewhere: for their pull request, or their month."""
    return [_raised(account, limit or 0.0) for account, limit in zip(found, raises, strict=True)]


def _raised(account: Account, limit: float) -> Account:
    return account if limit <= account.limit else account.model_copy(update={"limit": limit})


def _all(run: Run, limits: Limits, now: float) -> Iterator[Account]:
    when = datetime.fromtimestamp(now, UTC).strftime("%Y-%m")
    repository, number = run.key.repository, next((one.number for one in run.pulls if one.live), None)

    def account(key: str, name: str, limit: float, unit: Unit, whose: str, kept: int, span: str = "") -> Account:
        remedy = f"raise agents.review.budget.{name}"
        return Account(
            key=key, name=name, configured=limit, limit=limit, unit=unit, whose=whose, span=span, remedy=remedy,
            kept=kept,
        )  # fmt: skip

    if limits.run is not None:
        yield account(f"run {run.key}", "run", limits.run, "usd", "this run's", _RUN)
    if limits.tokens is not None:
        yield account(f"run {run.key} tokens", "tokens", limits.tokens, "tokens", "this run's", _RUN)
    if limits.pull is not None and number is not None:
        yield account(f"{repository}#{number}", "pull", limits.pull, "usd", "this pull request's", _PULL)
    if limits.month is not None:
        yield account(f"{repository}:{when}", "month", limits.month, "usd", "the repository's", _MONTH, " a month")
    if limits.month_tokens is not None:
        key, limit = f"{repository}:{when} tokens", limits.month_tokens
        yield account(key, "month_tokens", limit, "tokens", "the repository's", _MONTH, " a month")
    if limits.installation is not None:
        yield _operators(f"installation {run.installation}:{when}", limits.installation, "usd", "BUDGET")
    if limits.installation_tokens is not None:
        key, limit = f"installation {run.installation}:{when} tokens", limits.installation_tokens
        yield _operators(key, limit, "tokens", "TOKENS")


def _operators(key: str, limit: float, unit: Unit, setting: str) -> Account:
    remedy, whose = f"ask the operator: ASSAY_LLM_{setting}_MONTH", "the installation's"
    return Account(
        key=key, configured=limit, limit=limit, unit=unit, whose=whose, span=" a month", remedy=remedy, kept=_MONTH
    )
