"""A model whose answers are charged to accounts, and that is not asked any more once one of them is used up."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from pydantic import BaseModel

from bot.domain.accounts import LEVELS, Account
from bot.domain.findings import Cost
from bot.errors import AssayError, Refused, Unavailable
from workers.agent import CutOff, Model
from workers.agents.purse import unknown_price

log = logging.getLogger(__name__)

Answer = TypeVar("Answer", bound=BaseModel)


class Spending(Protocol):
    """Where accounts are kept."""

    def spent(self, wanted: Sequence[Account]) -> list[float]: ...
    def hold(self, wanted: Sequence[Account], usd: float) -> None: ...
    def charge(self, wanted: Sequence[Account], usd: float) -> list[tuple[Account, int]]: ...


# As a provider says that an account is used up: whoever asks on would hear it again.
_USED_UP = 429
_ANSWERED = 200


@dataclass(frozen=True)
class MeteredModel:
    """What a question will about cost is charged before it is sent, so that questions that are under way at once do not
    go over a limit together, and set right once it is known."""

    inner: Model
    spending: Spending
    accounts: Sequence[Account]

    @property
    def name(self) -> str:
        return self.inner.name

    def named(self, model: str) -> MeteredModel:
        return MeteredModel(self.inner.named(model), self.spending, self.accounts)

    def estimate(self, system: str, user: str) -> Cost:
        return self.inner.estimate(system, user)

    def ask(self, system: str, user: str, answer: type[Answer], *, timeout: float) -> tuple[Answer, Cost]:
        held = self._hold(self.estimate(system, user))
        try:
            said, cost = self.inner.ask(system, user, answer, timeout=timeout)
        except CutOff as cut:
            self._settle(held, cut.cost)
            raise
        except AssayError as error:
            # An answer that was no use was paid for all the same.
            if isinstance(error, Unavailable) or (isinstance(error, Refused) and error.status != _ANSWERED):
                self.spending.hold(self.accounts, -held)
            raise
        self._settle(held, cost)
        return said, cost

    def _settle(self, held: float, cost: Cost) -> None:
        # A provider that states no price after all is taken to cost what was estimated.
        for account, level in self.spending.charge(self.accounts, (held if cost.usd is None else cost.usd) - held):
            log.warning("model cost: %d%% of %s are spent (%s)", level, account.words, account.key)

    def _hold(self, estimated: Cost) -> float:
        """Charge what is estimated. Raises Refused, and charges nothing, where an account has not so much left."""
        if not self.accounts:
            return 0.0
        if estimated.usd is None:
            raise Refused(unknown_price(self.accounts[0].words, estimated.model), _USED_UP)
        self.spending.hold(self.accounts, estimated.usd)
        for account, spent in self._standing():
            if spent > account.limit:
                self.spending.hold(self.accounts, -estimated.usd)
                words = f"{account.words} are used up: the next request is estimated at ${estimated.usd:.4f}"
                raise Refused(f"{words}; {account.remedy}", _USED_UP)
        return estimated.usd

    def used_up(self) -> Account | None:
        """The account with nothing left, if there is one."""
        return next((one for one, spent in self._standing() if spent >= one.limit), None)

    def words(self) -> str:
        """How the account that is nearest to its end stands, once half of it is spent: `91% of the repository's`..."""
        shares = [(100 * spent / one.limit, one.words) for one, spent in self._standing() if one.limit]
        share, words = max(shares, default=(0.0, ""))
        return f"{share:.0f}% of {words} spent" if share >= LEVELS[0] else ""

    def _standing(self) -> list[tuple[Account, float]]:
        return list(zip(self.accounts, self.spending.spent(self.accounts), strict=True))
