"""What a scenario came to, in figures, and many of them as a table."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

# A killed worker's job runs again within so many seconds (p99).
RECOVERY_LIMIT = 15.0


@dataclass(frozen=True)
class Figures:
    """`recoveries`: seconds from a process's end to the next beginning of the job that it had in hand; 99 of 100 may
    take `limit`. `again`: jobs that were begun more than once; `dead`: that were given up; `prevented`: runs with an
    agent that was kept from its work, and says why."""

    name: str
    runs: int
    webhooks: int
    kills: int
    recoveries: tuple[float, ...]
    again: int
    dead: int
    prevented: int
    seconds: float
    violations: tuple[str, ...]
    limit: float = RECOVERY_LIMIT

    def with_violations(self, more: Sequence[str]) -> Figures:
        return replace(self, violations=(*self.violations, *more))

    def judged(self) -> Figures:
        """That an agent was kept from its work, and says why, may happen to some runs, and not to most."""
        words = f"{self.prevented} of {self.runs} runs came to no verdict of their own"
        return self.with_violations([words] if 2 * self.prevented > self.runs else [])

    @property
    def ok(self) -> bool:
        return not self.violations and quantile(self.recoveries, 0.99) < self.limit

    def without_limit(self) -> Figures:
        """Where the time to recovery is not the engine's: nobody was there."""
        return replace(self, limit=math.inf)

    def line(self, seed: int) -> str:
        """For those who watch."""
        slowest = f", {max(self.recoveries):.1f} s at most to recover" if self.recoveries else ""
        judged = f"{len(self.violations)} violations" if self.violations else "all well"
        about = f"{self.runs} runs, {self.kills} kills{slowest}, {self.seconds:.0f} s"
        return f"{self.name} (seed {seed}): {about}: {judged}"


def quantile(values: Sequence[float], share: float) -> float:
    """The least value that so large a share of all does not exceed; 0 of none."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))] if values else 0.0


def total(name: str, all_of: Sequence[Figures]) -> Figures:
    """The sum. What has no limit is not counted where the limit is."""
    limit = min(one.limit for one in all_of)
    bound = [one for one in all_of if one.limit <= limit]
    sums = {count: sum(getattr(one, count) for one in all_of) for count in _COUNTS}
    return Figures(
        name=name,
        recoveries=tuple(seconds for one in bound for seconds in one.recoveries),
        violations=tuple(violation for one in all_of for violation in one.violations),
        limit=limit,
        **sums,
    )


def failed(name: str, seconds: float, words: str) -> Figures:
    """Of a scenario that did not come to its end."""
    return Figures(name, 0, 0, 0, (), 0, 0, 0, seconds, (words,))


_COUNTS = ("runs", "webhooks", "kills", "again", "dead", "prevented", "seconds")
_HEAD = (
    "what went wrong",
    "runs",
    "webhooks",
    "kills",
    "jobs cut off",
    "again after, s: median",
    "p99",
    "max",
    "run twice",
    "dead letters",
    "prevented, with a reason",
    "violations",
)


def table(all_of: Sequence[Figures]) -> str:
    """As Markdown, the sum in the last row."""
    rows = [_row(one) for one in [*all_of, total("all", all_of)]]
    line = ("---", *("---:",) * (len(_HEAD) - 1))
    return "\n".join(f"| {' | '.join(row)} |" for row in [_HEAD, line, *rows])


def _row(one: Figures) -> tuple[str, ...]:
    found = one.recoveries
    times = (statistics.median(found), quantile(found, 0.99), max(found)) if found else ()
    counts = (one.runs, one.webhooks, one.kills, len(found))
    rest = (one.again, one.dead, one.prevented, len(one.violations))
    shown = tuple(f"{seconds:.1f}" for seconds in times) or ("", "", "")
    return one.name, *(f"{count:,}" for count in counts), *shown, *(f"{count:,}" for count in rest)
