"""`assay runs`, `show`, `replay`: what the store remembers."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import IO

import click
from redis.exceptions import RedisError

from bot.cli.paint import paint
from bot.deliveries import Deliveries
from bot.dialogue import Dialogue
from bot.domain.events import EVENT, Event
from bot.domain.fixes import Patch, patch_of
from bot.domain.markdown import visible
from bot.domain.reduce import reduce
from bot.domain.render_report import explain_run, to_sarif
from bot.domain.run import Run, RunKey
from bot.domain.verdict import verdict
from bot.domain.wording import rule_words, symbol
from bot.errors import Misconfigured, Theirs, Unavailable
from bot.publishing.records import Records
from bot.store import Store
from bot.wiring import open_store, settings

_DIFFERS = 1
_MOST_NAMED = 5
_MOST_LEFT_OUT = 50


@click.command()
@click.option("--limit", default=20, show_default=True, type=click.IntRange(min=1), help="How many, newest first.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.option("--ignored", is_flag=True, help="Show recent deliveries instead, and what became of each.")
def runs(limit: int, as_json: bool, ignored: bool) -> None:
    """List recent runs, the newest first. Times are UTC.

    It reads the Redis of ASSAY_REDIS_URL, of the Assay that is running here, or of one that was.
    """
    with open_redis() as (store, deliveries):
        if ignored:
            for delivery in deliveries.recent(limit):
                became = visible(delivery.outcome)
                click.echo(f"{time_of(delivery.received_at)}  {delivery.guid}  {delivery.event:<14}  {became}")
            return
        found = store.recent(limit)
    for run in found:
        click.echo(_run_as_json(run) if as_json else paint(_line(run)))
    if not found and not as_json:
        click.echo("No runs yet. `assay runs --ignored` lists deliveries and what became of them.", err=True)


@click.command()
@click.argument("run")
@click.option("--json", "as_json", is_flag=True, help="State and log as JSON.")
@click.option("--sarif", is_flag=True, help="The findings as SARIF 2.1.0.")
@click.option("--patch", is_flag=True, help="What its tools would fix, as one patch for `git apply` at RUN's commit.")
def show(run: str, as_json: bool, sarif: bool, patch: bool) -> None:
    """Show what happened in RUN and why.

    RUN is OWNER/NAME@SHA as `assay runs` prints it, or the beginning of it or of its SHA.
    """
    if as_json + sarif + patch > 1:
        raise click.UsageError("--json, --sarif and --patch are formats: give one")
    with open_redis() as (store, _):
        state, events = _load(store, run)
        refusal = Records(store.redis, store.retention).publication(state.key).refusal
    if sarif:
        click.echo(to_sarif(state).rstrip("\n"))
    elif patch:
        _show_patch(patch_of(state))
    elif as_json:
        log = [EVENT.dump_python(event, mode="json") for event in events]
        click.echo(json.dumps({"run": state.model_dump(mode="json"), "events": log}, indent=2))
    else:
        click.echo(paint(explain_run(state, events)).rstrip("\n"))
        if refusal:
            click.echo(f"\nGitHub does not show this: {visible(refusal)}")


def _show_patch(patch: Patch) -> None:
    """The patch on standard output, and what there is to say of it beside it."""
    # A program gets it as it is; a terminal would obey what somebody has hidden in it.
    to_people = sys.stdout.isatty()
    click.echo(visible(patch.text, lines=True) if to_people else patch.text.encode(), nl=False)
    if not patch.text:
        click.echo("There is nothing that a tool would fix.", err=True)
    for finding, why in patch.left_out[:_MOST_LEFT_OUT]:
        click.echo(visible(f"not in the patch: {finding.where} [{rule_words(finding)}]: {why}"), err=True)
    if more := len(patch.left_out[_MOST_LEFT_OUT:]):
        click.echo(f"not in the patch: {more:,} more", err=True)


@click.command()
@click.argument("run")
@click.option("--agent", type=click.Choice(["review", "verify"]), help="Judge anew what this agent's model was asked.")
@click.option("--model", help="With --agent: the model to ask now. Left out: the operator's.")
@click.option("--prompt", type=click.File(encoding="utf-8"), help="With --agent: a file with another system prompt.")
def replay(run: str, agent: str | None, model: str | None, prompt: IO[str] | None) -> int:
    """Fold the log of RUN again and prove that it gives the state that is stored.

    With --agent its recorded questions go to a model once more, and what it says is shown beside what was said then:
    `=` said both times, `-` only then, `+` only now. Neither GitHub nor the repository is asked; the model is paid for.

    Exit codes: 0 it does, 1 it does not; with --agent always 0.
    """
    if agent is None and (model or prompt):
        raise click.UsageError("--model and --prompt go with --agent")
    with open_redis() as (store, _):
        state, events = _load(store, run)
        if agent is not None:
            return _judge_again(store, state, agent, model, prompt.read() if prompt else None)
    again = fold(state.key, events)
    if again == state:
        click.echo(f"{state.key}: {len(events)} events give the stored state: {verdict(state).title}")
        return 0
    fields = [name for name in Run.model_fields if again is None or getattr(again, name) != getattr(state, name)]
    words = f"{len(events)} events give another state than the stored one; they differ in {', '.join(fields)}"
    click.echo(f"{state.key}: {words}", err=True)
    return _DIFFERS


def _judge_again(store: Store, state: Run, agent: str, model: str | None, prompt: str | None) -> int:
    # Late, for the other commands of this module need no model.
    from bot.cli import rejudge
    from workers.kit import make_model

    kept = Dialogue(store.redis, 0).of(state.key, rejudge.AGENTS[agent][0])
    chosen = settings()
    made = make_model(chosen)
    if made is None:
        raise Misconfigured("no model is configured: set OPENAI_API_KEY")
    name = model or (chosen.llm_verify_model if agent == "verify" else None)
    asked = made.named(name) if name else made
    for line in rejudge.judge_again(rejudge.latest(kept), agent, asked, prompt):
        click.echo(line)
    return 0


def fold(key: RunKey, events: list[Event]) -> Run | None:
    """The state that a log gives."""
    state: Run | None = None
    for event in events:
        state = reduce(state, event, key).run
    return state


@contextmanager
def open_redis() -> Iterator[tuple[Store, Deliveries]]:
    """The store and the ledger. Raises Unavailable where Redis does not answer."""
    try:
        with open_store() as opened:
            yield opened
    except RedisError as error:
        raise Unavailable(f"Redis does not answer ({error}): start it, or correct ASSAY_REDIS_URL") from None


def _load(store: Store, text: str) -> tuple[Run, list[Event]]:
    keys = store.find(text)
    if not keys:
        raise Theirs(f"no run begins with {text!r}: `assay runs` lists those there are")
    if len(keys) > 1:
        names = "".join(f"\n  {key}" for key in keys[:_MOST_NAMED])
        more = f"\n  and {len(keys) - _MOST_NAMED} more" if len(keys) > _MOST_NAMED else ""
        raise Theirs(f"{text!r} names {len(keys)} runs, write more of it:{names}{more}")
    stored = store.load(keys[0])
    if stored is None:
        raise Theirs(f"the run {keys[0]} is past its retention")
    return stored.run, store.log(keys[0])


def _line(run: Run) -> str:
    outcome = verdict(run)
    name = f"{run.key.repository}@{run.key.sha[:12]}"
    return f"{symbol(outcome.conclusion)} {time_of(run.created_at)}  {name}  {visible(outcome.title)}"


def _run_as_json(run: Run) -> str:
    return json.dumps({"run": str(run.key), "created_at": run.created_at, **verdict(run).model_dump(mode="json")})


def time_of(at: float) -> str:
    """A time in seconds since the epoch as people read it, UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")
