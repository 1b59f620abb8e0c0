"""GitHub's rate limits, and faults that a test orders.

https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from bot.demo.answers import Problem

HOUR, MINUTE = 3600.0, 60.0
SECONDARY = (
    "You have exceeded a secondary rate limit. Please wait a few minutes before you try again. If you reach out to "
    "GitHub Support for help, please include the request ID."
)
SECONDARY_DOCS = "https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api"


@dataclass(frozen=True)
class Limits:
    """What one account may do: requests an hour, content-creating writes a minute and an hour, requests at once."""

    hourly: int = 5000
    writes_a_minute: int = 80
    writes_an_hour: int = 500
    concurrent: int = 100


@dataclass
class _Account:
    used: int = 0
    resets_at: float = 0.0
    writes: deque[float] = field(default_factory=deque)


@dataclass
class Meter:
    """Counts what each account has used, by the stand-in's clock."""

    limits: Limits
    clock: Callable[[], float]
    accounts: dict[str, _Account] = field(default_factory=dict)

    def check(self, account: str) -> None:
        """Raises `Problem` 403 where the hour's requests are used up."""
        if self._account(account).used >= self.limits.hourly:
            raise Problem(403, "API rate limit exceeded for installation.", headers=self.headers(account))

    def charge(self, account: str) -> None:
        self._account(account).used += 1

    def write(self, account: str) -> None:
        """Count a content-creating request. Raises `Problem` 403 with Retry-After where there were too many."""
        now, writes = self.clock(), self._account(account).writes
        while writes and writes[0] <= now - HOUR:
            writes.popleft()
        minute = [at for at in writes if at > now - MINUTE]
        if len(minute) >= self.limits.writes_a_minute:
            raise secondary(minute[0] + MINUTE - now)
        if len(writes) >= self.limits.writes_an_hour:
            raise secondary(writes[0] + HOUR - now)
        writes.append(now)

    def exhaust(self, account: str, resets_in: float) -> None:
        """From now on nothing is left, until the reset."""
        entry = self._account(account)
        entry.used, entry.resets_at = self.limits.hourly, self.clock() + resets_in

    def headers(self, account: str) -> dict[str, str]:
        facts = self.facts(account)
        return {f"X-RateLimit-{name.capitalize()}": str(value) for name, value in facts.items()} | {
            "X-RateLimit-Resource": "core"
        }

    def facts(self, account: str) -> dict[str, int]:
        entry, limit = self._account(account), self.limits.hourly
        used = min(entry.used, limit)
        return {"limit": limit, "remaining": limit - used, "reset": int(entry.resets_at), "used": used}

    def _account(self, name: str) -> _Account:
        entry = self.accounts.setdefault(name, _Account())
        if entry.resets_at <= self.clock():
            entry.used, entry.resets_at = 0, self.clock() + HOUR
        return entry


def secondary(retry_after: float) -> Problem:
    """The refusal of a secondary limit; `retry_after` in seconds."""
    return Problem(403, SECONDARY, docs=SECONDARY_DOCS, headers={"Retry-After": str(max(1, int(retry_after + 0.999)))})


FaultKind = Literal["error", "hang", "reset", "secondary", "slow"]


@dataclass
class Fault:
    """What goes wrong with the next `times` requests that `matches` (method, path without the API's prefix) picks.

    `error` answers `status` with `message`, or with `raw` in place of JSON, and `headers`; `reset` cuts the connection;
    `hang` does so after `seconds` of silence; `secondary` answers 403 with `seconds` as Retry-After; `slow` waits
    `seconds` and then goes on. With `after`, the request takes effect before the answer is lost.
    """

    kind: FaultKind
    matches: Callable[[str, str], bool]
    times: int = 1
    status: int = 502
    seconds: float = 1.0
    after: bool = False
    message: str = "Server Error"
    headers: Callable[[], Mapping[str, str]] = dict
    raw: bytes | None = None


@dataclass
class Faults:
    """The faults that are still to come, first ordered first served."""

    pending: list[Fault] = field(default_factory=list)

    def take(self, method: str, path: str) -> Fault | None:
        for fault in self.pending:
            if fault.times > 0 and fault.matches(method, path):
                fault.times -= 1
                return fault
        return None
