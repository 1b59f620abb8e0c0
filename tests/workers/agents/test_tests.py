"""The test agent, with real test runners."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from bot.domain import findings as values
from bot.domain.findings import AgentResult, Outcome, Severity
from workers.agents import test as subject
from workers.agents.suites.suite import Tree
from workers.agents.suites.table import KINDS
from workers.registry import AGENTS

from ..stage import Files, Stage, Watching, plant

AGENT = AGENTS["test"]()
PYTEST = f"{sys.executable} -m pytest -p no:cacheprovider"

PASSING = "def test_ok():\n    assert True\n"
EXTENDING = "import pytest\n\n\n@pytest.fixture\ndef odd(odd):\n    return odd\n\n"
FAILING = """\
import pytest


def check(value):
    assert value == 2, "value should be two"


def test_ok():
    pass


def test_fails():
    check(1)


@pytest.mark.skip
def test_skipped():
    pass
"""


def look(root: Path, files: Files, timeout: float = 60, trusted: bool = True, **settings: object) -> AgentResult:
    return Stage(root, files, settings=settings, timeout=timeout, trusted=trusted).run(AGENT)


def found(root: Path, *kinds: str) -> list[str]:
    """What the rows of the table find, as `kind: folder`."""
    tree = Tree(root)
    return [f"{kind.name}: {place.folder}" for kind in KINDS if kind.name in kinds for place in kind.find(tree)]


def test_a_forks_code_is_not_executed(tmp_path: Path) -> None:
    sandbox = Watching()
    stage = Stage(tmp_path, {"test_a.py": PASSING}, trusted=False, sandbox=sandbox, settings={"setup": "true"})
    result = stage.run(AGENT)
    assert result.outcome is Outcome.NOT_RUN
    assert result.reason == "what a stranger wrote is executed only after somebody with write access has approved it"
    assert result.remedy
    assert sandbox.commands == []


def test_pytest_is_detected_and_its_failures_lie_on_their_lines(tmp_path: Path) -> None:
    stage = Stage(tmp_path, {"tests/test_a.py": FAILING})
    result = stage.run(AGENT)
    assert result.outcome is Outcome.FINDINGS
    assert result.tests == values.Tests(passed=1, failed=1, skipped=1)
    [finding] = result.findings
    assert (finding.path, finding.start_line, finding.severity) == ("tests/test_a.py", 5, Severity.HIGH)
    assert (finding.tool, finding.rule) == ("pytest", "tests.test_a.test_fails")
    assert "value should be two" in finding.message
    assert "check(1)" in finding.evidence
    assert "1 failed" in result.log
    assert stage.said == ["pytest", "pytest: what failed, once more"]


def test_passing_tests_are_clean(tmp_path: Path) -> None:
    result = look(tmp_path, {"test_a.py": PASSING})
    assert result.outcome is Outcome.CLEAN
    assert result.tests == values.Tests(passed=1)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pytest.ini", "[pytest]\n"),
        ("pyproject.toml", "[tool.pytest.ini_options]\n"),
        ("setup.cfg", "[tool:pytest]\n"),
        ("tox.ini", "[pytest]\n"),
        ("conftest.py", ""),
        ("tests/unit/test_b.py", PASSING),
        ("src/shop/tests/test_b.py", PASSING),
        ("shop/cart_test.py", "import unittest\n\n\nclass Cart(unittest.TestCase):\n    pass\n"),
        ("src/shop/conftest.py", ""),
    ],
)
def test_signs_of_pytest(tmp_path: Path, name: str, text: str) -> None:
    plant(tmp_path, {name: text})
    assert found(tmp_path, "pytest", "unittest")


@pytest.mark.parametrize("name", ["pyproject.toml", "tests/helpers.py", "setup.cfg", "app/test.py"])
def test_no_signs_of_pytest(tmp_path: Path, name: str) -> None:
    plant(tmp_path, {name: "[tool.other]\n"})
    assert not found(tmp_path, "pytest", "unittest")


@pytest.mark.parametrize("name", ["node_modules/gyp/test_a.py", "venv/lib/test_a.py", ".tox/py311/test_a.py"])
def test_other_peoples_tests_are_no_sign(tmp_path: Path, name: str) -> None:
    plant(tmp_path, {name: PASSING})
    assert not found(tmp_path, "pytest", "unittest")


def test_a_script_that_is_called_like_a_test_is_none(tmp_path: Path) -> None:
    plant(tmp_path, {"scripts/test_connection.py": "import sys\n\nprint(sys.argv)\n"})
    assert not found(tmp_path, "pytest", "unittest")


def test_configuration_above_the_tree_is_not_honoured(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --no-such-option\n")
    assert look(tmp_path, {"test_a.py": PASSING}).outcome is Outcome.CLEAN


def test_a_package_below_src_can_be_imported(tmp_path: Path) -> None:
    files = {
        "src/shop/__init__.py": "X = 1\n",
        "tests/test_a.py": "from shop import X\n\n\ndef test_x():\n    assert X\n",
    }
    assert look(tmp_path, files).outcome is Outcome.CLEAN


def test_the_repositorys_own_interpreter_comes_first(tmp_path: Path) -> None:
    files = {"test_a.py": PASSING}
    setup = (
        "mkdir -p .venv/bin && printf '#!/bin/sh\\necho mine >> used\\nexec %s \"$@\"\\n' "
        f"{sys.executable} > .venv/bin/python && chmod +x .venv/bin/python"
    )
    assert look(tmp_path, files, setup=setup).outcome is Outcome.CLEAN
    assert (tmp_path / "head" / "used").exists()


def test_modules_that_are_not_installed_are_no_findings_but_a_missing_setup(tmp_path: Path) -> None:
    result = look(tmp_path, {"test_a.py": "import not_to_be_found.sub\n\n\ndef test_x():\n    pass\n"})
    assert result.outcome is Outcome.ERROR
    assert "not installed: not_to_be_found" in result.reason
    assert "agents.test.setup" in result.remedy


@pytest.mark.parametrize(
    ("text", "plugin"),
    [
        ("def test_x(httpbin):\n    pass\n", "pytest-httpbin"),
        (f"{EXTENDING}\ndef test_x(odd):\n    pass\n", "the plugin with the fixture odd"),
        (f"{EXTENDING}\ndef test_x(odd):\n    pass\n".replace("odd", "httpbin"), "pytest-httpbin"),
    ],
)
def test_plugins_that_are_not_installed_make_it_partial_and_no_findings(tmp_path: Path, text: str, plugin: str) -> None:
    result = look(tmp_path, {"test_a.py": text, "test_b.py": FAILING})
    assert result.outcome is Outcome.PARTIAL
    assert [f.path for f in result.findings] == ["test_b.py"]
    assert result.reason == f"1 test did not run, for want of what is not installed: {plugin}"
    assert "agents.test.setup" in result.remedy
    assert [(one.what, one.why) for one in result.not_covered] == [("1 test", f"not installed: {plugin}")]


def test_a_test_that_found_no_network_hides_no_other(tmp_path: Path) -> None:
    """What it prints is what package managers print; that they found nothing shows before the first test."""
    files = {
        "test_a.py": "def test_net():\n    raise OSError('Temporary failure in name resolution')\n\n\n"
        "def test_sum():\n    assert 1 + 1 == 3\n"
    }
    result = Stage(tmp_path, files).run(AGENT)
    assert result.outcome is Outcome.FINDINGS
    assert {finding.rule for finding in result.findings} == {"test_a.test_net", "test_a.test_sum"}


def test_a_fixture_that_is_gone_is_the_repositorys_own_fault(tmp_path: Path) -> None:
    result = look(tmp_path, {"test_a.py": "def test_x(cart):\n    pass\n"})
    assert (result.outcome, len(result.findings)) == (Outcome.FINDINGS, 1)


def test_a_missing_module_of_the_repository_is_its_own_fault(tmp_path: Path) -> None:
    files = {"shop/__init__.py": "", "test_a.py": "import shop.cart\n\n\ndef test_x():\n    pass\n"}
    result = look(tmp_path, files)
    assert result.outcome is Outcome.FINDINGS
    [finding] = result.findings
    assert (finding.path, finding.start_line) == ("test_a.py", 1)
    assert "No module named 'shop.cart'" in finding.message


def test_no_suite_at_all_is_skipped_with_the_remedy(tmp_path: Path) -> None:
    result = look(tmp_path, {"app.py": "X = 1\n"})
    assert (result.outcome, result.reason) == (Outcome.SKIPPED, "no test suite was found")
    assert result.remedy == "Set agents.test.run in .github/assay.yml."


def test_a_suite_without_tests_is_not_green(tmp_path: Path) -> None:
    assert look(tmp_path / "1", {"conftest.py": ""}).outcome is Outcome.SKIPPED
    result = look(tmp_path / "2", {"app.py": ""}, run=PYTEST)
    assert result.outcome is Outcome.NOT_RUN
    assert "no tests were collected" in result.reason
    hidden = "echo '<testsuites/>' > out.xml"
    assert look(tmp_path / "3", {"app.py": ""}, run=hidden, junit=["out.xml"]).outcome is Outcome.NOT_RUN


def test_broken_pytest_configuration_is_an_error(tmp_path: Path) -> None:
    result = look(tmp_path, {"pytest.ini": "[pytest]\naddopts = --no-such-option\n", "test_a.py": PASSING})
    assert result.outcome is Outcome.ERROR
    assert "exit code 4" in result.reason
    assert result.remedy


def test_make_test_is_detected_where_nothing_else_is(tmp_path: Path) -> None:
    makefile = "CC := cc\ntest-all:\n\ttrue\ntest: build\n\t@echo made; exit 3\nbuild:\n"
    stage = Stage(tmp_path, {"Makefile": makefile})
    result = stage.run(AGENT)
    assert result.outcome is Outcome.FINDINGS
    [finding] = result.findings
    assert "make test failed (exit code 2)" in finding.message
    assert "made" in finding.evidence
    assert stage.said == ["make test"]
    assert look(tmp_path / "2", {"Makefile": "test := 1\ntests:\n"}).outcome is Outcome.SKIPPED


@pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")
def test_npm_test_is_detected_beside_pytest(tmp_path: Path) -> None:
    files = {
        "package.json": '{"scripts": {"test": "node --test"}}',
        "a.test.js": "require('node:test')('adds', () => require('node:assert').strictEqual(1, 2));\n",
        "test_a.py": PASSING,
        "Makefile": "test:\n\tfalse\n",
    }
    stage = Stage(tmp_path, files)
    result = stage.run(AGENT)
    assert stage.said == ["pytest", "npm test", "npm test: what failed, once more"]
    assert result.outcome is Outcome.FINDINGS
    assert [f.tool for f in result.findings] == ["npm test"]
    assert result.tests == values.Tests(passed=1, failed=1)


@pytest.mark.parametrize(
    "package",
    ['{"scripts": {"test": "echo \\"Error: no test specified\\" && exit 1"}}', "{}", "[]", "{", '{"scripts": 1}'],
)
def test_packages_without_tests(tmp_path: Path, package: str) -> None:
    assert look(tmp_path, {"package.json": package}).outcome is Outcome.SKIPPED


@pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")
def test_nodes_own_test_runner_reports_every_test(tmp_path: Path) -> None:
    files = {
        "package.json": json.dumps({"scripts": {"test": "node --test"}}),
        "sum.test.js": (
            "const test = require('node:test');\nconst assert = require('node:assert');\n\n"
            "test('sums', () => {});\ntest('is wrong', () => {\n  assert.equal(1 + 1, 3);\n});\n"
        ),
    }
    result = look(tmp_path, files)
    assert result.tests == values.Tests(passed=1, failed=1)
    assert [(f.path, f.start_line, f.tool) for f in result.findings] == [("sum.test.js", 6, "npm test")]
    assert "is wrong" in result.log


def test_a_runner_that_is_missing_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    files = {"package.json": '{"scripts": {"test": "x"}}', "test_a.py": PASSING}
    result = Stage(tmp_path, files, sandbox=Watching("npm")).run(AGENT)
    assert result.outcome is Outcome.ERROR
    assert "cannot be started" in result.reason
    assert result.remedy
    assert result.tests == values.Tests(passed=1)


def test_a_configured_command_runs_in_a_shell_after_its_setup(tmp_path: Path) -> None:
    stage = Stage(tmp_path, {"a": ""}, settings={"setup": "echo ready > state", "run": "grep ready state && test $CI"})
    result = stage.run(AGENT)
    assert (result.outcome, result.tests) == (Outcome.CLEAN, None)
    assert stage.said == ["setup", "the test command"]


def test_what_setup_puts_into_home_is_there_for_the_tests(tmp_path: Path) -> None:
    setup = 'cd "$HOME" && mkdir -p .local/bin && printf "#!/bin/sh\\n" > .local/bin/mine && chmod +x .local/bin/mine'
    assert look(tmp_path, {"a": ""}, setup=setup, run="mine").outcome is Outcome.CLEAN


def test_a_configured_pytest_reports_without_being_told_to(tmp_path: Path) -> None:
    result = look(tmp_path, {"test_a.py": FAILING}, run=f"cd . && {PYTEST} -q")
    assert result.outcome is Outcome.FINDINGS
    assert result.tests == values.Tests(passed=1, failed=1, skipped=1)
    assert [(f.path, f.start_line) for f in result.findings] == [("test_a.py", 5)]


def test_a_bad_exit_without_a_report_is_one_finding(tmp_path: Path) -> None:
    result = look(tmp_path, {"a": ""}, run="echo it went wrong >&2; exit 3")
    assert result.outcome is Outcome.FINDINGS
    [finding] = result.findings
    assert finding.message == "the test command failed (exit code 3): it went wrong"
    assert (finding.severity, finding.path) == (Severity.HIGH, "")


def test_a_bad_exit_beside_a_report_without_failures_is_a_finding_too(tmp_path: Path) -> None:
    result = look(tmp_path, {"test_a.py": PASSING}, run=f"{PYTEST}; exit 9")
    assert result.outcome is Outcome.FINDINGS
    assert [f.rule for f in result.findings] == ["exit-code"]
    assert result.tests == values.Tests(passed=1)


REPORT = (
    '<testsuite><testcase name="a"/>'
    '<testcase name="b"><failure message="no">a.py:1: in b</failure></testcase></testsuite>'
)


def test_junit_reports_of_the_command_are_read(tmp_path: Path) -> None:
    run = f"mkdir -p out && echo '{REPORT}' > out/one.xml && echo '{REPORT}' > out/two.xml; exit 1"
    result = look(tmp_path, {"a.py": "x\n"}, run=run, junit=["out/*.xml"])
    assert result.tests == values.Tests(passed=2, failed=2)
    assert [(f.path, f.start_line, f.message) for f in result.findings] == [("a.py", 1, "b failed: no")] * 2


def test_a_report_that_was_there_before_is_not_believed(tmp_path: Path) -> None:
    result = look(tmp_path, {"out.xml": REPORT}, run="true", junit=["out.xml"])
    assert (result.outcome, result.tests) == (Outcome.CLEAN, None)


def test_a_report_that_leads_outside_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "outside.xml").write_text(REPORT)
    run = f"ln -s {tmp_path}/outside.xml link.xml"
    assert look(tmp_path, {"a": ""}, run=run, junit=["*.xml"]).tests is None
    for glob in ("../*.xml", "/etc/*.xml", "a/../../x.xml"):
        result = look(tmp_path, {"a": ""}, run="true", junit=[glob])
        assert (result.outcome, result.remedy) == (
            Outcome.ERROR,
            "Correct agents.test.junit or agents.test.coverage in .github/assay.yml.",
        )


def test_a_broken_report_is_named(tmp_path: Path) -> None:
    result = look(tmp_path, {"a": ""}, run="echo '<html' > out.xml", junit=["out.xml"])
    assert result.outcome is Outcome.PARTIAL
    assert [one.what for one in result.not_covered] == ["a report of the tests"]


def test_a_setup_that_fails_is_an_error_in_its_own_words(tmp_path: Path) -> None:
    result = look(tmp_path, {"test_a.py": PASSING}, setup="echo no such package >&2; exit 4")
    assert result.outcome is Outcome.ERROR
    assert result.reason == "setup ended with exit code 4: no such package"
    assert "agents.test.setup" in result.remedy


def test_tests_that_take_too_long_are_timed_out_with_what_they_said(tmp_path: Path) -> None:
    result = look(tmp_path, {"a": ""}, timeout=1, run="echo one down; sleep 60")
    assert result.outcome is Outcome.TIMED_OUT
    assert "agents.test.timeout" in result.remedy
    assert "one down" in result.log


def test_a_setup_that_takes_too_long_is_timed_out(tmp_path: Path) -> None:
    assert look(tmp_path, {"a": ""}, timeout=1, setup="sleep 60", run="true").outcome is Outcome.TIMED_OUT


def test_a_command_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    result = look(tmp_path, {"a": ""}, run="no-such-runner --fast")
    assert result.outcome is Outcome.ERROR
    assert "not found" in result.reason
    assert "agents.test.setup" in result.remedy


def test_a_command_ended_by_a_signal_is_an_error(tmp_path: Path) -> None:
    assert look(tmp_path, {"a": ""}, run="kill -9 $$").outcome is Outcome.ERROR


def test_secrets_are_taken_out_of_logs_and_findings(tmp_path: Path) -> None:
    text = "def test_x():\n    assert 'never-to-be-shown' == 'x'\n"
    result = look(tmp_path, {"test_a.py": text})
    assert result.findings
    assert "never-to-be-shown" not in result.model_dump_json()


def test_output_is_bounded(tmp_path: Path) -> None:
    result = look(tmp_path, {"a": ""}, run="yes | head -c 1000000; exit 1")
    assert len(result.log) < 10_000
    assert len(result.model_dump_json()) < 40_000


def test_the_module_holds_one_agent() -> None:
    assert isinstance(AGENT, subject.TestAgent)
