"""Live progress in the terminal, on standard error: a line per agent."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from bot.domain.markdown import clip, visible
from bot.domain.run import AgentState, Phase, Run
from bot.domain.verdict import agent_conclusion
from bot.domain.wording import duration, result_words, symbol

_COLOURS = {"success": "green", "failure": "red", "timed_out": "red"}


class Progress:
    """A context manager, silent when not `enabled`. `on_run` is told how the run stands."""

    def __init__(self, enabled: bool) -> None:
        self._spinner = Spinner("dots")
        self._run: Run | None = None
        self._live = (
            # Asked anew for every picture, so that the clocks go on while nothing happens.
            Live(get_renderable=self._render, console=Console(stderr=True), refresh_per_second=12, transient=True)
            if enabled
            else None
        )

    def on_run(self, run: Run) -> None:
        self._run = run

    def _render(self) -> Table:
        return agents_table(self._run, self._spinner) if self._run else Table.grid()

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
    """The agents of a run as they stand: what each does or found, and for how long. A line each, however narrow."""
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, overflow="ellipsis")
    table.add_column(no_wrap=True, justify="right", style="dim")
    for agent in run.shown:
        busy = agent.phase is not Phase.DONE
        words = Text(clip(visible(result_words(agent)), 300), style="dim" if busy else "")
        table.add_row(spinner if busy else _sign(agent), Text(agent.plan.name), words, _clock(agent))
    return table


def _sign(agent: AgentState) -> Text:
    conclusion = agent_conclusion(agent)
    return Text(symbol(conclusion), style=_COLOURS.get(conclusion or "", "yellow"))


def _clock(agent: AgentState) -> str:
    if agent.started_at is None:
        return ""
    return duration((agent.finished_at or time.time()) - agent.started_at)
