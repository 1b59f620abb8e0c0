"""A model whose answers are charged to accounts, and that is not asked any more once one of them is used up."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from pydantic import BaseModel

from bot.domain.accounts import LEVELS, Account, Limits, accounts, amount, with_raises
from bot.domain.findings import AgentResult, Cap, Cost, joined
from bot.domain.run import Run
from bot.errors import AssayError, Refused, Unavailable
from workers.agent import Model, OverBudget, Paid
from workers.agents.purse import unknown_price

log = logging.getLogger(__name__)

Answer = TypeVar("Answer", bound=BaseModel)
# What an account is charged with, in what its limit counts.
Charge = tuple[Account, float]


class Spending(Protocol):
    """Where accounts are kept."""

    def spent(self, wanted: Sequence[Account]) -> list[float]: ...
    def raised(self, wanted: Sequence[Account]) -> list[float | None]: ...
    def hold(self, charges: Sequence[Charge]) -> None: ...
    def charge(self, charges: Sequence[Charge]) -> list[tuple[Account, int]]: ...


class Purse:
    """Accounts that last as long as this process, and that nobody is told of."""

    def __init__(self) -> None:
        self._spent: dict[str, float] = {}
        self._lock = threading.Lock()

    def spent(self, wanted: Sequence[Account]) -> list[float]:
        with self._lock:
            return [self._spent.get(one.key, 0.0) for one in wanted]

    def raised(self, wanted: Sequence[Account]) -> list[float | None]:
        return [None] * len(wanted)

    def hold(self, charges: Sequence[Charge]) -> None:
        with self._lock:
            for account, charged in charges:
                self._spent[account.key] = self._spent.get(account.key, 0.0) + charged

    def charge(self, charges: Sequence[Charge]) -> list[tuple[Account, int]]:
        self.hold(charges)
        return []


_ANSWERED = 200


@dataclass(frozen=True)
class MeteredModel:
    """What a question will about cost is charged before it is sent, so that questions that are under way at once do not
    go over a limit together, and set right once it is known. `refused` are the accounts that had not so much left,
    `used` is what questions have cost so far, whatever came of them."""

    inner: Model
    spending: Spending
    accounts: Sequence[Account]
    refused: list[Account] = field(default_factory=list)
    used: list[Cost] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.inner.name

    def named(self, model: str) -> MeteredModel:
        return MeteredModel(self.inner.named(model), self.spending, self.accounts, self.refused, self.used)

    @property
    def room(self) -> int:
        return self.inner.room

    def estimate(self, system: str, user: str) -> Cost:
        return self.inner.estimate(system, user)

    def ask(self, system: str, user: str, answer: type[Answer], *, timeout: float) -> tuple[Answer, Cost]:
        estimated = self.estimate(system, user)
        held = self._hold(estimated)
        try:
            said, cost = self.inner.ask(system, user, answer, timeout=timeout)
        except Paid as error:
            self._settle(held, error.cost)
            raise
        except AssayError as error:
            if isinstance(error, Unavailable) or (isinstance(error, Refused) and error.status != _ANSWERED):
                self._give_back(held)
            else:
                # Nobody says what an answer cost that was none.
                self.used.append(estimated)
            raise
        self._settle(held, cost)
        return said, cost

    def _settle(self, held: Sequence[Charge], cost: Cost) -> None:
        self.used.append(cost)
        # A provider that states no price after all is taken to cost what was estimated.
        costs = ((account, account.of(cost), before) for account, before in held)
        more = [(account, 0.0 if real is None else real - before) for account, real, before in costs]
        for account, level in self.spending.charge(more):
            log.warning("model cost: %d%% of %s are spent (%s)", level, account.words, account.key)

    def _give_back(self, held: Sequence[Charge]) -> None:
        self.spending.hold([(account, -charged) for account, charged in held])

    def _hold(self, estimated: Cost) -> list[Charge]:
        """Charge what is estimated. Raises OverBudget, and charges nothing, where an account has not so much left."""
        held: list[Charge] = []
        for account in self.accounts:
            charged = account.of(estimated)
            if charged is None:
                raise OverBudget(unknown_price(account.words, estimated.model), "")
            held.append((account, charged))
        self.spending.hold(held)
        for (account, charged), (_, spent) in zip(held, self._standing(), strict=True):
            if spent > account.limit:
                self._give_back(held)
                self.refused.append(account)
                raise OverBudget(_used_up(account, spent - charged, charged), account.remedy)
        return held

    def cap(self, rest: Cost) -> Cap | None:
        """The limit that leaves the `rest` of the work, which would about cost so much, where people may raise it."""
        if not self.refused:
            return None
        account = self.refused[-1]
        (spent,) = self.spending.spent([account])
        return account.cap(spent, account.of(rest) or 0.0)

    def told(self, result: AgentResult) -> AgentResult:
        """A result with what it has cost, and how the accounts stand: the limit at which it stopped, if it did, and the
        nearest one."""
        used = joined(self.used)
        cost = used.model_copy(update={"budget": self.words()}) if used else None
        return result.model_copy(update={"cost": cost, "cap": self.cap(result.rest) if result.rest else None})

    def words(self) -> str:
        """How the account that is nearest to its end stands, once half of it is spent: `91% of the repository's`..."""
        shares = [(100 * spent / one.limit, one.words) for one, spent in self._standing() if one.limit]
        share, words = max(shares, default=(0.0, ""))
        return f"{share:.0f}% of {words} spent" if share >= LEVELS[0] else ""

    def _standing(self) -> list[tuple[Account, float]]:
        return list(zip(self.accounts, self.spending.spent(self.accounts), strict=True))


def metered(model: Model, spending: Spending, run: Run, limits: Limits, now: float) -> MeteredModel:
    """The model, charged to the accounts of a run, as far as they have limits."""
    charged = accounts(run, limits, now)
    return MeteredModel(model, spending, with_raises(charged, spending.raised(charged)))


def _used_up(account: Account, spent: float, charged: float) -> str:
    if not account.limit:
        return f"{account.words} allow nothing"
    unit = account.unit
    return (
        f"{account.words} are used up: {amount(max(spent, 0.0), unit, 4)} spent, and the next request is estimated at "
        f"{amount(charged, unit, 4)}"
    )
