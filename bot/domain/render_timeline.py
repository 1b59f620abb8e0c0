"""A run's event log as a readable timeline, for `assay show`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import assert_never

from bot.domain.accounts import amount, unit_of
from bot.domain.approvals import since_words
from bot.domain.events import (
    AgentFinished,
    AgentProgressed,
    AgentStarted,
    ApprovalGranted,
    BudgetRaised,
    CommitReceived,
    DeadlinePassed,
    Event,
    FindingsIgnored,
    OrderRefused,
    RerunRequested,
    ReviewAccepted,
    TriggerEnded,
)
from bot.domain.findings import AgentResult
from bot.domain.lapses import lapses
from bot.domain.markdown import clip, visible
from bot.domain.plan import Plan
from bot.domain.reduce import reduce
from bot.domain.render_text import to_text
from bot.domain.run import Run, RunKey
from bot.domain.triggers import Manual, MergeGroup, Pull, Push, Trigger
from bot.domain.verdict import count
from bot.domain.wording import duration, moment

_TRIGGER_WORDS = {"pull": "pull request", "push": "branch", "merge_group": "entry of the merge queue"}


def explain_run(run: Run, events: Iterable[Event]) -> str:
    """The run's state and how it came to it, an event a line: when (UTC), how long after the first, what it meant and
    who caused it. Ends with a newline."""
    return "\n".join((f"{run.key} (attempt {run.attempt})", "", *_timeline(run.key, events), "", to_text(run)))


def _timeline(key: RunKey, events: Iterable[Event]) -> Iterator[str]:
    first: float | None = None
    state: Run | None = None
    for event in events:
        before, state = state, reduce(state, event, key).run
        first = event.at if first is None else first
        when = datetime.fromtimestamp(event.at, UTC).strftime("%Y-%m-%d %H:%M:%S")
        # A clock that went back is shown, not hidden: order in the log is what counts.
        since = f"{'-' if event.at < first else '+'}{duration(abs(event.at - first))}"
        meaning = clip(visible(_meaning(event, before, state)), 400)
        yield f"{when}  {since:>12}  {event.kind:<15} {meaning}{_cause(event)}"
        if isinstance(event, ApprovalGranted | BudgetRaised | ReviewAccepted):
            yield from (f"{'':>37}saw: {clip(visible(one), 400)}" for one in event.saw)


def _cause(event: Event) -> str:
    parts = (f"by {event.actor}" if event.actor else "", f"delivery {event.delivery}" if event.delivery else "")
    cause = ", ".join(part for part in parts if part)
    return f" [{clip(visible(cause), 120)}]" if cause else ""


def _anew(event: RerunRequested) -> str:
    return "; what was said of the same before will do" if event.reuse else ""


def _meaning(event: Event, before: Run | None, after: Run | None) -> str:
    match event:
        case CommitReceived():
            agents = ", ".join(agent.name for agent in event.plan.agents) or "no agents"
            ill = f"; {count(len(event.plan.problems), 'problem')} in the configuration" if event.plan.problems else ""
            source = f" ({event.plan.source})" if event.plan.source != Plan().source else ""
            return f"{_trigger(event.trigger)}: {agents}{source}{ill}"
        case RerunRequested():
            who = ", ".join(event.agents) or "every agent"
            return f"{who} to run again" + (" where it did not pass" if event.failed_only else "") + _anew(event)
        case ApprovalGranted() | BudgetRaised() | ReviewAccepted() | OrderRefused():
            return _answer(event)
        case TriggerEnded():
            moved = f"; its head is now {event.moved_to[:7]}" if event.moved_to else ""
            kind, _, name = event.trigger.partition(":")
            return f"{_TRIGGER_WORDS.get(kind, kind)} {name}: {event.reason}{moved}"
        case AgentStarted():
            return f"{event.agent} began attempt {event.attempt}"
        case AgentProgressed():
            return f"{event.agent}: {event.message}"
        case AgentFinished():
            return f"{event.agent} ended attempt {event.attempt}: {_result(event.result)}"
        case FindingsIgnored():
            return f"{count(len(event.ignored), 'finding')} not to be raised again"
        case DeadlinePassed():
            found = lapses(before, after) if before and after else ()
            return "; ".join(lapse.words for lapse in found) or "nothing was overdue any more"
        case _:
            assert_never(event)


def _answer(event: ApprovalGranted | BudgetRaised | ReviewAccepted | OrderRefused) -> str:
    match event:
        case OrderRefused():
            return f"not run again: {event.reason}"
        case BudgetRaised():
            return f"{event.words} raised to {amount(event.limit, unit_of(event.name))}"
        case ReviewAccepted():
            return f"what {event.agent} said in attempt {event.attempt} counts as it is"
    carried = f", carried over from {event.carried_from[:7]}" if event.carried_from else ""
    return f"approved: what a stranger wrote may be executed until {moment(event.ends)}{carried}"


def _trigger(trigger: Trigger) -> str:
    match trigger:
        case Push():
            return f"pushed to {trigger.branch}"
        case Pull():
            fork = " (fork)" if trigger.fork else ""
            changed = f"; {since_words(trigger.since)}" if trigger.since else ""
            return f"head of pull request {trigger.number} into {trigger.base_ref}{fork}{changed}"
        case MergeGroup():
            return f"entry of the merge queue, {trigger.head_ref}"
        case Manual():
            return "asked for by hand"
        case _:
            assert_never(trigger)


def _result(result: AgentResult) -> str:
    words = result.outcome.value.replace("_", " ")
    found = f", {count(len(result.findings), 'finding')}" if result.findings else ""
    return words + found + (f": {result.reason}" if result.reason else "")
