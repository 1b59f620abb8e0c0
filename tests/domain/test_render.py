from __future__ import annotations

import random

import pytest
from hypothesis import given

from bot.domain import findings as values
from bot.domain import render_tests, wording
from bot.domain.findings import (
    AgentResult,
    Comparison,
    Cost,
    CoveredFile,
    FlakyTest,
    NotCovered,
    Origin,
    Outcome,
    Severity,
    TimedTest,
)
from bot.domain.plan import Plan
from bot.domain.render import ANNOTATION_LIMIT, annotation, checks
from bot.domain.run import AgentState, Phase, Run
from bot.domain.verdict import Conclusion
from bot.domain.views import TEXT_LIMIT, CheckView
from config.problems import Problem
from tests.domain.hostile import HOSTILE, live_parts
from tests.domain.runs import (
    KEY,
    clean,
    clean_run,
    failing_run,
    found,
    hostile_run,
    make_agent,
    make_finding,
    make_run,
    of_tests,
)

OURS = [f"{kind}_{end}" for kind in ("table", "thead", "tbody", "tr", "th", "td") for end in ("open", "close")]
OURS += [f"{kind}_{end}" for kind in ("bullet_list", "list_item", "strong", "em") for end in ("open", "close")]
OURS += ["fence"]


def by_name(run: Run) -> dict[str, CheckView]:
    return {view.name: view for view in checks(run)}


def title_of(agent: AgentState) -> str:
    return checks(make_run(agent))[0].title


def test_there_is_a_check_per_agent_and_the_joined_one_last() -> None:
    names = [view.name for view in checks(failing_run())]
    assert names == ["assay / test", "assay / lint", "assay / security", "assay / review", "assay"]


def test_a_failing_run() -> None:
    views = by_name(failing_run())
    assert views["assay"].conclusion is Conclusion.FAILURE
    assert views["assay"].title == "Failed: 3 findings to mend"
    assert views["assay / test"].title == "41 passed, 1 failed"
    assert views["assay / lint"].title == "1 new finding, 1 blocks"
    assert views["assay / review"].conclusion is Conclusion.NEUTRAL


def test_a_clean_run() -> None:
    views = by_name(clean_run())
    assert views["assay"].conclusion is Conclusion.SUCCESS
    assert views["assay / lint"].title == "Clean: 2 files, ruff 0.17.5"
    assert not any(view.annotations for view in views.values())
    assert [action.identifier for action in views["assay"].actions] == ["rerun"]


@pytest.mark.parametrize(
    ("agent", "title"),
    [
        (make_agent("a", phase=Phase.WAITING, after=("b", "c")), "Waiting for b, c"),
        (make_agent("a", phase=Phase.QUEUED), "Queued"),
        (make_agent("a", phase=Phase.RUNNING), "Running"),
        (make_agent("a", phase=Phase.RUNNING, progress="3 of 9 files"), "3 of 9 files"),
        (make_agent("a", AgentResult(outcome=Outcome.NOT_RUN, reason="it is a fork")), "Not run: it is a fork"),
        (make_agent("a", AgentResult(outcome=Outcome.TIMED_OUT)), "Timed out"),
        (
            make_agent("a", AgentResult(outcome=Outcome.PARTIAL, reason="one tool is away")),
            "Partly looked at: one tool is away",
        ),
        (make_agent("a", found(make_finding(severity=Severity.LOW))), "1 new finding, none blocks"),
        (make_agent("a", found(make_finding(new=False))), "1 finding, already there"),
        (make_agent("a", AgentResult(outcome=Outcome.CLEAN, summary="nothing odd")), "Clean: nothing odd"),
        (make_agent("a", of_tests(3)), "3 passed"),
        (make_agent("a", of_tests(1, errors=2, skipped=3)), "1 passed, 2 in error, 3 skipped"),
    ],
)
def test_titles_say_how_it_stands(agent: AgentState, title: str) -> None:
    assert title_of(agent) == title


def test_statuses_follow_the_phases() -> None:
    agents = [make_agent(phase.value, clean() if phase is Phase.DONE else None, phase) for phase in Phase]
    assert [view.status for view in checks(make_run(*agents))] == [
        "queued",
        "queued",
        "in_progress",
        "completed",
        "in_progress",
    ]


def test_an_unfinished_run_has_no_conclusion_and_no_buttons() -> None:
    joined = by_name(make_run(make_agent("lint", clean()), make_agent("test", phase=Phase.RUNNING)))["assay"]
    assert (joined.conclusion, joined.completed_at, joined.actions) == (None, None, ())
    assert joined.title == "1 of 2 agents done"


