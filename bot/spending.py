"""What models have cost, in Redis: by pull request, by repository and month, by installation and month."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from redis import Redis

from bot.domain.accounts import LEVELS, Account


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

    def hold(self, wanted: Sequence[Account], usd: float) -> None:
        """Charge them all, for now, and tell nobody."""
        for account in wanted:
            self._add(account, usd)

    def charge(self, wanted: Sequence[Account], usd: float) -> list[tuple[Account, int]]:
        """Charge them all; each level, in percent, that one has now reached for the first time."""
        reached = []
        for account in wanted:
            total = self._add(account, usd)
            # Those of which nobody was told yet, the highest only.
            due = [level for level in LEVELS if total >= account.limit * level / 100]
            new = [level for level in due if self._redis.sadd(f"{_key(account)}:told", level)]
            if new:
                self._redis.expire(f"{_key(account)}:told", account.kept)
                reached.append((account, max(new)))
        return reached

    def _add(self, account: Account, usd: float) -> float:
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.incrbyfloat(_key(account), usd)
            pipe.expire(_key(account), account.kept)
            return float(pipe.execute()[0])


def _key(account: Account) -> str:
    return f"assay:spent:{account.key}"
