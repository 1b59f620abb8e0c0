"""`assay check`: the agents on a repository of this machine."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import click

from bot.cli.progress import Progress
from bot.domain.findings import Outcome
from bot.domain.plan import Plan, plan
from bot.domain.render_report import to_json, to_markdown, to_sarif, to_text
from bot.domain.run import Run
from bot.domain.triggers import Manual
from bot.domain.verdict import blocking
from bot.errors import Theirs
from config.reading import Layer, read
from workers.local import Desk, check as run_check, open_desk
from workers.wiring import local_kit, resolve

_FORMATS: dict[str, Callable[[Run], str]] = {
    "text": to_text,
    "json": to_json,
    "sarif": to_sarif,
    "markdown": to_markdown,
}
CLEAN, FINDINGS, COULD_NOT_LOOK = 0, 1, 2
_LOOKED = (Outcome.CLEAN, Outcome.FINDINGS, Outcome.SKIPPED)


@click.command()
@click.argument("path", default=".", type=click.Path(path_type=Path))
@click.option(
    "--base",
    metavar="REV",
    help="Compare with this commit, branch or tag.  [default: where the history parted from the default branch]",
)
@click.option("--all", "everything", is_flag=True, help="Report on everything, not just on what changed.")
@click.option("--agent", "names", multiple=True, metavar="NAME", help="Run only this agent; may be given again.")
@click.option("--format", "form", type=click.Choice(list(_FORMATS)), default="text", show_default=True)
@click.option("--quiet", "-q", is_flag=True, help="No progress.")
def check(path: Path, base: str | None, everything: bool, names: tuple[str, ...], form: str, quiet: bool) -> int:
    """Run the agents on the git repository at PATH, on what changed since the base, uncommitted changes included.

    It reads .github/assay.yml of the working tree, and needs neither GitHub nor Redis. The code of the repository is
    run as you would run it yourself.

    Exit codes: 0 clean, 1 findings at or above an agent's fail_on, 2 something could not be looked at.

    As a pre-push hook:  printf '#!/bin/sh\\nexec assay check\\n' > .git/hooks/pre-push && chmod +x .git/hooks/pre-push
    """
    if everything and base:
        raise click.UsageError("--all looks at everything: it goes without --base")
    with open_desk(path, base, everything) as desk:
        orders = _plan(desk, names)
        with Progress(enabled=not quiet and sys.stderr.isatty()) as progress:
            run = run_check(desk, orders, resolve, local_kit(), time.time, progress.on_event)
    click.echo(_FORMATS[form](run).rstrip("\n"))
    return exit_code(run)


def _plan(desk: Desk, names: tuple[str, ...]) -> Plan:
    file = desk.root / ".github" / "assay.yml"
    text = file.read_text("utf-8", "replace") if file.is_file() else None
    reading = read([Layer(name="working tree", file=".github/assay.yml", text=text)])
    if reading.problems:
        lines = "\n".join(f"  {problem}" for problem in reading.problems)
        raise Theirs(f"the configuration is not valid:\n{lines}")
    full = plan(reading.config, Manual(), reading.source)
    known = [agent.name for agent in full.agents]
    for name in names:
        if name not in known:
            raise Theirs(f"there is no agent {name!r}; there are: {', '.join(known)}")
    agents = tuple(agent for agent in full.agents if not names or agent.name in names)
    # Somebody who asks at a desk is asking now: `on` is about GitHub's events.
    agents = tuple(a.model_copy(update={"skip": "", "required": a.required or a.name in names}) for a in agents)
    return full.model_copy(update={"agents": agents})


def exit_code(run: Run) -> int:
    """0, 1 or 2: findings weigh more than what could not be looked at, and only required agents count."""
    required = [agent for agent in run.agents if agent.plan.required]
    if any(blocking(agent) for agent in required):
        return FINDINGS
    return CLEAN if all(agent.outcome in _LOOKED for agent in required) else COULD_NOT_LOOK