def test_external_ids_name_run_agent_and_attempt() -> None:
    run = make_run(make_agent("lint", clean(), attempt=3), attempt=2)
    assert [view.external_id for view in checks(run)] == [f"{KEY}#lint#3", f"{KEY}##2"]


def test_findings_are_annotated_the_worst_first() -> None:
    agent = make_agent(
        "lint",
        found(
            make_finding(severity=Severity.LOW),
            make_finding(severity=Severity.CRITICAL, start_line=9),
            make_finding(severity=Severity.MEDIUM, start_line=None),
            make_finding(new=False, start_line=5),
            make_finding(path="", start_line=None),
        ),
    )
    noted = checks(make_run(agent))[0].annotations
    assert [(note.level, note.start_line) for note in noted] == [("failure", 9), ("warning", 1), ("notice", 3)]


@pytest.mark.parametrize("beyond", [0, 1, 300])
def test_of_very_many_the_worst_are_annotated_and_the_next_are_listed(beyond: int) -> None:
    chance = random.Random(beyond)
    every = [
        make_finding(path=f"{chance.choice('abc')}.py", start_line=chance.randint(1, 400), severity=severity)
        for severity in chance.choices(list(Severity), k=ANNOTATION_LIMIT + beyond)
    ]
    view = checks(make_run(make_agent("lint", found(*every))))[0]
    order = sorted(every, key=lambda one: (-one.severity.rank, one.path, one.start_line or 0))
    assert view.annotations == tuple(map(annotation, order[:ANNOTATION_LIMIT]))
    listed = [line for line in view.text.splitlines() if line.startswith("- ")]
    assert len(listed) == min(beyond, 201)
    assert all(one.where in line for one, line in zip(order[ANNOTATION_LIMIT:], listed[:200], strict=False))
    assert ("- and 100 more" in listed) is (beyond == 300)


def test_findings_already_there_are_listed_not_annotated() -> None:
    view = by_name(failing_run())["assay / security"]
    assert [note.path for note in view.annotations] == ["shop/settings.py"]
    assert "`old.py:3` Use of assert" in view.text


def test_annotations_are_bounded_and_the_rest_is_listed() -> None:
    view = checks(make_run(make_agent("lint", found(*(make_finding(start_line=n) for n in range(1, 1301))))))[0]
    assert len(view.annotations) == ANNOTATION_LIMIT
    assert "and 100 more" in view.text
    assert len(view.text) <= TEXT_LIMIT


def test_an_annotation_has_columns_only_on_one_line() -> None:
    one = annotation(make_finding(start_column=4, end_column=2))
    two = annotation(make_finding(start_column=4, end_column=2, end_line=5))
    assert (one.start_column, one.end_column, two.start_column, two.end_column) == (4, 4, None, None)
    assert (two.start_line, two.end_line) == (3, 5)
    assert annotation(make_finding(end_line=1)).end_line == 3


def test_an_annotation_says_what_and_why() -> None:
    note = annotation(make_finding("too long", evidence="line 1\nline 2", scenario="At 80.", rule="E501" * 100))
    assert note.message == "too long\n\nWhen: At 80.\n\nline 1\nline 2"
    assert len(note.title) == 255


@pytest.mark.parametrize("outcome", [Outcome.ERROR, Outcome.TIMED_OUT, Outcome.CANCELLED])
def test_what_failed_can_be_run_again(outcome: Outcome) -> None:
    joined = by_name(make_run(make_agent("lint", AgentResult(outcome=outcome))))["assay"]
    assert [action.identifier for action in joined.actions] == ["rerun_failed", "rerun"]
    assert all(len(a.label) <= 20 and len(a.description) <= 40 and len(a.identifier) <= 20 for a in joined.actions)


def test_a_bad_configuration_is_a_failed_check_on_its_lines() -> None:
    problem = Problem(file=".github/assay.yml", line=4, column=3, key="agents.lint.fail_on", message="not `hgih`")
    config, joined = checks(make_run(plan=Plan(problems=(problem,))))
    assert (config.name, config.status, config.conclusion) == ("assay / config", "completed", Conclusion.FAILURE)
    assert config.title == "1 problem in .github/assay.yml"
    assert "| `.github/assay.yml` line 4 | `agents.lint.fail_on` | not `hgih` |" in config.summary
    assert [(note.path, note.start_line) for note in config.annotations] == [(".github/assay.yml", 4)]
    assert (joined.name, joined.conclusion, joined.actions) == ("assay", Conclusion.FAILURE, ())


