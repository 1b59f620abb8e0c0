"""`assay check`: the agents on a repository of this machine."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import click

from bot.cli.orders import orders
from bot.cli.paint import paint
from bot.cli.progress import Progress
from bot.domain.findings import Outcome
from bot.domain.plan import Plan
from bot.domain.render_report import to_json, to_markdown, to_sarif, to_text
from bot.domain.run import Run
from bot.domain.verdict import blocking, count
from workers.desk import Desk, open_desk
from workers.kit import local_kit, resolve
from workers.local import check as run_check

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
    """Test, lint, scan and review what changed in the git repository at PATH.

    What changed: commits since the history parted from the default branch, and whatever is not committed yet, new
    files included. It needs neither GitHub nor Redis, reads .github/assay.yml of the working tree, and runs the
    repository's tests in place, as you would yourself. Nothing is staged, committed or changed in git.

    \b
    Exit codes:
      0  clean
      1  findings at or above the fail_on of a required agent
      2  something could not be looked at

    \b
    Examples:
      assay check                        what changed here
      assay check --base v1.2            what changed since a tag
      assay check --all --agent lint     every file, one agent
      assay check --format sarif > assay.sarif

    \b
    As a pre-push hook:
      printf '#!/bin/sh\\nexec assay check\\n' > .git/hooks/pre-push
      chmod +x .git/hooks/pre-push
    """
    if everything and base:
        raise click.UsageError("--all looks at everything: it goes without --base")
    with open_desk(path, base, everything=everything) as desk:
        plan, _ = orders(desk, names)
        run = _run(desk, plan, progress=not quiet and sys.stderr.isatty())
    click.echo(paint(_to_text(run, desk)) if form == "text" else _FORMATS[form](run).rstrip("\n"))
    return exit_code(run)


def _run(desk: Desk, plan: Plan, *, progress: bool) -> Run:
    if not desk.diff.files:
        reason = f"nothing has changed since {desk.base.words}"
        idle = tuple(agent.model_copy(update={"skip": reason}) for agent in plan.agents)
        plan = plan.model_copy(update={"agents": idle})
    with Progress(enabled=progress) as shown:
        return run_check(desk, plan, resolve, local_kit(desk.root), time.time, shown.on_run)


def _to_text(run: Run, desk: Desk) -> str:
    if not desk.diff.files:
        what = f"Nothing has changed since {desk.base.words}" if desk.base.commit else "There is no file to look at"
        notices = "".join(f"\n{notice}" for notice in run.plan.notices)
        return f"✓ {what}: nothing to check." + (" --all looks at every file." if desk.base.commit else "") + notices
    return f"{count(len(desk.diff.files), 'file')} changed since {desk.base.words}\n\n{to_text(run)}".rstrip("\n")


def exit_code(run: Run) -> int:
    """0, 1 or 2: findings weigh more than what could not be looked at, and only required agents count."""
    required = [agent for agent in run.shown if agent.plan.required]
    if any(blocking(agent) for agent in required):
        return FINDINGS
    return CLEAN if all(agent.outcome in _LOOKED for agent in required) else COULD_NOT_LOOK
