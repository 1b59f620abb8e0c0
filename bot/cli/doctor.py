"""`assay doctor`: the installation examined, and how to mend it."""

from __future__ import annotations

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bot.cli.examination import Report, examine
from bot.domain.markdown import visible
from bot.domain.verdict import count

_SIGNS = {"ok": Text("✓", "green"), "warn": Text("!", "yellow"), "fail": Text("✗", "bold red")}
_MUST_MEND = 1


@click.command()
def doctor() -> int:
    """Check settings, Redis, git, tools, the App's key, its permissions and events, and the clock.

    Every line that is not fine says how to mend it. Lines with ! are advice.

    Exit codes: 0 Assay can serve, 1 something must be mended first.
    """
    # A table per line, so that each is seen as soon as it is known.
    console = Console(highlight=False)
    failed = 0
    for report in examine():
        failed += report.state == "fail"
        console.print(_line(report))
    console.print()
    if failed:
        console.print(Text(f"{count(failed, 'thing')} must be mended before Assay can serve.", "bold red"))
        return _MUST_MEND
    console.print(Text("Assay can serve.", "bold green"))
    return 0


def _line(report: Report) -> Table:
    table = Table.grid(padding=(0, 1))
    table.add_column(width=1)
    table.add_column(width=11, no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row(_SIGNS[report.state], Text(report.subject, "bold"), Text(visible(report.what)))
    if report.remedy:
        table.add_row("", "", Text(f"→ {visible(report.remedy)}", "yellow"))
    return table
