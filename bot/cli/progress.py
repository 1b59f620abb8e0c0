"""Live progress in the terminal, on standard error: a line per agent."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.spinner import Spinner
from rich.table import Table

from bot.domain.events import Event
from bot.domain.findings import Outcome
from bot.domain.run import AgentState, Phase, Run
from bot.domain.verdict import agent_conclusion, blocking, count

_COLOURS = {"success": "green", "failure": "red", "timed_out": "red", "neutral": "yellow", "skipped": "dim"}


class Progress:
    """A context manager; `on_event` may be called from any thread. Silent when not `enabled`."""

    def __init__(self, enabled: bool) -> None:
        self._live = Live(console=Console(stderr=True), refresh_per_second=12, transient=True) if enabled else None
        self._spinner = Spinner("dots")

    def on_event(self, _: Event, run: Run) -> None:
        if self._live is not None:
            self._live.update(agents_table(run, self._spinner))

    def __enter__(self) -> Progress:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()


def agents_table(run: Run, spinner: Spinner) -> Table:
    """The agents of a run as they stand: what each does or found, and for how long."""
    table = Table.grid(padding=(0, 2))
    for agent in run.agents:
        busy = agent.phase is not Phase.DONE
        table.add_row(spinner if busy else _sign(agent), agent.plan.name, _about(agent), _clock(agent))
    return table


def _sign(agent: AgentState) -> str:
    conclusion = agent_conclusion(agent) or ""
    sign = {"success": "✓", "failure": "✗", "timed_out": "✗"}.get(conclusion, "–")
    return f"[{_COLOURS.get(conclusion, 'yellow')}]{sign}[/]"


def _about(agent: AgentState) -> str:
    if agent.result is None:
        return f"[dim]{escape(agent.progress or agent.phase.value)}[/]"
    result = agent.result
    if result.outcome in (Outcome.CLEAN, Outcome.FINDINGS):
        new = sum(1 for finding in result.findings if finding.new)
        bad = len(blocking(agent))
        words = count(new, "finding") + (f", {bad} to mend" if bad else "") if new else "clean"
        return escape(result.summary or words) if not new else words
    return escape(f"{result.outcome.value.replace('_', ' ')}: {result.reason}"[:100])


def _clock(agent: AgentState) -> str:
    if agent.started_at is None:
        return ""
    return f"[dim]{(agent.finished_at or time.time()) - agent.started_at:.1f} s[/]"
