"""`assay dead`: jobs that failed at every try."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import click

from bot.cli.runs import open_redis, time_of
from bot.dead import DeadLetter, DeadLetters
from bot.domain.markdown import visible
from bot.errors import Theirs
from bot.publishing.unpublished import Unpublished


@click.group()
def dead() -> None:
    """List dead letters, look at one, have it done again, or let it go.

    A job whose process dies, or that raises, is tried three times. Then it becomes a dead letter: its check says
    `error`, and it is kept for 30 days.
    """


@dead.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_(as_json: bool) -> None:
    """List dead letters. Times are UTC."""
    with _letters() as letters:
        found = list(letters)
    for letter in found:
        click.echo(letter.model_dump_json() if as_json else _line(letter))
    if not found and not as_json:
        click.echo("No dead letters.", err=True)


@dead.command()
@click.argument("letter")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def show(letter: str, as_json: bool) -> None:
    """Show the history of LETTER: its id, the beginning of it, or the run or delivery it is about."""
    with _letters() as letters:
        found = letters.find(letter)
    if as_json:
        click.echo(json.dumps(found.model_dump(mode="json"), indent=2))
        return
    click.echo(_line(found))
    for number, one in enumerate(found.tries, 1):
        click.echo(f"\nTry {number}, ended {time_of(one.at)} on {visible(one.worker)}:")
        click.echo("".join(f"    {visible(line)}\n" for line in one.how.strip().splitlines()), nl=False)


@dead.command()
@click.argument("letter", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every dead letter there is.")
def retry(letter: tuple[str, ...], everything: bool) -> None:
    """Have each LETTER done again, with three tries."""
    with _letters() as letters:
        vain = [found for found in _chosen(letters, letter, everything=everything) if not _retry(letters, found)]
    if vain:
        raise Theirs(
            "what these letters are about is not kept any more, or nobody waits for it; `assay dead drop` lets them "
            f"go:{_names(vain)}"
        )


def _retry(letters: DeadLetters, letter: DeadLetter) -> bool:
    again = letters.retry(letter)
    if again:
        click.echo(f"{letter.id} is done again")
    return again


@dead.command()
@click.argument("letter", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every dead letter there is.")
def drop(letter: tuple[str, ...], everything: bool) -> None:
    """Let each LETTER go. What its check says stays."""
    with _letters() as letters:
        for found in _chosen(letters, letter, everything=everything):
            letters.drop(found)
            click.echo(f"{found.id} is gone")


@contextmanager
def _letters() -> Iterator[DeadLetters]:
    with open_redis() as (store, deliveries):
        yield DeadLetters(store, Unpublished(store), deliveries, time.time)


def _chosen(letters: DeadLetters, names: tuple[str, ...], *, everything: bool) -> list[DeadLetter]:
    if everything == bool(names):
        raise Theirs("name the letters, or say --all: `assay dead list` lists those there are")
    return list(letters) if everything else [letters.find(name) for name in names]


def _names(letters: Iterable[DeadLetter]) -> str:
    return "".join(f"\n  {letter.id}" for letter in letters)


def _line(letter: DeadLetter) -> str:
    died = time_of(letter.tries[-1].at) if letter.tries else "?" * 19
    return f"{died}  {letter.id}  {letter.queue}  {visible(letter.about)}: {visible(letter.why)}"
