"""`assay runs`, `show`, `replay`: what the store remembers."""

from __future__ import annotations

import json
import time

import click

from bot.domain.events import EVENT, Event
from bot.domain.reduce import reduce
from bot.domain.render_report import explain_run, to_sarif
from bot.domain.run import Run, RunKey
from bot.domain.verdict import verdict
from bot.errors import Theirs
from bot.store import Store
from bot.wiring import open_store


@click.command()
@click.option("--limit", default=20, show_default=True, help="How many, the newest first.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.option("--ignored", is_flag=True, help="Show recent deliveries instead, and what became of each.")
def runs(limit: int, as_json: bool, ignored: bool) -> None:
    """List recent runs, the newest first."""
    with open_store() as (store, deliveries):
        if ignored:
            for delivery in deliveries.recent(limit):
                click.echo(f"{_time(delivery.received_at)}  {delivery.guid}  {delivery.event:20} {delivery.outcome}")
            return
        found = store.recent(limit)
    for run in found:
        outcome = verdict(run)
        if as_json:
            click.echo(
                json.dumps({"run": str(run.key), "created_at": run.created_at, **outcome.model_dump(mode="json")})
            )
        else:
            word = outcome.conclusion or "in progress"
            click.echo(f"{_time(run.created_at)}  {run.key.repository}@{run.key.sha[:12]}  {word:15} {outcome.title}")
    if not found and not as_json:
        click.echo("No runs yet. `assay runs --ignored` lists deliveries and what became of them.", err=True)


@click.command()
@click.argument("run")
@click.option("--json", "as_json", is_flag=True, help="State and log as JSON.")
@click.option("--sarif", is_flag=True, help="The findings as SARIF 2.1.0.")
def show(run: str, as_json: bool, sarif: bool) -> None:
    """Show what happened in RUN and why: OWNER/NAME@SHA, or the beginning of a SHA."""
    with open_store() as (store, _):
        state, events = _load(store, run)
    if sarif:
        click.echo(to_sarif(state))
    elif as_json:
        log = [EVENT.dump_python(event, mode="json") for event in events]
        click.echo(json.dumps({"run": state.model_dump(mode="json"), "events": log}, indent=2))
    else:
        click.echo(explain_run(state, events))


@click.command()
@click.argument("run")
def replay(run: str) -> int:
    """Fold the log of RUN again and prove that it gives the state that is stored. Exit code 1 when it does not."""
    with open_store() as (store, _):
        state, events = _load(store, run)
    again = fold(state.key, events)
    if again == state:
        click.echo(f"{state.key}: {len(events)} events give the stored state: {verdict(state).title}")
        return 0
    click.echo(f"{state.key}: {len(events)} events give another state than the stored one", err=True)
    return 1


def fold(key: RunKey, events: list[Event]) -> Run | None:
    """The state that a log gives."""
    state: Run | None = None
    for event in events:
        state = reduce(state, event, key).run
    return state


def _load(store: Store, text: str) -> tuple[Run, list[Event]]:
    keys = store.find(text)
    if not keys:
        raise Theirs(f"no run begins with {text!r}: `assay runs` lists those there are")
    if len(keys) > 1:
        raise Theirs(f"{text!r} could be {', '.join(map(str, keys[:5]))}: write more of it")
    stored = store.load(keys[0])
    if stored is None:
        raise Theirs(f"the run {keys[0]} is past its retention")
    return stored.run, store.log(keys[0])


def _time(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
