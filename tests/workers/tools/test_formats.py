"""The report formats, on reports that real tools wrote."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from bot.domain.findings import Severity
from bot.errors import ToolFailed
from workers.tools import checkstyle, gitlab, junit, rdjson, sarif

from .recordings import PYTHON, reader, recorded

NONE = reader({})


def test_sarif_of_ruff() -> None:
    findings = sarif.parse(recorded("ruff.sarif"), reader({"a.py": PYTHON}))
    seen = {(f.tool, f.rule, f.path, f.start_line, f.severity) for f in findings}
    assert ("ruff", "F821", "/checkout/a.py", 8, Severity.HIGH) in seen
    unused = next(f for f in findings if f.rule == "F401")
    assert unused.replacement == ""
    assert unused.url == "https://docs.astral.sh/ruff/rules/unused-import"


def test_sarif_of_zizmor() -> None:
    findings = sarif.parse(recorded("zizmor.sarif"), NONE)
    assert {f.path for f in findings} == {"./.github/workflows/w.yml"}
    trigger = next(f for f in findings if f.rule == "zizmor/dangerous-triggers")
    assert (trigger.tool, trigger.start_line) == ("zizmor", 2)


def _log(result: Mapping[str, object], rule: Mapping[str, object] | None = None, **run: object) -> str:
    driver = {"name": "scan", "rules": [{"id": "R1", **(rule or {})}]}
    return json.dumps({"version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": [result], **run}]})


def test_sarif_rule_by_index_gives_severity_cwe_and_message() -> None:
    rule = {
        "properties": {"security-severity": "9.8", "tags": ["security", "external/cwe/cwe-079"]},
        "messageStrings": {"default": {"text": "{0} reaches {1}"}},
    }
    [finding] = sarif.parse(_log({"ruleIndex": 0, "message": {"id": "default", "arguments": ["a", "b"]}}, rule), NONE)
    assert (finding.rule, finding.severity, finding.cwe) == ("R1", Severity.CRITICAL, 79)
    assert (finding.message, finding.path, finding.start_line) == ("a reaches b", "", None)


@pytest.mark.parametrize(
    ("result", "severity"),
    [({}, Severity.MEDIUM), ({"level": "error"}, Severity.HIGH), ({"level": "note"}, Severity.INFO)],
)
def test_sarif_level(result: dict[str, object], severity: Severity) -> None:
    [finding] = sarif.parse(_log({"ruleId": "R1", "message": {"text": "m"}, **result}), NONE)
    assert finding.severity is severity


def test_sarif_rules_default_level_counts_where_a_result_has_none() -> None:
    rule = {"defaultConfiguration": {"level": "error"}}
    [finding] = sarif.parse(_log({"ruleId": "R1/sub", "message": {"text": "m"}}, rule), NONE)
    assert (finding.rule, finding.severity) == ("R1/sub", Severity.HIGH)


@pytest.mark.parametrize(
    "result",
    [{"kind": "pass"}, {"kind": "notApplicable"}, {"suppressions": [{"kind": "inSource"}]}],
)
def test_sarif_results_that_are_no_failures(result: dict[str, object]) -> None:
    assert sarif.parse(_log({"message": {"text": "m"}, **result}), NONE) == []


def test_sarif_rejected_suppression_suppresses_nothing() -> None:
    result = {"message": {"text": "m"}, "suppressions": [{"kind": "external", "status": "rejected"}]}
    assert len(sarif.parse(_log(result), NONE)) == 1


def test_sarif_uri_is_decoded_and_resolved_against_its_base() -> None:
    artifact = {"uri": "a%20b.py", "uriBaseId": "SRC"}
    result = {"message": {"text": "m"}, "locations": [{"physicalLocation": {"artifactLocation": artifact}}]}
    bases = {"SRC": {"uri": "file:///checkout/src/"}}
    [finding] = sarif.parse(_log(result, originalUriBaseIds=bases), NONE)
    assert finding.path == "/checkout/src/a b.py"
    [finding] = sarif.parse(_log(result), NONE)
    assert finding.path == "a b.py"


def test_sarif_findings_span_leaves_out_the_line_after() -> None:
    region = {"startLine": 3, "startColumn": 1, "endLine": 5, "endColumn": 1}
    location = {"physicalLocation": {"artifactLocation": {"uri": "a.py"}, "region": region}}
    [finding] = sarif.parse(_log({"message": {"text": "m"}, "locations": [location]}), NONE)
    assert (finding.start_line, finding.end_line) == (3, 4)


def test_checkstyle_of_shellcheck() -> None:
    findings = checkstyle.parse(recorded("shellcheck.checkstyle.xml"), NONE)
    first = findings[0]
    assert (first.path, first.start_line, first.start_column) == ("t.sh", 2, 6)
    assert (first.rule, first.severity) == ("ShellCheck.SC2086", Severity.INFO)
    assert any("(or export if used externally)" in f.message for f in findings)


def test_checkstyle_of_javas_checkstyle() -> None:
    path = "src/main/java/shop/Cart.java"
    text = "package shop;\n\nimport java.util.*;\n\npublic class Cart {\n\tprivate int total_price;\n"
    findings = checkstyle.parse(recorded("checkstyle.xml"), reader({path: text}))
    assert {f.path for f in findings} == {f"/checkout/{path}"}
    assert [f.start_column for f in findings] == [17, 1, None, None, None, 32, 9]
    assert [(f.rule, f.start_line, f.severity) for f in findings] == [
        ("AvoidStarImport", 3, Severity.MEDIUM),
        ("MissingJavadocType", 5, Severity.INFO),
        ("FileTabCharacter", 6, Severity.MEDIUM),
        ("Indentation", 6, Severity.MEDIUM),
        ("MemberName", 6, Severity.MEDIUM),
        ("ArrayTypeStyle", 8, Severity.MEDIUM),
        ("NeedBraces", 9, Severity.HIGH),
    ]
    pages = {f.rule: f.url for f in findings}
    assert pages["FileTabCharacter"] == "https://checkstyle.org/checks/whitespace/filetabcharacter.html"
    assert pages["ArrayTypeStyle"] == "https://checkstyle.org/checks/misc/arraytypestyle.html"
    assert pages["Indentation"] == "https://checkstyle.org/checks/misc/indentation.html"


@pytest.mark.parametrize(
    "text",
    [
        '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><checkstyle><file name="&a;"/></checkstyle>',
        '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><checkstyle>&b;</checkstyle>',
        "<checkstyle>",
        "<other/>",
        "",
    ],
)
def test_hostile_or_broken_xml_is_refused(text: str) -> None:
    with pytest.raises(ToolFailed):
        checkstyle.parse(text, NONE)
    with pytest.raises(ToolFailed):
        junit.parse(text)


def test_rdjson_of_ruff() -> None:
    findings = rdjson.parse(recorded("ruff.rdjson"), reader({"a.py": PYTHON}))
    unused = next(f for f in findings if f.rule == "F401")
    assert (unused.tool, unused.path, unused.start_line, unused.replacement) == ("ruff", "/checkout/a.py", 1, "")
    assert unused.severity is Severity.MEDIUM


def test_rdjsonl_is_one_diagnostic_a_line() -> None:
    lines = [
        {"message": "wrong", "location": {"path": "a.py", "range": {"start": {"line": 2}}}, "severity": "ERROR"},
        {
            "message": "tidy",
            "location": {"path": "a.py", "range": {"start": {"line": 1}}},
            "severity": 2,
            "source": {"name": "tidy"},
            "code": {"value": "T1", "url": "https://example.com/T1"},
            "suggestions": [{"range": {"start": {"line": 1}, "end": {"line": 1}}, "text": "import sys"}],
        },
    ]
    text = "\n".join(json.dumps(line) for line in lines) + "\n\n"
    wrong, tidy = rdjson.parse_lines(text, reader({"a.py": PYTHON}))
    assert (wrong.start_line, wrong.severity, wrong.tool) == (2, Severity.HIGH, "rdjson")
    assert (tidy.tool, tidy.rule, tidy.severity, tidy.replacement) == ("tidy", "T1", Severity.MEDIUM, "import sys")


def test_nothing_is_a_clean_rdjsonl_but_no_other_report() -> None:
    assert rdjson.parse_lines("", NONE) == []
    for parse in (rdjson.parse, sarif.parse):
        with pytest.raises(ToolFailed):
            parse("", NONE)


@pytest.mark.parametrize("text", ["{}", "[]", "[" * 100_000, '{"runs": 1}', "null", '"text"', "{"])
def test_what_is_no_report_is_told_so(text: str) -> None:
    for parse in (rdjson.parse, rdjson.parse_lines, sarif.parse):
        with pytest.raises(ToolFailed):
            parse(text, NONE)


def test_junit_of_pytest() -> None:
    cases = junit.parse(recorded("pytest.junit.xml"))
    by_name = {case.name: case for case in cases}
    assert {case.name: case.status for case in cases} == {
        "test_ok": "passed",
        "test_fails": "failed",
        "test_param[1]": "passed",
        "test_param[2]": "failed",
        "test_error": "error",
        "test_skipped": "skipped",
    }
    assert (by_name["test_fails"].path, by_name["test_fails"].line) == ("test_x.py", 12)
    assert by_name["test_fails"].frames == (("test_x.py", 5), ("test_x.py", 13))


def test_junit_failure_lies_where_the_assertion_is() -> None:
    read = reader({"test_x.py": "line\n" * 40})
    first, second, error = junit.parse_findings(recorded("pytest.junit.xml"), read)
    assert (first.path, first.start_line, first.severity) == ("test_x.py", 5, Severity.HIGH)
    assert first.message == "test_fails failed: AssertionError: x should be two\nassert 1 == 2"
    assert second.rule == "test_x.TestGroup.test_param[2]"
    assert 'failed on setup with "RuntimeError: boom"' in error.message


def test_junit_failure_outside_the_repository_belongs_to_no_file() -> None:
    assert {f.path for f in junit.parse_findings(recorded("pytest.junit.xml"), NONE)} == {""}


def test_junit_of_node() -> None:
    [passed, failed] = junit.parse(recorded("node.junit.xml"))
    assert (passed.status, failed.status) == ("passed", "failed")
    assert failed.frames[0] == ("/checkout/a.test.js", 3)


def test_junit_suites_nest() -> None:
    text = (
        '<testsuites><testsuite name="a"><testsuite name="b"><testcase name="x" time="1,000.5"/></testsuite>'
        '<testcase name="y"><skipped/></testcase></testsuite></testsuites>'
    )
    assert [(case.name, case.status, case.seconds) for case in junit.parse(text)] == [
        ("x", "passed", 1000.5),
        ("y", "skipped", 0.0),
    ]


def test_gitlabs_code_quality_of_ruff() -> None:
    findings = gitlab.parse(recorded("ruff.gitlab"), NONE)
    seen = {(f.rule, f.path, f.start_line, f.end_line, f.start_column, f.severity) for f in findings}
    assert ("F401", "a.py", 1, 1, 8, Severity.MEDIUM) in seen
    assert ("F821", "a.py", 8, 8, 12, Severity.MEDIUM) in seen


@pytest.mark.parametrize(
    ("severity", "ours"), [("info", Severity.INFO), ("minor", Severity.LOW), ("blocker", Severity.CRITICAL)]
)
def test_gitlabs_code_quality_by_lines(severity: str, ours: Severity) -> None:
    issue = {"description": "m", "severity": severity, "location": {"path": "a", "lines": {"begin": 3, "end": 4}}}
    [finding] = gitlab.parse(json.dumps([issue]), NONE)
    assert (finding.start_line, finding.end_line, finding.severity) == (3, 4, ours)


def test_what_is_no_list_is_no_code_quality_report() -> None:
    with pytest.raises(ToolFailed, match="no code quality report"):
        gitlab.parse("{}", NONE)
