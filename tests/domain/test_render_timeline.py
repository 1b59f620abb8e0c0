from __future__ import annotations

from bot.domain.events import (
    AgentFinished,
    AgentProgressed,
    AgentStarted,
    CommitReceived,
    DeadlinePassed,
    Event,
    RerunRequested,
    TriggerEnded,
)
from bot.domain.findings import AgentResult, Outcome
from bot.domain.plan import Plan
from bot.domain.reduce import reduce
from bot.domain.render_timeline import explain_run
from tests.domain.runs import KEY, PULL, SHA, make_plan

AT = 1_700_000_000.0


def explain(*events: Event) -> str:
    run = None
    for event in events:
        run = reduce(run, event, KEY).run
    assert run is not None
    return explain_run(run, events)


PLAN = Plan(agents=(make_plan("lint"),))
RECEIVED = CommitReceived(at=AT, delivery="g-1", installation=1, trigger=PULL, plan=PLAN)


def test_every_kind_of_event_is_a_line() -> None:
    text = explain(
        RECEIVED,
        AgentStarted(at=AT + 1, agent="lint", attempt=1),
        AgentProgressed(at=AT + 2, agent="lint", attempt=1, message="half way"),
        AgentFinished(at=AT + 75, agent="lint", attempt=1, result=AgentResult(outcome=Outcome.ERROR, reason="crashed")),
        RerunRequested(at=AT + 80, agents=("lint",), failed_only=True, actor="octocat"),
        DeadlinePassed(at=AT + 90),
        TriggerEnded(at=AT + 4000, trigger="pull:12", updated_at=AT, reason="closed", moved_to="c" * 40),
    )
    _, _, *lines = text.splitlines()
    assert lines[:7] == [
        "2023-11-14 22:13:20        +0.0 s  CommitReceived  head of pull request 12 into main: lint [delivery g-1]",
        "2023-11-14 22:13:21        +1.0 s  AgentStarted    lint began attempt 1",
        "2023-11-14 22:13:22        +2.0 s  AgentProgressed lint: half way",
        "2023-11-14 22:14:35   +1 min 15 s  AgentFinished   lint ended attempt 1: error: crashed",
        "2023-11-14 22:14:40   +1 min 20 s  RerunRequested  lint to run again where it did not pass [by octocat]",
        "2023-11-14 22:14:50   +1 min 30 s  DeadlinePassed  nothing was overdue any more",
        "2023-11-14 23:20:00    +1 h 6 min  TriggerEnded    pull request 12: closed; its head is now ccccccc",
    ]
    assert text.startswith(f"octo/shop@{SHA} (attempt 2)\n")


def test_a_deadline_is_told_by_what_came_of_it() -> None:
    text = explain(RECEIVED, AgentStarted(at=AT + 1, agent="lint", attempt=1), DeadlinePassed(at=AT + 9000))
    assert "DeadlinePassed  lint was given up: it gave no result within 600 s\n" in text
    text = explain(RECEIVED, DeadlinePassed(at=AT + 90_000))
    assert "DeadlinePassed  lint was given up: no worker took it up in time; " in text


def test_hostile_words_stay_on_their_line() -> None:
    text = explain(RECEIVED, AgentProgressed(at=AT, agent="lint", attempt=1, message="a\n\x1b[2Jb\u202e"))
    assert "lint: a b⟨U+202E⟩" in text
    assert "\x1b" not in text
