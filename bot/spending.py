"""What models have cost, in Redis: by pull request, by repository and month, by installation and month."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import cast

from redis import Redis

from bot.domain.model import Frozen
from bot.domain.run import Run

# Seconds. A month's account outlives the month, a pull request's its last review.
_MONTH, _PULL = 62 * 86_400, 180 * 86_400
# Shares of a limit, in percent, that people are told of once.
LEVELS = (50, 75, 90, 100)


class Account(Frozen):
    """Something that has a limit, in US dollars. `words` names it for people, `remedy` says who may raise it."""

    key: str
    limit: float
    words: str
    remedy: str
    kept: int


def accounts(
    run: Run, pull: float | None, month: float | None, installation: float | None, now: float
) -> list[Account]:
    """The accounts that a run is charged to, of those that have a limit. `now` is in seconds since the epoch."""
    when = datetime.fromtimestamp(now, UTC).strftime("%Y-%m")
    repository, number = run.key.repository, next((one.number for one in run.pulls if one.live), None)
    found = []
    if pull is not None and number is not None:
        words, remedy = f"this pull request's ${pull:.2f}", "raise agents.review.budget.pull"
        found.append(Account(key=f"{repository}#{number}", limit=pull, words=words, remedy=remedy, kept=_PULL))
    if month is not None:
        words, remedy = f"the repository's ${month:.2f} a month", "raise agents.review.budget.month"
        found.append(Account(key=f"{repository}:{when}", limit=month, words=words, remedy=remedy, kept=_MONTH))
    if installation is not None:
        words, remedy = f"the installation's ${installation:.2f} a month", "ask the operator: ASSAY_LLM_BUDGET_MONTH"
        key = f"installation {run.installation}:{when}"
        found.append(Account(key=key, limit=installation, words=words, remedy=remedy, kept=_MONTH))
    return found


class Spending:
    """Charges accounts, and says how they stand."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def spent(self, wanted: Sequence[Account]) -> list[float]:
        """In US dollars."""
        if not wanted:
            return []
        values = cast("list[bytes | None]", self._redis.mget([_key(one) for one in wanted]))
        return [float(value or 0) for value in values]

    def charge(self, wanted: Sequence[Account], usd: float) -> list[tuple[Account, int]]:
        """Charge them all; each level, in percent, that one has now reached for the first time."""
        reached = []
        for account in wanted:
            with self._redis.pipeline(transaction=True) as pipe:
                pipe.incrbyfloat(_key(account), usd)
                pipe.expire(_key(account), account.kept)
                total = float(pipe.execute()[0])
            # Those of which nobody was told yet, the highest only.
            due = [level for level in LEVELS if total >= account.limit * level / 100]
            new = [level for level in due if self._redis.sadd(f"{_key(account)}:told", level)]
            if new:
                self._redis.expire(f"{_key(account)}:told", account.kept)
                reached.append((account, max(new)))
        return reached


def _key(account: Account) -> str:
    return f"assay:spent:{account.key}"
