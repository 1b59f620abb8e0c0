"""`assay config`: validate, explain and describe `.github/assay.yml`."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from bot.cli.forecast import Forecast, forecast
from bot.cli.orders import orders, read_file
from bot.domain.verdict import count
from bot.domain.wording import duration
from config.document import MAX_BYTES
from config.reading import CONFIG_FILE, Layer, read
from config.schema import json_schema
from workers.desk import Desk, open_desk

_NOT_VALID = 1


@click.group()
def config() -> None:
    """Validate and explain .github/assay.yml.

    \b
    Examples:
      assay config validate                        the file of this repository
      git show main:.github/assay.yml | assay config validate -
      assay config explain                         what would run here, and why
      assay config schema > assay.schema.json      for your editor
    """


@config.command()
@click.argument("file", default=CONFIG_FILE)
def validate(file: str) -> int:
    """Check FILE, by default .github/assay.yml; - is standard input.

    Exit codes: 0 valid, 1 not valid, 2 cannot be read.
    """
    # One byte beyond the limit, so that the reading sees that it is too large.
    text = sys.stdin.buffer.read(MAX_BYTES + 1).decode("utf-8", "replace") if file == "-" else read_file(Path(file))
    name = "standard input" if file == "-" else file
    reading = read([Layer(name="this file", file=name, text=text)])
    for problem in reading.problems:
        click.echo(str(problem), err=True)
    if reading.problems:
        return _NOT_VALID
    click.echo(f"{name}: valid")
    for key in reading.config.not_acted_on():
        click.echo(f"note: this version of Assay does not act on `{key}`")
    return 0


@config.command()
def schema() -> None:
    """Print the JSON Schema, for editors."""
    click.echo(json.dumps(json_schema(), indent=2))


@config.command()
@click.argument("path", default=".", type=click.Path(path_type=Path))
@click.option("--base", metavar="REV", help="Compare with this commit, branch or tag, as `assay check` does.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def explain(path: Path, base: str | None, as_json: bool) -> int:
    """Say what `assay check` would run for the repository at PATH as it stands, and why. Runs no agent."""
    with open_desk(path, base) as desk:
        plan, reading = orders(desk)
        rows = [forecast(agent, desk) for agent in plan.agents]
    off = [name for name, agent in reading.config.agents.by_name().items() if not agent.enabled]
    rows += [Forecast(name, (f"agents.{name}.enabled is false",), runs=False) for name in off]
    if as_json:
        agents = [asdict(row) for row in rows]
        click.echo(json.dumps({"source": plan.source, "base": desk.base.commit, "agents": agents}, indent=2))
        return 0
    console = Console(highlight=False)
    _introduce(console, desk, plan.source)
    for row in rows:
        _show(console, row)
    for notice in plan.notices:
        console.print(Text(f"\nnote: {notice}"), soft_wrap=True)
    return 0


def _introduce(console: Console, desk: Desk, source: str) -> None:
    console.print(Text(f"Configuration: {source}"), soft_wrap=True)
    console.print(Text(f"{count(len(desk.diff.files), 'file')} changed since {desk.base.words}"), soft_wrap=True)


def _show(console: Console, row: Forecast) -> None:
    sign = Text("▸ ", "green") if row.runs else Text("– ", "yellow")
    console.print()
    console.print(sign + Text(row.agent, "bold") + Text("" if row.runs else "  does not run", "dim"))
    lines = [Text(reason) for reason in row.why]
    if row.runs:
        part = "required" if row.required else "optional: it never fails the verdict"
        limit = duration(row.timeout).removesuffix(" 0 s").removesuffix(" 0 min")
        lines.append(Text(f"{part}; fails on {row.fail_on}; reports {row.report}; at most {limit}", "dim"))
    for line in lines:
        console.print(Padding(line, (0, 0, 0, 2)))
