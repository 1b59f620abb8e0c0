"""`assay config`: validate, explain and describe `.github/assay.yml`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bot.domain.plan import AgentPlan, plan, skipped_by_paths
from bot.domain.triggers import Manual
from bot.intake import CONFIG_FILE
from config.reading import Layer, Reading, read
from config.schema import json_schema
from workers.local import Desk, open_desk


@click.group()
def config() -> None:
    """Validate and explain .github/assay.yml."""


@config.command()
@click.argument("file", type=click.Path(path_type=Path), default=Path(CONFIG_FILE))
def validate(file: Path) -> int:
    """Check FILE (by default .github/assay.yml; - is standard input). Exit code 1 when it is not valid."""
    reading = _read(str(file), sys.stdin.read() if str(file) == "-" else _text(file))
    for problem in reading.problems:
        click.echo(str(problem), err=True)
    if reading.problems:
        return 1
    click.echo(f"{file}: valid")
    for key in reading.config.not_acted_on():
        click.echo(f"note: this version of Assay does not act on `{key}`")
    return 0


@config.command()
def schema() -> None:
    """Print the JSON Schema, for editors."""
    click.echo(json.dumps(json_schema(), indent=2))


@config.command()
@click.argument("path", default=".", type=click.Path(path_type=Path))
@click.option("--base", metavar="REV", help="Compare with this commit, branch or tag.")
@click.option("--json", "as_json", is_flag=True)
def explain(path: Path, base: str | None, as_json: bool) -> int:
    """Say what would run for the repository at PATH as it stands, and why."""
    with open_desk(path, base, everything=False) as desk:
        file = desk.root / CONFIG_FILE
        reading = _read(CONFIG_FILE, _text(file) if file.is_file() else None)
        if reading.problems:
            for problem in reading.problems:
                click.echo(str(problem), err=True)
            return 1
        orders = plan(reading.config, Manual(), reading.source)
        rows = [(agent, _why(agent, desk)) for agent in orders.agents]
    disabled = [name for name, agent in reading.config.agents.by_name().items() if not agent.enabled]
    if as_json:
        agents = [agent.model_dump(mode="json") | {"will": why} for agent, why in rows]
        click.echo(json.dumps({"source": orders.source, "agents": agents, "disabled": disabled}, indent=2))
        return 0
    console = Console(highlight=False)
    base_name = desk.base[:12] if desk.base else "nothing"
    console.print(f"Configuration: {escape(orders.source)}")
    console.print(f"Compared with {base_name}: {len(desk.diff.files)} changed files", end="\n\n")
    table = Table("agent", "will", "required", "fails on", "reports", "at most", box=None, pad_edge=False)
    for agent, why in rows:
        limit = agent.fail_on.value if agent.fail_on else "never"
        required = "yes" if agent.required else "no"
        table.add_row(agent.name, escape(why), required, limit, agent.report, f"{agent.timeout} s")
    for name in disabled:
        table.add_row(name, "not run: enabled is false", "", "", "", "")
    console.print(table)
    for notice in orders.notices:
        console.print(escape(f"\nnote: {notice}"))
    return 0


def _why(agent: AgentPlan, desk: Desk) -> str:
    if reason := agent.skip or skipped_by_paths(agent, tuple(desk.diff.files)):
        return f"be skipped: {reason}"
    command = agent.settings.get("run")
    if command:
        return f"run: {command}"
    if agent.kind in ("lint", "security"):
        tools = agent.settings.get("tools")
        return "run: tools by the changed files" if tools == "auto" else f"run: {', '.join(tools or ())}"
    return "run: the test suite that is found" if agent.kind == "test" else "run"


def _read(name: str, text: str | None) -> Reading:
    return read([Layer(name="this file", file=name, text=text)])


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8", "replace")
    except OSError as error:
        raise click.ClickException(f"{file} cannot be read: {error.strerror}") from None
