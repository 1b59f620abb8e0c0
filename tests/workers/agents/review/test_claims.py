"""What a reviewer claims, and what becomes of it."""

from __future__ import annotations

from pathlib import Path

from bot.demo.model import MODEL
from bot.demo.reviewer import demo_reviewer
from bot.domain.findings import Outcome
from config.prompt_files import load_prompt
from tests.workers.agents.review.reviewing import (
    AFTER,
    BEFORE,
    OFF_BY_ONE,
    QUIET,
    claim,
    review,
    run,
    says,
    work_on,
)
from tests.workers.stage import SANDBOX, plant


def test_a_planted_bug_is_found_on_its_line_with_a_fix(tmp_path: Path) -> None:
    plant(tmp_path, AFTER)
    work = work_on(BEFORE, AFTER, checkout=lambda: tmp_path)
    result, _ = review(work, demo_reviewer(OFF_BY_ONE, summary="It sums values."), sandbox=SANDBOX)
    assert result.outcome is Outcome.FINDINGS
    (finding,) = result.findings
    assert (finding.path, finding.start_line, finding.rule) == ("sum.py", 3, "review/bug")
    assert finding.replacement == "    for index in range(len(values)):"
    assert (finding.scenario, finding.confidence) == ("total([5]) is 0 instead of 5.", 0.95)
    assert result.covered == ("sum.py",)
    assert result.summary == "It sums values. Read 1 of 1 file."
    assert result.cost
    assert result.cost.model == MODEL


def test_a_suggestion_that_would_not_parse_is_dropped_and_counted_and_what_it_is_about_is_kept(tmp_path: Path) -> None:
    plant(tmp_path, AFTER)
    work = work_on(BEFORE, AFTER, checkout=lambda: tmp_path)
    claims = [claim(replacement="    for index in range(len(values):"), claim(line=4, replacement="        pass")]
    result, _ = review(work, [says(*claims)], sandbox=SANDBOX)
    assert [finding.replacement for finding in result.findings] == [None, "        pass"]
    assert result.summary.endswith("1 suggested change dropped: the file would not parse, or nothing here can tell.")


def test_a_mended_bug_is_not_found() -> None:
    mended = {"sum.py": AFTER["sum.py"].replace("range(1, ", "range(0, ")}
    result, _ = review(work_on(BEFORE, mended), demo_reviewer(OFF_BY_ONE, summary="It sums values."))
    assert result.outcome is Outcome.CLEAN
    assert result.findings == ()


def test_without_a_model_it_is_not_run_and_says_what_would_run_it() -> None:
    result = run(work_on(BEFORE, AFTER), None)
    assert (result.outcome, result.reason) == (Outcome.NOT_RUN, "no model is configured")
    assert "OPENAI_API_KEY" in result.remedy


def test_nothing_for_a_reviewer_is_skipped_with_the_reason() -> None:
    result, server = review(work_on({}, {"yarn.lock": "x\n"}), QUIET)
    assert (result.outcome, result.reason) == (Outcome.SKIPPED, "no changed file is for a reviewer (a lock file)")
    assert [one.what for one in result.not_covered] == ["yarn.lock"]
    assert not server.requests


def test_an_empty_change_is_skipped() -> None:
    assert review(work_on(BEFORE, BEFORE), QUIET)[0].outcome is Outcome.SKIPPED


def test_what_is_not_a_reviewers_business_is_named_but_not_a_gap() -> None:
    result, _ = review(work_on({}, {"a.py": "x\n", "yarn.lock": "x\n"}), QUIET)
    assert result.outcome is Outcome.CLEAN
    assert [(one.what, one.why) for one in result.not_covered] == [("yarn.lock", "a lock file")]


def test_claims_about_no_line_of_the_diff_are_dropped_and_counted() -> None:
    result, _ = review(work_on(BEFORE, AFTER), [says(claim(), claim(line=1), claim(path="other.py"), claim(line=400))])
    assert [finding.start_line for finding in result.findings] == [3]
    assert "3 claims dropped" in result.summary


def test_findings_come_the_gravest_first() -> None:
    claims = [
        claim(line=4, severity="low"),
        claim(line=3, severity="critical"),
        claim(line=4, severity="high", title="B"),
    ]
    result, _ = review(work_on(BEFORE, AFTER), [says(*claims)])
    assert [finding.severity.value for finding in result.findings] == ["critical", "high", "low"]


def test_the_prompt_is_the_system_message_and_instructions_are_passed_on() -> None:
    settings = {"instructions": "Prefer small functions.", "rules": [{"paths": "*.py", "instructions": "No floats."}]}
    _, server = review(work_on(BEFORE, AFTER, settings, title="Sum"), QUIET)
    system, user = server.requests[0].body["messages"]
    assert system["content"] == load_prompt("review")
    assert "Prefer small functions." in user["content"]
    assert "No floats." in user["content"]
    assert "Title: Sum" in user["content"]


def test_the_repositorys_model_is_asked() -> None:
    result, server = review(work_on(BEFORE, AFTER, {"model": "other"}), QUIET, models=(MODEL, "other"))
    assert server.requests[0].model == "other"
    assert result.cost
    assert result.cost.model == "other"


def test_claims_that_lack_a_field_are_asked_for_again_and_then_dropped_and_counted() -> None:
    lacking = {name: given for name, given in claim(line=4).items() if name != "confidence"}
    mended, server = review(work_on(BEFORE, AFTER), [says(claim(), lacking), says(claim(), claim(line=4))])
    assert len(mended.findings) == 2
    assert "findings.1.confidence" in server.requests[1].text
    twice, _ = review(work_on(BEFORE, AFTER), [says(claim(), lacking), says(claim(), lacking, claim(scenario=" "))])
    assert [finding.start_line for finding in twice.findings] == [3]
    assert twice.outcome is Outcome.FINDINGS
    assert "2 claims dropped: not in the form that was asked for, twice." in twice.summary
