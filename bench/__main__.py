"""`python -m bench`: every bench, or those that are named, and the page of their figures."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

import click

from bench.measure import Figure, Scale, machine, table

BENCHES = ("admission", "pipeline", "stored", "idle", "checkout", "diff", "findings", "reading", "agents", "sandbox")

_BEGIN, _END = "<!-- figures: begin -->", "<!-- figures: end -->"


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("names", nargs=-1, metavar="[BENCH]...", type=click.Choice(BENCHES))
@click.option("--quick", is_flag=True, help="Small sizes and few rounds, to try a bench out.")
@click.option(
    "--write", type=click.Path(dir_okay=False, exists=True, path_type=Path), help="Put the tables into a page."
)
def main(names: Sequence[str], *, quick: bool, write: Path | None) -> None:
    """Measure Assay and hold every figure against its limit; the exit code is 1 when one is missed.

    \b
    admission   webhooks against a bare handler, RQ's enqueue, and Probot
    pipeline    from the webhook's answer to the verdict; runs a second
    stored      the cost of a run, and of memory, with 10,000 runs stored
    idle        memory and processor of an idle `assay serve`; starts
    checkout    a new commit of a cached repository
    diff        parsing a diff of 500,000 lines
    findings    a run with 100,000 findings
    reading     the plan of a review of 5,000 files
    agents      lint and security on 20 changed files of a large repository
    sandbox     the start of a command in the sandbox
    """
    if write and (names or quick):
        raise click.UsageError("--write is for whole runs: the page's figures come from one")
    tables, missed = [], list[str]()
    for name in dict.fromkeys(names) or BENCHES:
        title, figures = _measure(name, Scale(quick))
        tables.append(f"### {title}\n\n{table(figures)}")
        missed += [f"{name}: {figure.what}" for figure in figures if figure.missed]
    if write:
        _fill(write, "\n\n".join([_stamp(), *tables]))
    for line in missed:
        click.echo(f"missed: {line}", err=True)
    sys.exit(1 if missed else 0)


def _measure(name: str, scale: Scale) -> tuple[str, list[Figure]]:
    bench = import_module(f"bench.{name}")
    title = (bench.run.__doc__ or name).partition("\n")[0].rstrip(".")
    click.echo(f"\n{title}")
    figures = []
    for figure in bench.run(scale):
        what, value, limit, note = figure.cells()
        click.echo(f"  {what}: {value}{f' ({limit})' if limit else ''}{f'  {note}' if note else ''}")
        figures.append(figure)
    return title, figures


def _stamp() -> str:
    return f"`make bench`, {datetime.now(UTC):%d %B %Y}, {machine()}."


def _fill(page: Path, text: str) -> None:
    before, _, rest = page.read_text("utf-8").partition(_BEGIN)
    after = rest.partition(_END)[2]
    page.write_text(f"{before}{_BEGIN}\n\n{text}\n\n{_END}{after}", "utf-8")


if __name__ == "__main__":
    main()
