"""What a scenario came to, in figures, and many of them as a table."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

# A killed worker's job runs again within so many seconds (p99).
RECOVERY_LIMIT = 15.0


@dataclass(frozen=True)
class Figures:
    """`recoveries`: seconds from a process's end to the next beginning of the job that it had in hand. `again`: jobs that
    were begun more than once; `dead`: that were given up; `prevented`: runs with an agent that was kept from its work,
    and says why."""

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

    def with_violations(self, more: Sequence[str]) -> Figures:
        return replace(self, violations=(*self.violations, *more))

    @property
    def ok(self) -> bool:
        return not self.violations and quantile(self.recoveries, 0.99) < RECOVERY_LIMIT


def quantile(values: Sequence[float], share: float) -> float:
    """The least value that so large a share of all does not exceed; 0 of none."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))] if values else 0.0


def total(name: str, all_of: Sequence[Figures]) -> Figures:
    """The sum."""
    sums = {
        field.name: sum((getattr(one, field.name) for one in all_of), () if field.name in _LISTS else 0)
        for field in fields(Figures)
        if field.name != "name"
    }
    return Figures(name=name, **sums)


_LISTS = ("recoveries", "violations")
_HEAD = (
    "scenario",
    "runs",
    "webhooks",
    "kills",
    "recoveries",
    "median, s",
    "p99, s",
    "max, s",
    "jobs run twice",
    "dead letters",
    "ended with a reason",
    "time, s",
    "violations",
)


def table(all_of: Sequence[Figures]) -> str:
    """As Markdown, the sum in the last row."""
    rows = [_row(one) for one in [*all_of, total("all", all_of)]]
    return "\n".join(f"| {' | '.join(row)} |" for row in [_HEAD, ("---",) * len(_HEAD), *rows])


def _row(one: Figures) -> tuple[str, ...]:
    found = one.recoveries
    times = (statistics.median(found), quantile(found, 0.99), max(found)) if found else ()
    shown = tuple(f"{seconds:.1f}" for seconds in times) or ("",) * 3
    counts = (one.runs, one.webhooks, one.kills, len(one.recoveries))
    rest = (one.again, one.dead, one.prevented, round(one.seconds), len(one.violations))
    return one.name, *(f"{count:,}" for count in counts), *shown, *(f"{count:,}" for count in rest)
