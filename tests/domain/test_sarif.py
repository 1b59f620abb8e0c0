from __future__ import annotations

import json
from typing import Any

from hypothesis import given

from bot.demo.sarif_rules import complaints
from bot.domain.findings import AgentResult, Finding, NotCovered, Outcome, Severity
from bot.domain.sarif import to_analyses, to_sarif
from tests.domain.hostile import HOSTILE
from tests.domain.runs import clean_run, failing_run, found, hostile_run, make_agent, make_finding, make_run


def sarif_run(finding: Finding) -> Any:
    return json.loads(to_sarif(make_run(make_agent("lint", found(finding)))))["runs"][0]


def test_every_result_names_its_rule() -> None:
    log = json.loads(to_sarif(failing_run()))
    (run,) = log["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert log["version"] == "2.1.0"
    assert len(rules) == len(set(rules))
    assert all(rules[result["ruleIndex"]] == result["ruleId"] for result in run["results"])
    assert [(result["ruleId"], result["level"]) for result in run["results"]][:2] == [
        ("detect-secrets/secret", "error"),
        ("pytest/test_total", "error"),
    ]


def test_a_result_has_place_fingerprint_and_baseline() -> None:
    finding = make_finding(path="a b.py", start_line=3, end_line=5, start_column=2, end_column=9)
    (result,) = sarif_run(finding)["results"]
    assert result["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": "a%20b.py", "uriBaseId": "SRCROOT"},
        "region": {"startLine": 3, "endLine": 5, "startColumn": 2, "endColumn": 9},
    }
    assert result["partialFingerprints"] == {
        "assay/v1": finding.fingerprint,
        "primaryLocationLineHash": f"{finding.fingerprint}:1",
    }
    assert result["baselineState"] == "new"


def test_what_was_there_before_is_unchanged() -> None:
    assert sarif_run(make_finding(new=False))["results"][0]["baselineState"] == "unchanged"


def test_a_finding_without_a_place_is_told_beside_the_results() -> None:
    """Code scanning refuses a whole file for one result that has none."""
    run = sarif_run(make_finding("everything is late", path="", start_line=None))
    assert run["results"] == []
    (note,) = run["invocations"][0]["toolExecutionNotifications"]
    assert (note["level"], note["message"]["text"]) == ("warning", "lint: ruff F401: everything is late")


def test_what_was_dismissed_is_suppressed() -> None:
    (result,) = sarif_run(make_finding(dismissed="ignored by alice"))["results"]
    assert result["suppressions"] == [{"kind": "external", "justification": "ignored by alice"}]


def test_an_analysis_has_a_category_an_agent_and_the_worst_findings() -> None:
    mild, grave = make_finding(severity=Severity.LOW), make_finding("worse", severity=Severity.CRITICAL, start_line=9)
    dismissed = make_finding("no", start_line=5, dismissed="by alice")
    lint = make_agent("lint", found(mild, dismissed, grave))
    security = make_agent("security", found(make_finding(agent="security", rule="B1", severity=Severity.HIGH, cwe=78)))
    one, other = json.loads(to_analyses(make_run(lint, security), (lint, security), 1))["runs"]
    assert [run["automationDetails"]["id"] for run in (one, other)] == ["assay/lint/", "assay/security/"]
    assert [result["message"]["text"] for result in one["results"]] == ["worse"]
    (rule,) = other["tool"]["driver"]["rules"]
    assert rule["properties"] == {"tags": ["security", "external/cwe/cwe-078"], "security-severity": "8.0"}
    assert "properties" not in one["tool"]["driver"]["rules"][0]


@given(HOSTILE)
def test_code_scanning_takes_what_strangers_wrote(text: str) -> None:
    run = hostile_run(text)
    agents = [agent for agent in run.shown if agent.result]
    assert complaints(json.loads(to_analyses(run, agents, 100))) == []


def test_a_replacement_is_a_fix_of_whole_lines() -> None:
    (result,) = sarif_run(make_finding(start_line=3, end_line=4, replacement="x"))["results"]
    (change,) = result["fixes"][0]["artifactChanges"]
    assert change["replacements"] == [
        {
            "deletedRegion": {"startLine": 3, "startColumn": 1, "endLine": 5, "endColumn": 1},
            "insertedContent": {"text": "x\n"},
        }
    ]


def test_a_message_holds_no_link() -> None:
    text = sarif_run(make_finding("[click](https://evil.example)"))["results"][0]["message"]["text"]
    assert text == "[click] (https://evil.example)"


def test_an_agent_that_could_not_finish_makes_the_execution_unsuccessful() -> None:
    gap = NotCovered(what="a.py", why="too large")
    run = make_run(make_agent("lint", AgentResult(outcome=Outcome.ERROR, reason="it crashed", not_covered=(gap,))))
    (invocation,) = json.loads(to_sarif(run))["runs"][0]["invocations"]
    assert invocation["executionSuccessful"] is False
    assert [(note["level"], note["message"]["text"]) for note in invocation["toolExecutionNotifications"]] == [
        ("error", "lint: error: it crashed"),
        ("warning", "lint: not looked at: a.py: too large"),
    ]


def test_the_tools_stand_there_with_their_versions() -> None:
    result = AgentResult(outcome=Outcome.CLEAN, tools={"ruff": "0.8.1", "gofmt": "", "z\u202e": "1\n2"})
    log = json.loads(to_sarif(make_run(make_agent("lint", result))))
    *named, odd = log["runs"][0]["tool"]["extensions"]
    assert named == [{"name": "gofmt"}, {"name": "ruff", "version": "0.8.1"}]
    assert "\u202e" not in odd["name"]
    assert odd["version"] == "1 2"
    many = AgentResult(outcome=Outcome.CLEAN, tools={f"tool {number}": "1" for number in range(150)})
    assert complaints(json.loads(to_sarif(make_run(make_agent("lint", many))))) == []


def test_a_clean_run_has_no_results() -> None:
    run = json.loads(to_sarif(clean_run()))["runs"][0]
    assert run["results"] == []
    assert run["invocations"][0]["executionSuccessful"] is True


@given(HOSTILE)
def test_hostile_words_make_no_other_json(text: str) -> None:
    for result in json.loads(to_sarif(hostile_run(text)))["runs"][0]["results"]:
        assert "](" not in result["message"]["text"]
