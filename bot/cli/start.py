"""`assay serve`, `web`, `worker`, `sweep`: the commands.

What they do is in `serve.py`. That takes long to load, so it is loaded once the App's credentials lie apart, and not by
`--help`.
"""

from __future__ import annotations

import click

from bot.safe import keep_apart


@click.command()
def serve() -> None:
    """Run everything: web, workers, sweep and, unless ASSAY_REDIS_URL is set, a Redis of its own.

    A process that dies is started again. Ctrl-C or SIGTERM drains: no new work is taken, and jobs in hand get a minute
    (ASSAY_DRAIN) to end. A second Ctrl-C ends them at once. What did not end is done again by others, or after the next
    start.

    `assay doctor` says whether everything is in place for it.
    """
    keep_apart()
    from bot.cli.serve import run_all

    run_all()


@click.command()
def web() -> None:
    """Run the web process alone. Needs ASSAY_REDIS_URL, or the embedded Redis of a running `assay serve`."""
    keep_apart()
    from bot.cli.serve import run_web

    run_web()


@click.command()
@click.argument("queues", nargs=-1, metavar="[QUEUE]...")
@click.option(
    "--count", default=None, type=click.IntRange(1, 64), help="Processes for each queue.  [default: ASSAY_WORKERS]"
)
def worker(queues: tuple[str, ...], count: int | None) -> None:
    """Run workers for some queues, by default for all of them.

    \b
    The queues:
      intake, publish                     one process each
      test, lint, security, review,       one for each kind of agent
      command, extension
    """
    keep_apart()
    from bot.cli.serve import run_workers

    run_workers(queues, count)


@click.command()
def sweep() -> None:
    """Run the sweep alone: deadlines, retries, what was lost. Several may run; one works at a time."""
    keep_apart()
    from bot.cli.serve import run_sweep

    run_sweep()
