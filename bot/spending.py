"""What models have cost, in Redis: by run, by pull request, by repository and month, by installation and month."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from redis import Redis

from bot.domain.accounts import LEVELS, Account
from bot.domain.findings import Cap

# What an account is charged with, in what its limit counts.
Charge = tuple[Account, float]


class Spending:
    """Charges accounts, and says how they stand."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def spent(self, wanted: Sequence[Account]) -> list[float]:
        """In what each one's limit counts."""
        return [value or 0.0 for value in self._get([_key(one) for one in wanted])]

    def raised(self, wanted: Sequence[Account]) -> list[float | None]:
        """To what people have raised the limits, None where they have not. What is configured otherwise by now is not
        what they have raised."""
        return self._get([_raised(one.key, one.configured) for one in wanted])

    def raise_to(self, cap: Cap, limit: float) -> None:
        """Raise the limit of an account, for as long as that is kept. Of two answers the higher one counts."""
        key = _raised(cap.account, cap.configured)
        (known,) = self._get([key])
        self._redis.set(key, max(limit, known or 0.0), ex=max(cap.kept, 1))

    def hold(self, charges: Sequence[Charge]) -> None:
        """Charge them all, for now, and tell nobody."""
        for account, amount in charges:
            self._add(account, amount)

    def charge(self, charges: Sequence[Charge]) -> list[tuple[Account, int]]:
        """Charge them all; each level, in percent, that one has now reached for the first time."""
        reached = []
        for account, amount in charges:
            total = self._add(account, amount)
            # Those of which nobody was told yet, the highest only.
            due = [level for level in LEVELS if total >= account.limit * level / 100]
            new = [level for level in due if self._redis.sadd(f"{_key(account)}:told", _level(account, level))]
            if new:
                self._redis.expire(f"{_key(account)}:told", account.kept)
                reached.append((account, max(new)))
        return reached

    def _add(self, account: Account, amount: float) -> float:
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.incrbyfloat(_key(account), amount)
            pipe.expire(_key(account), account.kept)
            return float(pipe.execute()[0])

    def _get(self, keys: Sequence[str]) -> list[float | None]:
        if not keys:
            return []
        values = cast("list[bytes | None]", self._redis.mget(keys))
        return [None if value is None else float(value) for value in values]


def _level(account: Account, level: int) -> str:
    return str(level) if account.limit == account.configured else f"{level} of {account.limit:g}"


def _key(account: Account) -> str:
    return f"assay:spent:{account.key}"


def _raised(key: str, configured: float) -> str:
    return f"assay:raised:{key}:{configured:g}"
