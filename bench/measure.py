"""What every bench has in common: rounds of rivals in turn, medians, ratios, limits, and the table.

A bench is a module of this package with one generator, listed in `bench/__main__.py`. The first line of its docstring
is the heading of its table; figures are shown as they come::

    def run(scale: Scale) -> Iterator[Figure]:
        '''Checkout of a new commit of a cached repository, against a depth-1 fetch of it.'''
        with tempfile.TemporaryDirectory() as folder:
            times = interleave(scale.rounds, ours=lambda: seconds(fetch, folder), git=lambda: seconds(clone, folder))
            yield ratio("time of a fetch into the mirror", times["ours"], times["git"], "ms", at_most(0.5))
            yield Figure("bytes fetched", 0.004, "", at_most(0.01), "1.2 of 300 kB")

Rivals take turns within a round, so that a machine that slows down slows all of them, and what is compared is the
median of the rounds' own ratios. `scale.pick(full, quick)` chooses a size; `--quick` is for trying a bench out, its
figures are not for the page.
"""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

_MEBI = 1024 * 1024


@dataclass(frozen=True)
class Scale:
    """How much to measure."""

    quick: bool = False

    @property
    def rounds(self) -> int:
        """How many rounds rivals run against one another."""
        return self.pick(7, 3)

    def pick(self, full: T, quick: T) -> T:
        return quick if self.quick else full


@dataclass(frozen=True)
class Limit:
    """What a figure is held against."""

    bound: float
    least: bool

    def holds(self, value: float) -> bool:
        return value >= self.bound if self.least else value <= self.bound

    def __str__(self) -> str:
        return f"{'≥' if self.least else '≤'} {_number(self.bound)}"


def at_least(bound: float) -> Limit:
    return Limit(bound, least=True)


def at_most(bound: float) -> Limit:
    return Limit(bound, least=False)


@dataclass(frozen=True)
class Figure:
    """One line of the table. `unit` is empty for a ratio, else such as `ms`, `MB`, `runs/s`; `note` says what the value
    is made of. Without a limit it only informs."""

    what: str
    value: float
    unit: str = ""
    limit: Limit | None = None
    note: str = ""

    @property
    def missed(self) -> bool:
        return self.limit is not None and not self.limit.holds(self.value)

    def cells(self) -> tuple[str, str, str, str]:
        unit = f" {self.unit}" if self.unit else ""
        limit = f"{self.limit}{unit}" if self.limit else ""
        return self.what, f"{_number(self.value)}{unit}", f"{limit} **missed**" if self.missed else limit, self.note


def interleave(rounds: int, **rivals: Callable[[], float]) -> dict[str, list[float]]:
    """Run all rivals in turn, that many rounds; each returns its measurement. The first goes first in every other
    round only, for going first may be an advantage."""
    measured: dict[str, list[float]] = {name: [] for name in rivals}
    for number in range(rounds):
        names = list(rivals)
        for name in names if number % 2 == 0 else reversed(names):
            measured[name].append(rivals[name]())
    return measured


def ratio(
    what: str, ours: Sequence[float], theirs: Sequence[float], unit: str, limit: Limit | None = None, scale: float = 1
) -> Figure:
    """Ours as a part of theirs: the median of the rounds' ratios. `scale` makes the note's `unit` of the measurements'
    own (1000 for seconds shown in ms)."""
    value = statistics.median(our / their for our, their in zip(ours, theirs, strict=True))
    mine, yours = (_number(statistics.median(values) * scale) for values in (ours, theirs))
    return Figure(what, value, "", limit, f"{mine} against {yours} {unit}")


def seconds(call: Callable[..., object], *args: object) -> float:
    """How long a call takes by the wall clock."""
    began = time.perf_counter()
    call(*args)
    return time.perf_counter() - began


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share (0 to 1) of the values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


@dataclass(frozen=True)
class Spent:
    """What a process and all that it waited for took."""

    seconds: float
    cpu: float
    output: str


def own_peak() -> float:
    """This process's resident memory at its most, in MB. What wait(2) tells of a child counts what its parent had when
    it was started."""
    (line,) = (line for line in _lines("/proc/self/status") if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024 / _MEBI


def spend(arguments: Sequence[str | Path], env: Mapping[str, str] | None = None) -> Spent:
    """Run a program to its end and say what it took. Raises subprocess.CalledProcessError when it fails."""
    began = time.perf_counter()
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, env=env) as process:
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    took = time.perf_counter() - began
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, [str(word) for word in arguments], output)
    return Spent(took, usage.ru_utime + usage.ru_stime, output)


def table(figures: Sequence[Figure]) -> str:
    """A Markdown table."""
    rows = [("figure", "measured", "limit", "made of"), ("---", "---:", "---:", "---")]
    return "\n".join(f"| {' | '.join(row)} |" for row in [*rows, *(figure.cells() for figure in figures)])


def machine() -> str:
    """What this runs on, in a line."""
    model = next((line for line in _lines("/proc/cpuinfo") if line.startswith("model name")), "").partition(": ")[2]
    memory = int(next(line for line in _lines("/proc/meminfo") if line.startswith("MemTotal")).split()[1]) / 1024**2
    cores = len(os.sched_getaffinity(0))
    system = f"Linux {platform.release().partition('-')[0]}, Python {platform.python_version()}"
    return f"{cores} cores of {model or platform.machine()}, {memory:.0f} GB, {system}"


def _lines(path: str) -> list[str]:
    return Path(path).read_text("utf-8").splitlines()


def _number(value: float) -> str:
    """Three digits that count; whole numbers from a hundred on."""
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}"
