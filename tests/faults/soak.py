"""`python -m tests.faults.soak`: all faults, one scenario after the other, again and again until the time is over.

The figures are printed as a table; with `--write` they go into a page. The exit code is 1 when a promise was broken.
Everything that is done by chance follows from `--seed`; what the machine makes of it does not.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import click

from tests.faults import scenarios
from tests.faults.figures import Figures, failed, table, total
from tests.faults.outages import may_mount
from tests.faults.points import POINTS
from tests.faults.scenarios import DAY
from tests.faults.stage import Stage

_BEGIN, _END = "<!-- soak: begin -->", "<!-- soak: end -->"
# Minutes in which all scenarios fit at their full size, once.
_FULL = 15.0


@dataclass(frozen=True)
class Scenario:
    """Where it is played and what is done. What is done several times is judged each time."""

    name: str
    where: Callable[[str, int], AbstractContextManager[Stage]]
    acts: tuple[Callable[[Stage], Figures], ...]
    in_time: bool = True

    @property
    def row(self) -> str:
        """What it is told under, together with others."""
        return self.name.partition(":")[0]

    def play(self, seed: int) -> Figures:
        """Raises nothing: what goes wrong is a violation."""
        began = time.monotonic()
        try:
            with self.where(self.name, seed) as at:
                for act in self.acts:
                    figures = act(at)
                    if figures.violations:
                        click.echo(at.system.tail(200), err=True)
                        break
                return figures
        except Exception as error:  # noqa: BLE001 - the other scenarios go on
            words = "\n".join([f"{type(error).__name__}: {error}", *getattr(error, "__notes__", ())])
            return failed(self.name, time.monotonic() - began, words)


def scenarios_of(size: float) -> Iterator[Scenario]:
    """All of them; at size 1 those that the issue asks for."""

    def times(full: int, least: int = 1) -> int:
        return max(least, round(full * size))

    yield Scenario(
        "workers killed every 0.5 s", scenarios.one_machine, (partial(scenarios.kill_loop, runs=times(200, 10)),)
    )
    for point in POINTS:
        act = partial(scenarios.crash_points, points=(point,), times=times(2))
        yield Scenario(f"killed at each of {len(POINTS)} crash points: {point}", scenarios.one_machine, (act,))
    yield Scenario(
        "one of many machines dies, then all are restarted one by one",
        scenarios.many_machines,
        (partial(scenarios.machine_dies, runs=times(30, 6)), scenarios.rolling_restart),
    )
    yield Scenario(
        "some of many machines stand still, and are taken for dead",
        scenarios.many_machines,
        (partial(_stand_still, runs=times(20, 6)),) * times(3),
    )
    yield Scenario(
        "everything dies",
        scenarios.many_machines,
        (partial(scenarios.everything_dies, runs=times(10, 4)),) * times(3),
        # Until everything is started again nobody can do anything.
        in_time=False,
    )
    yield Scenario("Redis killed", scenarios.one_machine, (partial(scenarios.redis_killed, times=times(20, 3)),))
    yield Scenario("embedded Redis killed", scenarios.own_redis, (partial(scenarios.redis_killed, times=times(20, 3)),))
    yield Scenario(
        "GitHub failing at 20%", scenarios.one_machine, (partial(scenarios.github_fails, runs=times(60, 8)),)
    )
    jumps = (DAY, 0.0, -DAY, 0.0)
    yield Scenario(
        "clocks a day ahead and behind",
        scenarios.one_machine,
        (partial(scenarios.clock_jumps, runs=times(10, 2), jumps=jumps),),
    )
    if may_mount():
        yield Scenario("disk of Redis full", scenarios.redis_on_one_disk, (partial(scenarios.redis_disk_full, runs=6),))
        yield Scenario("disk full", scenarios.one_disk, (partial(scenarios.disk_full, runs=times(10, 3)),))


def _stand_still(at: Stage, runs: int) -> Figures:
    return scenarios.machines_stand_still(at, runs, "machine-2", "control-1")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--minutes", default=30.0, show_default=True, help="How long; every scenario is played once at least.")
@click.option("--seed", default=1, show_default=True)
@click.option(
    "--write", type=click.Path(dir_okay=False, exists=True, path_type=Path), help="Put the table into a page."
)
def main(minutes: float, seed: int, write: Path | None) -> None:
    """Everything goes wrong for half an hour, and nothing may be lost."""
    all_of = list(_play(minutes, seed))
    text = f"{_stamp(minutes, seed)}\n\n{table(all_of)}"
    click.echo(f"\n{text}")
    if write:
        _fill(write, text)
    for figures in all_of:
        for violation in figures.violations:
            click.echo(f"{figures.name}: {violation}", err=True)
    sys.exit(0 if all(figures.ok for figures in all_of) and total("all", all_of).ok else 1)


def _play(minutes: float, seed: int) -> Iterator[Figures]:
    """The figures of each scenario, those of its repetitions together."""
    end, found = time.monotonic() + 60 * minutes, dict[str, list[Figures]]()
    for scenario, its_seed in _program(min(1.0, minutes / _FULL), seed):
        if its_seed > seed and time.monotonic() > end:
            break
        figures = scenario.play(its_seed)
        if not scenario.in_time:
            figures = figures.without_limit()
        found.setdefault(scenario.row, []).append(figures)
        click.echo(figures.line(its_seed))
    for name, several in found.items():
        yield total(name, several)


def _program(size: float, seed: int) -> Iterator[tuple[Scenario, int]]:
    while True:
        for scenario in scenarios_of(size):
            yield scenario, seed
        seed += 1


def _stamp(minutes: float, seed: int) -> str:
    command = f"`python -m tests.faults.soak --minutes {minutes:g} --seed {seed}`"
    return f"{command}, {datetime.now(UTC):%d %B %Y}, {os.cpu_count()} cores."


def _fill(page: Path, text: str) -> None:
    before, begin, rest = page.read_text("utf-8").partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise click.UsageError(f"{page} has no {_BEGIN} and {_END}")
    page.write_text(f"{before}{_BEGIN}\n\n{text}\n\n{_END}{after}", "utf-8")


if __name__ == "__main__":
    main()
