"""The judge finds everything that it is there for: a check that cannot fail proves nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.cli.runs import fold
from bot.dead import DeadLetter
from bot.demo.github_state import CheckRun, Comment, ReviewComment, User
from bot.domain.events import AgentFinished, AgentStarted, Event
from bot.domain.findings import Outcome
from bot.domain.render import checks
from bot.domain.render_comment import comment
from bot.domain.run import RunKey
from bot.domain.verdict import Conclusion
from bot.domain.views import Annotation, CheckView
from bot.jobs import ON_AGENT, ON_DELIVERY
from tests.builders import agent_plan, commit_received, finding, result, run_key
from tests.faults.history import History, violations
from tests.faults.journal import Entry, begun_again, recoveries

KEY = run_key()
BOT = User(1, "assay-demo[bot]", "Bot")
FOUND = result(Outcome.FINDINGS, finding(new=True, place="added"))
LOG: tuple[Event, ...] = (
    commit_received("lint", at=100.0),
    AgentStarted(at=101.0, agent="lint", attempt=1),
    AgentFinished(at=102.0, agent="lint", attempt=1, result=FOUND),
)


def check_of(view: CheckView, number: int) -> CheckRun:
    return CheckRun(
        id=number,
        suite=1,
        repo=KEY.repository,
        head_sha=KEY.sha,
        name=view.name,
        status=view.status,
        started_at=view.started_at,
        conclusion=view.conclusion,
        external_id=view.external_id,
        output={"title": view.title, "summary": view.summary, "text": view.text},
        annotations=[sent(annotation) for annotation in view.annotations],
    )


def sent(annotation: Annotation) -> dict[str, object]:
    fields = ("path", "start_line", "end_line", "title", "message")
    return {field: getattr(annotation, field) for field in fields}


def told(log: tuple[Event, ...] = LOG) -> History:
    """A history in which all is well: what Assay and GitHub make of this log."""
    run = fold(KEY, list(log))
    assert run is not None
    (pull,) = run.pulls
    body = comment(run, pull, None)
    note = f"<!-- assay:finding:{'a' * 16} -->\n\nunused"
    return History(
        acknowledged=("one", "two"),
        expected={KEY: Conclusion.FAILURE},
        ledger={"one": f"accepted: {KEY}", "two": "ignored: a star"},
        runs={KEY: run},
        logs={KEY: log},
        checks=tuple(check_of(view, number) for number, view in enumerate(checks(run, ""))),
        comments=(Comment(7, KEY.repository, 1, BOT, body, 0, 0),),
        notes=(ReviewComment(8, 9, KEY.repository, 1, BOT, note, "a.py", "RIGHT", 1, None, None, KEY.sha, "", 0, 0),),
        journal=(entry("took", 1.0, token=1), entry("wrote", 2.0, token=1), entry("took", 3.0, token=2)),
    )


def entry(what: str, at: float, name: str = "x", token: int = 0, pid: int = 10, parent: int = 1) -> Entry:
    return Entry(what=what, at=at, pid=pid, parent=parent, name=name, token=token, asked=at)


FINE = told()


def test_nothing_is_said_where_all_is_well() -> None:
    assert violations(FINE) == []
    assert len(FINE.checks) == 2
    assert FINE.checks[0].annotations


def with_check(number: int, **changes: object) -> History:
    changed = [replace(check, **changes) if check.id == number else check for check in FINE.checks]  # type: ignore[arg-type]  # names and values of fields
    return replace(FINE, checks=tuple(changed))


def ledger(outcome: str) -> History:
    return replace(FINE, ledger=FINE.ledger | {"two": outcome})  # type: ignore[operator]  # a dict


def dead(function: str, *args: str | int) -> tuple[DeadLetter, ...]:
    return (DeadLetter(id="x", queue="q", function=function, args=args, tries=()),)


OTHER = RunKey(repository=KEY.repository, sha="d" * 40)
LINT = FINE.checks[0]
RUNNING = told(LOG[:2])


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (replace(FINE, ledger={"one": "ignored: a star"}), "nobody remembers it"),
        (ledger("waiting"), "and is 'waiting'"),
        (ledger("ignored"), "and is 'ignored'"),
        (ledger(f"accepted: {OTHER}"), "there is no such run"),
        (replace(FINE, expected={OTHER: Conclusion.SUCCESS}), "there is no run of it"),
        (replace(FINE, expected={KEY: Conclusion.SUCCESS}), "is a failure, and should be a success"),
        (replace(FINE, logs={}), "its log does not give the state"),
        (replace(FINE, logs={KEY: LOG[:2]}), "its log does not give the state"),
        (replace(FINE, checks=FINE.checks[1:]), "'assay / lint' is there 0 times"),
        (replace(FINE, checks=(*FINE.checks, LINT)), "'assay / lint' is there 2 times"),
        (replace(FINE, checks=(*FINE.checks, replace(LINT, external_id="older"))), "is there for older as well"),
        (replace(FINE, checks=(*FINE.checks, replace(LINT, name="assay / old"))), "that no run has"),
        (replace(FINE, checks=(*FINE.checks, replace(LINT, head_sha="e" * 40))), "that no run has"),
        (with_check(0, status="in_progress"), "is not completed"),
        (with_check(0, conclusion="success"), "is a success, and the run's log says failure"),
        (with_check(1, output=LINT.output), "has the title"),
        (with_check(0, annotations=[]), "has 0 annotations that are not the 1 of the run's log"),
        (replace(FINE, comments=()), "has 0 comments"),
        (replace(FINE, comments=FINE.comments * 2), "has 2 comments"),
        (replace(FINE, comments=(replace(FINE.comments[0], body="hello"),)), "does not tell of"),
        (replace(FINE, notes=FINE.notes * 2), "was told 2 times of"),
        (replace(FINE, notes=(replace(FINE.notes[0], body="hello"),)), "is about nothing"),
        (replace(FINE, journal=(*FINE.journal, entry("wrote", 4.0, token=1))), "wrote after it was taken over"),
        (replace(FINE, leftovers={"rq:wip:lint": 1}), "Redis still holds 1 of rq:wip:lint"),
        (replace(FINE, dead=dead(ON_DELIVERY, "two")), "was given up, and the ledger says"),
        (replace(FINE, dead=dead(ON_AGENT, str(OTHER), "lint", 1)), "its run does not say so"),
    ],
)
def test_what_is_wrong_is_found(wrong: History, words: str) -> None:
    found = violations(wrong)
    assert any(words in one for one in found), found


def test_annotation_that_is_there_twice_is_found() -> None:
    found = violations(with_check(0, annotations=LINT.annotations * 2))
    assert any("twice" in one for one in found), found


def test_run_that_never_ends_is_found() -> None:
    found = violations(replace(RUNNING, expected={}))
    assert f"{KEY} is stuck: lint running" in found


def test_agent_that_ends_without_result_says_why() -> None:
    def ended(reason: str) -> list[str]:
        event = AgentFinished(at=102.0, agent="lint", attempt=1, result=result(Outcome.ERROR, reason=reason))
        return violations(replace(told((*LOG[:2], event)), expected={KEY: Conclusion.SUCCESS}))

    assert ended("the disk is full") == []
    assert ended("") == [f"{KEY} ended without its verdict, and does not say why"]


def test_agent_that_was_kept_from_its_work_is_no_success() -> None:
    received = commit_received(agent_plan("lint", required=False), "test")
    prevented, clean = result(Outcome.ERROR, reason="the disk is full"), result(Outcome.CLEAN)
    ends = (
        AgentFinished(at=102.0, agent=name, attempt=1, result=said)
        for name, said in (("lint", prevented), ("test", clean))
    )
    found = violations(replace(told((received, *ends)), expected={KEY: Conclusion.FAILURE}))
    assert f"{KEY} is a success, though an agent was kept from its work" in found


def test_check_of_an_older_attempt_may_stay() -> None:
    older = [replace(check, id=5, external_id=check.external_id[:-1] + "0") for check in FINE.checks]
    run = FINE.runs[KEY].model_copy(update={"attempt": 2})
    views = checks(run, "")
    newer = [check_of(view, number) for number, view in enumerate(views)]
    known = replace(FINE, runs={KEY: run}, logs={}, checks=(*older, *newer))
    assert [one for one in violations(known) if "check" in one] == []


# -- the journal


def test_recovery_takes_from_the_worker_s_end_to_the_job_s_next_beginning() -> None:
    entries = [
        entry("taken", 1.0, "job", pid=10),
        entry("began", 1.1, "job", pid=11, parent=10),
        entry("killed", 2.0, "", pid=10),
        entry("taken", 4.5, "job", pid=20),
        entry("began", 5.0, "job", pid=21, parent=20),
        entry("ended", 6.0, "job", pid=21, parent=20),
    ]
    assert recoveries(entries) == [3.0]
    assert begun_again(entries) == 1


def test_work_horse_that_dies_is_a_recovery_too_and_one_that_had_ended_is_none() -> None:
    horse = [entry("began", 1.0, "job", pid=11, parent=10), entry("crashed", 2.0, "point", pid=11, parent=10)]
    again = entry("began", 2.5, "job", pid=12, parent=10)
    assert recoveries([*horse, again]) == [0.5]
    ended = entry("ended", 1.5, "job", pid=11, parent=10)
    assert recoveries([horse[0], ended, horse[1], again]) == []
    assert recoveries(horse) == []
