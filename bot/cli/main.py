"""`assay`: the group of commands, each imported when it is called, and the one place where errors end."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from typing import ClassVar, NoReturn

import click

from bot.errors import AssayError

# What a command that could not do its work exits with; `assay check` uses 1 for findings.
COULD_NOT = 2
# As a shell reports a process that SIGINT or SIGPIPE ended.
_INTERRUPTED, _READER_LEFT = 130, 141


class _Lazy(click.Group):
    """Knows its commands by name and help line, so that `assay --help` imports none of them."""

    commands_at: ClassVar[dict[str, tuple[str, str]]] = {
        "check": ("bot.cli.check", "Check a repository on this machine; no GitHub needed."),
        "demo": ("bot.cli.demo", "Show the main job against a stand-in GitHub."),
        "serve": ("bot.cli.start", "Run web, workers and sweep in one process tree."),
        "web": ("bot.cli.start", "Run the web process alone."),
        "worker": ("bot.cli.start", "Run workers for some queues."),
        "sweep": ("bot.cli.start", "Run the sweep alone."),
        "doctor": ("bot.cli.doctor", "Check the installation, and say how to mend it."),
        "runs": ("bot.cli.runs", "List recent runs."),
        "show": ("bot.cli.runs", "Show a run's timeline and results."),
        "replay": ("bot.cli.runs", "Fold a run's log again, or judge it anew, and compare."),
        "stats": ("bot.cli.stats", "What people made of findings, and what a gate would have stopped."),
        "dead": ("bot.cli.dead", "Jobs that failed at every try: list, show, retry, drop."),
        "config": ("bot.cli.config", "Validate and explain .github/assay.yml."),
    }

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's signature)
        return list(self.commands_at)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in self.commands_at:
            return None
        command = getattr(importlib.import_module(self.commands_at[cmd_name][0]), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self.commands_at.items()])


@click.command(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="assay", message="assay %(version)s")
def assay() -> None:
    """Tests, lints, scans and reviews every commit, and answers with one verdict.

    Try `assay check` in any git repository, or `assay demo`. To install the GitHub App, start with `assay doctor`.
    """


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The entry point. An expected failure is told on standard error, without a trace; a bug with one."""
    try:
        code = _run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of our output has left (`assay runs | head`). Python would complain at exit about what is unsaid.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = _READER_LEFT
    if code == _INTERRUPTED:
        # At once: Python would wait for threads, and one of them perhaps for a model's answer.
        os._exit(code)
    sys.exit(code)


def _run(arguments: Sequence[str] | None) -> int:
    try:
        code = assay.main(arguments, standalone_mode=False)
    except click.ClickException as error:
        error.show()
    except (click.Abort, KeyboardInterrupt):
        click.echo("assay: interrupted", err=True)
        return _INTERRUPTED
    except BrokenPipeError:
        raise
    except Exception as error:  # noqa: BLE001 - the boundary of the process; Python's own exit code 1 means findings
        _tell(error)
    else:
        return code if isinstance(code, int) else 0
    return COULD_NOT


def _tell(error: Exception) -> None:
    # Late, for most commands end well.
    from bot.domain.markdown import visible
    from config.settings import SettingsError

    match error:
        case SettingsError():
            click.echo("assay: settings have to be mended:", err=True)
            for problem in error.problems:
                click.echo(f"  {problem}", err=True)
        case AssayError():
            click.echo(f"assay: {visible(str(error), lines=True)}", err=True)
        case _:
            click.echo("assay: this is a bug in Assay; please report it with the lines below", err=True)
            traceback.print_exception(error)
