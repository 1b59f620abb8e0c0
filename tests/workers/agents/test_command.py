"""The command agent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bot.domain.findings import AgentResult, Outcome, Severity
from workers.registry import AGENTS

from ..stage import Stage, Watching

AGENT = AGENTS["command"]()

CHECKSTYLE = (
    '<checkstyle><file name="{path}"><error line="1" severity="warning" message="m" source="r"/></file></checkstyle>'
)


def look(root: Path, run: str, timeout: float = 30, **settings: object) -> AgentResult:
    return Stage(root, {"a.py": "x\n"}, settings={"run": run, **settings}, timeout=timeout).run(AGENT)


def test_a_forks_command_is_not_executed(tmp_path: Path) -> None:
    sandbox = Watching()
    result = Stage(tmp_path, {"a": ""}, settings={"run": "true"}, trusted=False, sandbox=sandbox).run(AGENT)
    assert (result.outcome, sandbox.commands) == (Outcome.NOT_RUN, [])


def test_exit_code_zero_is_clean(tmp_path: Path) -> None:
    result = look(tmp_path, "echo fine")
    assert (result.outcome, result.log) == (Outcome.CLEAN, "fine")


def test_another_exit_code_is_one_finding_with_the_tail(tmp_path: Path) -> None:
    result = look(tmp_path, "seq 100000; echo broken link; exit 2", format="exit-code")
    assert result.outcome is Outcome.FINDINGS
    [finding] = result.findings
    assert finding.message == "The command ended with exit code 2: broken link"
    assert finding.severity is Severity.HIGH
    assert finding.evidence.endswith("broken link")
    assert len(finding.evidence) < 10_000


def test_a_report_on_standard_output(tmp_path: Path) -> None:
    result = look(tmp_path, f"echo '{CHECKSTYLE.format(path='./a.py')}'; exit 1", format="checkstyle")
    assert result.outcome is Outcome.FINDINGS
    assert [(f.path, f.start_line, f.rule) for f in result.findings] == [("a.py", 1, "r")]


def test_lines_as_errorformat_describes_them(tmp_path: Path) -> None:
    result = look(
        tmp_path, "echo a.py:1:2: odd; echo noise; exit 1", format="errorformat", errorformat=["%f:%l:%c: %m"]
    )
    assert [(f.path, f.start_line, f.message) for f in result.findings] == [("a.py", 1, "odd")]


def test_a_line_format_that_is_not_known_is_an_error_that_names_it(tmp_path: Path) -> None:
    result = look(tmp_path, "echo a.py", format="errorformat", errorformat=["%q"])
    assert (result.outcome, "'%q' is not known" in result.reason) == (Outcome.ERROR, True)


def test_a_report_in_a_file(tmp_path: Path) -> None:
    log = {"runs": [{"tool": {"driver": {"name": "x"}}, "results": [{"ruleId": "r", "message": {"text": "m"}}]}]}
    result = look(
        tmp_path, f"mkdir out; echo '{json.dumps(log)}' > 'out/r[1].sarif'", format="sarif", output="out/r[1].sarif"
    )
    assert [(f.tool, f.rule) for f in result.findings] == [("x", "r")]


@pytest.mark.parametrize(
    ("style", "report"),
    [
        ("checkstyle", "<checkstyle/>"),
        ("sarif", '{"runs": []}'),
        ("rdjson", '{"diagnostics": []}'),
        ("rdjsonl", ""),
        ("junit", "<testsuites/>"),
    ],
)
def test_an_empty_report_is_clean_only_with_a_good_end(tmp_path: Path, style: str, report: str) -> None:
    assert look(tmp_path, f"echo '{report}'", format=style).outcome is Outcome.CLEAN
    result = look(tmp_path, f"echo '{report}'; echo crashed >&2; exit 1", format=style)
    assert result.outcome is Outcome.ERROR
    assert "crashed" in result.reason


@pytest.mark.parametrize("style", ["checkstyle", "sarif", "rdjson", "rdjsonl", "junit"])
def test_nonsense_is_an_error_even_with_a_good_end(tmp_path: Path, style: str) -> None:
    result = look(tmp_path, "echo nonsense", format=style)
    assert result.outcome is Outcome.ERROR
    assert "nonsense" in result.reason
    assert result.remedy


def test_failed_tests_are_findings(tmp_path: Path) -> None:
    report = '<testsuite><testcase name="t"><failure message="no">a.py:1: E</failure></testcase></testsuite>'
    result = look(tmp_path, f"echo '{report}'; exit 1", format="junit")
    assert [(f.path, f.start_line, f.message) for f in result.findings] == [("a.py", 1, "t failed: no")]


def test_an_output_file_that_was_not_written_is_an_error(tmp_path: Path) -> None:
    result = look(tmp_path, "true", format="sarif", output="none.sarif")
    assert result.outcome is Outcome.ERROR
    assert "did not write none.sarif" in result.reason


def test_an_output_file_from_before_is_not_believed(tmp_path: Path) -> None:
    files = {"old.sarif": '{"runs": []}'}
    settings = {"run": "true", "format": "sarif", "output": "old.sarif"}
    assert Stage(tmp_path, files, settings=settings).run(AGENT).outcome is Outcome.ERROR


@pytest.mark.parametrize("output", ["../x.sarif", "/etc/passwd", "a/../../x"])
def test_an_output_file_outside_is_refused(tmp_path: Path, output: str) -> None:
    result = look(tmp_path, "true", format="sarif", output=output)
    assert result.outcome is Outcome.ERROR
    assert "no path inside the repository" in result.reason


def test_an_output_file_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "outside").write_text('{"runs": []}')
    result = look(tmp_path, f"ln -s {tmp_path}/outside r.sarif", format="sarif", output="r.sarif")
    assert result.outcome is Outcome.ERROR


def test_an_output_file_that_is_too_large_is_refused(tmp_path: Path) -> None:
    result = look(tmp_path, "head -c 20000001 /dev/zero > r.sarif", format="sarif", output="r.sarif")
    assert result.outcome is Outcome.ERROR
    assert "larger than" in result.reason


def test_findings_outside_the_tree_belong_to_the_whole_run(tmp_path: Path) -> None:
    result = look(tmp_path, f"echo '{CHECKSTYLE.format(path='/etc/passwd')}'", format="checkstyle")
    assert [(f.path, f.start_line) for f in result.findings] == [("", None)]


def test_setup_comes_first_and_may_fail(tmp_path: Path) -> None:
    assert look(tmp_path, "test -f made", setup="touch made").outcome is Outcome.CLEAN
    result = look(tmp_path, "true", setup="exit 1")
    assert (result.outcome, result.reason) == (Outcome.ERROR, "setup ended with exit code 1: it printed nothing")


def test_time_and_missing_programs(tmp_path: Path) -> None:
    assert look(tmp_path, "sleep 60", timeout=0.5).outcome is Outcome.TIMED_OUT
    assert look(tmp_path, "no-such-program").outcome is Outcome.ERROR


def test_too_much_output_to_be_a_report_is_an_error(tmp_path: Path) -> None:
    result = look(tmp_path, "yes | head -c 9000000", format="rdjsonl")
    assert result.outcome is Outcome.ERROR
    assert "`output`" in result.reason


def test_secrets_are_taken_out(tmp_path: Path) -> None:
    result = look(tmp_path, "echo never-to-be-shown; exit 1")
    assert result.findings
    assert "never-to-be-shown" not in result.model_dump_json()
