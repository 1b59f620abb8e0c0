"""A model whose answers are charged to accounts, and that is not asked any more once one of them is used up."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from pydantic import BaseModel

from bot.domain.accounts import LEVELS, Account
from bot.domain.findings import Cost
from bot.errors import Refused
from workers.agent import Model

log = logging.getLogger(__name__)

Answer = TypeVar("Answer", bound=BaseModel)


class Spending(Protocol):
    """Where accounts are kept."""

    def spent(self, wanted: Sequence[Account]) -> list[float]: ...
    def charge(self, wanted: Sequence[Account], usd: float) -> list[tuple[Account, int]]: ...


# As a provider says that an account is used up: whoever asks on would hear it again.
_USED_UP = 429


@dataclass(frozen=True)
class MeteredModel:
    """Two questions under way at once may go over a limit by what they cost."""

    inner: Model
    spending: Spending
    accounts: Sequence[Account]

    @property
    def name(self) -> str:
        return self.inner.name

    def named(self, model: str) -> MeteredModel:
        return MeteredModel(self.inner.named(model), self.spending, self.accounts)

    def ask(self, system: str, user: str, answer: type[Answer], *, timeout: float) -> tuple[Answer, Cost]:
        over = self.used_up()
        if over is not None:
            raise Refused(f"{over.words} are used up: {over.remedy}", _USED_UP)
        said, cost = self.inner.ask(system, user, answer, timeout=timeout)
        for account, level in self.spending.charge(self.accounts, cost.usd or 0.0):
            log.warning("model cost: %d%% of %s are spent (%s)", level, account.words, account.key)
        return said, cost

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