def test_a_good_configuration_has_no_check() -> None:
    assert "assay / config" not in by_name(clean_run())


def test_the_summary_says_what_was_not_looked_at_and_what_it_cost() -> None:
    result = AgentResult(
        outcome=Outcome.PARTIAL,
        reason="zizmor could not start",
        not_covered=tuple(NotCovered(what=f"{n}.yml", why="no zizmor") for n in range(6)),
        cost=Cost(model="gpt", input_tokens=1000, output_tokens=234, usd=0.02),
    )
    run = make_run(make_agent("security", result), plan=Plan(notices=("Not acted on: notify.",)))
    summary = by_name(run)["assay"].summary
    assert "- security: zizmor could not start" in summary
    assert "- security: `0.yml`, `1.yml`, `2.yml`, `3.yml` and 2 more: no zizmor" in summary
    assert "Not acted on: notify." in summary
    assert "12 s, &#36;0.0200 (gpt, 1,234 tokens)" in summary


def test_the_end_of_the_output_is_kept() -> None:
    text = checks(make_run(make_agent("test", of_tests(1, log="start" + "x" * 90_000 + "end"))))[0].text
    assert "end\n```" in text
    assert "start" not in text
    assert len(text) <= TEXT_LIMIT


@given(HOSTILE)
def test_hostile_words_stay_inert(text: str) -> None:
    for view in checks(hostile_run(text)):
        for part in (view.summary, view.text):
            assert live_parts(part, *OURS) == []
            assert "<!--" not in part
        assert "\n" not in view.title
        assert all("\u202e" not in note.message + note.title for note in view.annotations)


def test_texts_are_bounded_whatever_is_said() -> None:
    for view in checks(hostile_run("<&$`@a " * 20_000)):
        assert len(view.title) <= 255
        assert max(len(view.summary), len(view.text)) <= TEXT_LIMIT
        assert all(len(note.message.encode()) < 64_000 for note in view.annotations)


def test_what_was_cancelled_for_a_newer_head_leads_to_its_checks_and_what_was_done_does_not() -> None:
    cancelled = make_agent("lint", AgentResult(outcome=Outcome.CANCELLED, reason="it moved on"))
    run = make_run(make_agent("test", clean()), cancelled, superseded_by="d" * 40)
    test, lint, joined = checks(run, "https://github.example/")
    link = f"Superseded by [`ddddddd`](https://github.example/{run.key.repository}/commit/{'d' * 40}/checks)."
    assert link in lint.summary
    assert link in joined.summary
    assert "Superseded" not in test.summary
    assert "Superseded by `ddddddd`." in checks(run)[1].summary
    done = make_run(make_agent("test", clean()), superseded_by="d" * 40)
    assert "Superseded" not in by_name(done)["assay"].summary


def test_what_was_taken_over_says_from_where() -> None:
    taken = clean(origin=Origin(sha="d" * 40, at=1_700_000_000.0))
    assert title_of(make_agent("lint", taken)) == (
        "Clean: 2 files, ruff 0.17.5; taken over from ddddddd, 2023-11-14 22:13 UTC"
    )


def test_a_test_runs_check_tells_what_is_known_of_its_failures() -> None:
    tests = values.Tests(
        passed=42,
        failed=4,
        compared=Comparison(new=2, before=1, fixed=1),
        flaky=(FlakyTest(name="test_a.test_`x`", times=2, runs=9),),
        quarantined=1,
        slowest=(TimedTest(name="test_b", seconds=3.2),),
        coverage=(CoveredFile(path="a.py", lines=6, missed=(3, 4, 5, 9)), CoveredFile(path="b.py", lines=2)),
    )
    words = "42 passed, 4 failed (2 new failures, 1 failing before, 1 fixed, 1 flaky, 1 in quarantine)"
    assert wording.tests_words(tests) == words
    facts = render_tests.tests_facts(tests)
    assert facts["Coverage"] == "4 of 8 changed lines (50%)"
    text = "\n".join(render_tests.tests_sections(tests))
    assert "3-5, 9" in text
    assert "in 2 of the last 9 runs" in text
    assert "3.2 s" in text
    unknown = tests.model_copy(update={"compared": Comparison(new=4, why_not="no time was left"), "flaky": ()})
    assert wording.tests_words(unknown) == "42 passed, 4 failed (1 in quarantine, not compared with the base)"
    assert render_tests.tests_facts(unknown)["Not compared"] == "no time was left"
    assert "".join(render_tests.tests_sections(values.Tests(passed=1))) == ""
