"""`assay stats`: what people made of findings, by rule, and what a stricter gate would have stopped."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence

import click

from bot.cli.runs import open_redis
from bot.domain.findings import SEVERITY_WORDS, Severity
from bot.domain.markdown import clip, visible
from bot.domain.opinions import FATES, Fate, Told, fate, precision
from bot.domain.run import Run, RunKey
from bot.domain.verdict import findings, risk_of
from bot.errors import Theirs
from bot.ledger import Ledger
from bot.store import Store

_RISK = "risk:"


@click.command()
@click.argument("repository", required=False)
@click.option("--fail-on", "gate", help="A severity, or `risk:N`: what such a gate would have stopped.")
@click.option("--agent", help="With --fail-on: count this agent's findings only.")
@click.option(
    "--last", default=50, show_default=True, type=click.IntRange(1, 1000), help="With --fail-on: of how many runs."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def stats(repository: str | None, gate: str | None, agent: str | None, last: int, as_json: bool) -> None:
    """Tell what people made of findings, by repository and rule.

    \b
    accepted   somebody put a thumb up
    fixed      it was gone in a later commit
    dismissed  thumbed down, resolved unfixed, answered, or `/assay ignore`
    ignored    the pull request was closed with it
    open       nobody knows yet

    Precision is the share of accepted and fixed among all but the open ones. With --fail-on it tells which of the last
    runs a gate of that severity, or risk, would have stopped.
    """
    with open_redis() as (store, _):
        ledger = Ledger(store.redis)
        names = [repository] if repository else ledger.repositories()
        table = {name: by_rule(store, name, ledger.all(name)) for name in names}
        stopped = _stopped(store, repository, gate, agent, last) if gate else None
    if as_json:
        click.echo(json.dumps(_as_json(table, stopped), indent=2))
        return
    for name, rules in table.items():
        click.echo(f"{visible(name)}\n" + "\n".join(_rows(rules)) + "\n")
    if not any(table.values()):
        click.echo("No pull request was told of a finding yet.", err=True)
    if stopped is not None:
        _tell_stopped(gate or "", *stopped)


Rules = dict[str, Counter[Fate]]


def by_rule(store: Store, repository: str, told: Iterable[Told]) -> Rules:
    """How many findings of each rule came to which end, the most telling rules first."""
    rules: Rules = {}
    over: dict[str, bool] = {}
    for one in told:
        if one.sha not in over:
            stored = store.load(RunKey(repository=repository, sha=one.sha))
            over[one.sha] = stored is None or not stored.run.wanted
        rules.setdefault(one.rule, Counter())[fate(one, over=over[one.sha])] += 1
    return dict(sorted(rules.items(), key=lambda item: -item[1].total()))


def _rows(rules: Rules) -> Iterable[str]:
    yield f"  {'rule':<40}" + "".join(f"{name:>11}" for name in FATES) + f"{'precision':>11}"
    every: Counter[Fate] = Counter()
    for rule, counts in rules.items():
        every += counts
        yield _row(clip(visible(rule), 40), counts)
    if len(rules) > 1:
        yield _row("all", every)


def _row(name: str, counts: Counter[Fate]) -> str:
    known = precision(counts.elements())
    share = "-" if known is None else f"{known:.0%}"
    return f"  {name:<40}" + "".join(f"{counts[one]:>11,}" for one in FATES) + f"{share:>11}"


# -- what a gate would have stopped


def _stopped(
    store: Store, repository: str | None, gate: str, agent: str | None, last: int
) -> tuple[list[tuple[Run, str]], int]:
    """The runs, of the last complete ones, that the gate would have stopped, each with the reason; and of how many."""
    test = _gate(gate, agent)
    runs = [
        run
        for run in store.recent(last * 10 if repository else last)
        if run.complete and run.agents and repository in (None, run.key.repository)
    ][:last]
    return [(run, why) for run in runs if (why := test(run))], len(runs)


class _Gate:
    """Says why a run would have been stopped; nothing where it would not."""

    def __init__(self, severity: Severity | None, risk: int, agent: str | None) -> None:
        self._severity, self._risk, self._agent = severity, risk, agent

    def __call__(self, run: Run) -> str:
        if self._severity is None:
            score = risk_of(run).score
            return f"risk {score}" if score >= self._risk else ""
        loud = [
            one
            for one in findings(run)
            if one.counts and one.severity >= self._severity and (self._agent is None or self._spoke(one.sources))
        ]
        return f"{len(loud)} such: {clip(visible(loud[0].message), 60)}" if loud else ""

    def _spoke(self, sources: Sequence[str]) -> bool:
        return any(source.partition("/")[0] == self._agent for source in sources)


def _gate(gate: str, agent: str | None) -> _Gate:
    if gate.startswith(_RISK):
        number = gate.removeprefix(_RISK).strip()
        if not number.isascii() or not number.isdigit() or not 1 <= int(number) <= 100:
            raise Theirs(f"--fail-on {gate}: a risk is a number from 1 to 100, as in risk:70")
        return _Gate(None, int(number), agent)
    severity = SEVERITY_WORDS.get(gate.strip().lower())
    if severity is None:
        raise Theirs(f"--fail-on {gate}: use one of {', '.join(Severity)}, or risk:N")
    return _Gate(severity, 0, agent)


def _tell_stopped(gate: str, stopped: list[tuple[Run, str]], of: int) -> None:
    click.echo(f"--fail-on {gate} would have stopped {len(stopped)} of the last {of} runs:")
    for run, why in stopped:
        click.echo(f"  {run.key.repository}@{run.key.sha[:12]}  {why}")


def _as_json(table: dict[str, Rules], stopped: tuple[list[tuple[Run, str]], int] | None) -> dict[str, object]:
    repositories = {
        name: {rule: {**counts, "precision": precision(counts.elements())} for rule, counts in rules.items()}
        for name, rules in table.items()
    }
    gate = None if stopped is None else {"runs": stopped[1], "stopped": {str(run.key): why for run, why in stopped[0]}}
    return {"repositories": repositories, "gate": gate}
