"""How fast an installation's writes may follow one another. Pure: what was written and the time in, seconds out.

Sources: docs.github.com, "Rate limits for the REST API" (at most 80 content-generating requests a minute and 500 an
hour) and "Best practices for using the REST API" (one after the other, a second apart where there are many).

What counts is every POST, PATCH, PUT and DELETE with an installation's token, and every GraphQL mutation. GitHub does
not say which requests generate content: it only marks some that notify people (a comment, a review) as ones that must
not come too quickly, and that list is no limit of the count. So none is left out. Reads do not count, nor does asking
for a token, which is the App's own request.

Each limit is a bucket: a quarter of it may go at once, so that a run's checks appear together; the rest comes back
evenly, by the minute's limit one a second. Both parts together are the limit, in whichever minute or hour one counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from bot.errors import Unavailable

# The share of each bucket that is kept for results: what only says how far a run is may not take of it.
RESERVE = 0.5
# The longest that GitHub ever asks to wait; a longer wait comes from a clock that was wrong.
_LONGEST_HOLD = 3600.0


class Paced(Unavailable):
    """Nothing was sent: the installation has written as much as it may for now. `retry_after` is always there."""

    def __init__(self, wait: float) -> None:
        super().__init__(f"enough was written for now; GitHub's limits leave room in {wait:.0f} s", wait)


class Budget(Protocol):
    """What installations may still write. Shared by all who write for them."""

    def take(self, installation: int) -> None:
        """Count a write that is sent now. Raises Paced where there is no room for it."""

    def hold(self, installation: int, seconds: float) -> None:
        """GitHub told the installation to wait for so long: nobody may write before."""


@dataclass(frozen=True)
class Limit:
    """At most `count` writes in any `period` seconds."""

    count: int
    period: float

    @property
    def burst(self) -> int:
        """How many may go at once."""
        return max(1, self.count // 4)

    @property
    def interval(self) -> float:
        """Seconds until one more may go."""
        return self.period / max(1, self.count - self.burst)


@dataclass(frozen=True)
class Spending:
    """What was written: for each limit, when its bucket is full again; and until when GitHub forbade to write. In
    seconds since the epoch."""

    full_at: tuple[float, ...]
    held_until: float = 0.0


def pause(limits: Sequence[Limit], spending: Spending, now: float, writes: int = 1, reserve: float = 0.0) -> float:
    """Seconds until so many writes may go at once and leave that share of each bucket; 0 where they may go now.

    For more than a bucket holds it is the time until the last of them may go.
    """
    waits = [spending.held_until - now]
    for limit, full_at in zip(limits, spending.full_at, strict=True):
        left = limit.burst - writes - reserve * limit.burst
        waits.append(full_at - now - left * limit.interval)
    return max(0.0, *waits)


def spend(limits: Sequence[Limit], spending: Spending, now: float) -> Spending:
    """After one more write, which `pause` allowed."""
    full_at = (max(now, at) + limit.interval for limit, at in zip(limits, spending.full_at, strict=True))
    return replace(spending, full_at=tuple(full_at))


def held(spending: Spending, until: float) -> Spending:
    """After GitHub has said to wait until then."""
    return replace(spending, held_until=max(spending.held_until, until))


def sound(limits: Sequence[Limit], spending: Spending, now: float) -> Spending:
    """Without what only a clock that was wrong, or other limits than these, can have left behind."""
    bursts = [now + limit.burst * limit.interval for limit in limits]
    if len(spending.full_at) != len(bursts):
        return Spending(tuple(bursts), min(spending.held_until, now + _LONGEST_HOLD))
    full_at = tuple(min(at, latest) for at, latest in zip(spending.full_at, bursts, strict=True))
    return Spending(full_at, min(spending.held_until, now + _LONGEST_HOLD))
