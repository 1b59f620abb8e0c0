"""What the test agent finds out about failures: flaky or broken, new or not; and what else a run tells."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import pytest

from bot.domain.findings import AgentResult, Comparison, CoveredFile, FlakyTest, Outcome, Severity
from workers.agent import Kit
from workers.agents.live import Live
from workers.file_memory import FileMemory
from workers.registry import AGENTS

from ..stage import SANDBOX, Files, Stage, plant
from . import projects
from .test_suites import RUNNERS, needs

AGENT = AGENTS["test"]()

FLAKY = """\
import pathlib


def test_ok():
    pass


def test_flaky():
    seen = pathlib.Path(__file__).with_name("seen")
    again = seen.exists()
    seen.touch()
    assert again


def test_broken():
    assert 1 == 2
"""
TWO = "def test_old():\n    assert 1 == 2\n\n\ndef test_young():\n    assert %s\n"


def stage(
    root: Path, head: Files, base: Files | None = None, trees: tuple[str, str] = ("b", "h"), **settings: object
) -> Stage:
    return Stage(
        root, head, base, settings=settings, memory=FileMemory(root.parent / "memory", "octo/shop"), trees=trees
    )


def messages(result: AgentResult) -> dict[str, str]:
    return {finding.rule.rpartition(".")[2]: finding.message for finding in result.findings}


def test_what_passes_when_it_is_run_again_alone_is_flaky_and_its_rate_is_remembered(tmp_path: Path) -> None:
    first = stage(tmp_path / "1", {"test_a.py": FLAKY}).run(AGENT)
    assert first.tests is not None
    assert first.tests.flaky == (FlakyTest(name="test_a.test_flaky", times=1, runs=1),)
    assert (first.tests.passed, first.tests.failed) == (1, 2)
    severities = {finding.rule: finding.severity for finding in first.findings}
    assert severities == {"test_a.test_flaky": Severity.MEDIUM, "test_a.test_broken": Severity.HIGH}
    assert messages(first)["test_flaky"].endswith("(flaky: it passed when it was run again alone)")
    stage(tmp_path / "2", {"test_a.py": "def test_ok():\n    pass\n"}).run(AGENT)
    third = stage(tmp_path / "3", {"test_a.py": FLAKY}).run(AGENT)
    assert third.tests is not None
    assert third.tests.flaky == (FlakyTest(name="test_a.test_flaky", times=2, runs=3),)
    assert "so in 2 of the last 3 runs" in messages(third)["test_flaky"]


def test_what_is_in_quarantine_is_told_and_counted_but_fails_nothing(tmp_path: Path) -> None:
    result = stage(tmp_path / "1", {"test_a.py": FLAKY}, quarantine=["test_a.*"]).run(AGENT)
    assert result.outcome is Outcome.FINDINGS
    assert {finding.severity for finding in result.findings} == {Severity.INFO}
    assert "in quarantine" in messages(result)["test_broken"]
    assert result.tests is not None
    assert (result.tests.failed, result.tests.quarantined) == (2, 2)


def test_failures_are_compared_with_what_was_noted_of_the_base(tmp_path: Path) -> None:
    mended = "\n\ndef test_mended():\n    assert %s\n"
    before = {"test_a.py": TWO % "1" + mended % "0"}
    stage(tmp_path / "1", before, trees=("", "b")).run(AGENT)
    two = stage(tmp_path / "2", {"test_a.py": TWO % "0" + mended % "1"}, before)
    result = two.run(AGENT)
    assert result.tests is not None
    assert result.tests.compared == Comparison(new=1, before=1, fixed=1)
    assert messages(result)["test_old"].endswith("(it fails without this change, too)")
    assert "without" not in messages(result)["test_young"]
    assert "pytest: what failed, on the base" not in two.said


def test_where_nothing_was_noted_the_failed_tests_are_run_on_the_bases_files(tmp_path: Path) -> None:
    one = stage(tmp_path / "1", {"test_a.py": TWO % "0"}, {"test_a.py": TWO % "1"})
    result = one.run(AGENT)
    assert result.tests is not None
    assert result.tests.compared == Comparison(new=1, before=1)
    assert "pytest: what failed, on the base" in one.said
    assert not (tmp_path / "1/base/__pycache__").exists()


@needs("cmake", "ctest", "cc")
def test_what_is_built_is_built_anew_from_the_bases_files(tmp_path: Path) -> None:
    """The head's programs would fail on the base just as well."""
    lists = "cmake_minimum_required(VERSION 3.13)\nproject(shop C)\nenable_testing()\n"
    lists += "add_executable(adds adds.c)\nadd_test(NAME adds COMMAND adds)\n"
    base = {"CMakeLists.txt": lists, "adds.c": "int main(void) { return 0; }\n"}
    result = stage(tmp_path / "1", {**base, "adds.c": "int main(void) { return 1; }\n"}, base).run(AGENT)
    assert result.tests is not None
    assert result.tests.compared == Comparison(new=1)
    broken = {**base, "adds.c": "int main(void) { return nothing; }\n"}
    result = stage(tmp_path / "2", {**base, "adds.c": "int main(void) { return 1; }\n"}, broken).run(AGENT)
    assert result.tests is not None
    assert result.tests.compared == Comparison(new=1, why_not="the base does not build")


def test_a_runner_that_cannot_run_some_alone_says_so(tmp_path: Path) -> None:
    report = '<testsuite><testcase name="a"><failure message="no"/></testcase></testsuite>'
    files = {"a": ""}
    result = stage(tmp_path / "1", files, files, run=f"echo '{report}' > o.xml; exit 1", junit=["o.xml"]).run(AGENT)
    assert "not run again to tell flaky from broken: the test command cannot run these alone" in result.summary
    assert result.tests is not None
    assert result.tests.compared == Comparison(new=1, why_not="the test command cannot run these alone")


def test_what_the_change_concerns_comes_first_and_the_rest_only_when_that_passes(tmp_path: Path) -> None:
    passing, other = "def test_a():\n    pass\n", "def test_b():\n    pass\n"
    one = stage(tmp_path / "1", {"test_a.py": passing, "test_b.py": other}, {"test_b.py": other}, first="affected")
    result = one.run(AGENT)
    assert one.said == ["pytest", "pytest: what the change concerns", "pytest"]
    assert result.tests is not None
    assert (result.outcome, result.tests.passed) == (Outcome.CLEAN, 2)
    failing = {"test_a.py": "def test_a():\n    assert 0\n", "test_b.py": other}
    result = stage(tmp_path / "2", failing, {"test_b.py": other}, first="affected").run(AGENT)
    assert result.outcome is Outcome.PARTIAL
    assert [(one.what, one.why) for one in result.not_covered] == [
        ("the other tests", "tests that the change concerns failed (agents.test.first)")
    ]
    assert [finding.path for finding in result.findings] == ["test_a.py"]


GO_BASE = {"go.mod": projects.GO["go.mod"], "cart/cart_test.go": projects.GO["cart/cart_test.go"]}
GO_MORE = {**GO_BASE, "tax/tax_test.go": 'package tax\n\nimport "testing"\n\nfunc TestTax(t *testing.T) {}\n'}
CARGO_MORE = {
    "Cargo.toml": '[workspace]\nmembers = ["cart", "tax"]\nresolver = "2"\n',
    "cart/Cargo.toml": projects.RUST["Cargo.toml"].replace("shop", "cart"),
    "tax/Cargo.toml": projects.RUST["Cargo.toml"].replace("shop", "tax"),
    "tax/src/lib.rs": "#[test]\nfn tax() {}\n",
}
JS_TESTS = {
    "cart.js": "exports.sum = (a, b) => a + b;\n",
    "cart.test.js": "const { sum } = require('./cart');\ntest('adds', () => expect(sum(1, 2)).toBe(3));\n",
    "tax.test.js": "test('taxes', () => {});\n",
}
JEST = {**JS_TESTS, "package.json": projects.JEST["package.json"]}
VITEST = {
    "cart.js": "export const sum = (a, b) => a + b;\n",
    "cart.test.js": "import { expect, test } from 'vitest';\nimport { sum } from './cart.js';\n"
    "test('adds', () => expect(sum(1, 2)).toBe(3));\n",
    "tax.test.js": "import { test } from 'vitest';\ntest('taxes', () => {});\n",
    "package.json": '{"scripts": {"test": "vitest run"}, "type": "module"}',
}
# By runner: the project, the file that a change breaks and how, and what is needed.
AFFECTED: dict[str, tuple[Mapping[str, str], str, str]] = {
    "go test": ({**GO_MORE, "cart/cart.go": projects.GO["cart/cart.go"].replace("a - b", "a + b")}, "cart/cart.go",
                projects.GO["cart/cart.go"]),
    "cargo test": ({**CARGO_MORE, "cart/src/lib.rs": "#[test]\nfn adds() {}\n"}, "cart/src/lib.rs",
                   "#[test]\nfn adds() {\n    panic!();\n}\n"),
    "jest": (JEST, "cart.js", JEST["cart.js"].replace("+", "-")),
    "vitest": (VITEST, "cart.js", VITEST["cart.js"].replace("+", "-")),
}  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("go test", marks=needs("go")),
        pytest.param("cargo test", marks=needs("cargo")),
        *(pytest.param(name, marks=needs("npm", also=RUNNERS.is_dir())) for name in ("jest", "vitest")),
    ],
)
def test_what_a_change_concerns_comes_first_of(tmp_path: Path, name: str) -> None:
    """The other package or file is not run, for what is concerned fails."""
    base, path, broken = AFFECTED[name]
    plant(tmp_path / "head", {})
    if name in ("jest", "vitest"):
        (tmp_path / "head/node_modules").symlink_to(RUNNERS)
    stage = Stage(tmp_path, {**base, path: broken}, base, settings={"first": "affected"}, timeout=120)
    result = stage.run(AGENT)
    suite = "npm test" if name in ("jest", "vitest") else name
    assert stage.said[:2] == [suite, f"{suite}: what the change concerns"]
    assert suite not in stage.said[2:]
    assert result.outcome is Outcome.PARTIAL, result
    assert [one.what for one in result.not_covered] == ["the other tests"]
    assert result.tests is not None
    assert (result.tests.failed, result.tests.passed) == (1, 1 if name == "go test" else 0), result.log
    assert "tax" not in str(result.findings)


def test_coverage_of_the_changed_lines(tmp_path: Path) -> None:
    base = {"cart.py": "A = 1\n"}
    head = {"cart.py": "A = 1\nB = 2\nC = 3\n", "test_a.py": "def test_a():\n    pass\n"}
    report = "SF:cart.py\nDA:1,0\nDA:2,1\nDA:3,0\nend_of_record\nSF:elsewhere.py\nDA:1,0\nend_of_record\n"
    run = f"printf '{report}' > lcov.info"
    one = stage(tmp_path / "1", head, base, run=f"{run}; python3 -m pytest -p no:cacheprovider")
    result = one.run(AGENT)
    assert result.tests is not None, result
    assert result.tests.coverage == (CoveredFile(path="cart.py", lines=2, missed=(3,)),)
    broken = stage(tmp_path / "2", head, base, run="echo hello > cov.xml", coverage=["cov.xml"]).run(AGENT)
    assert broken.not_covered[0].what == "a coverage report"


def test_slow_tests_are_named(tmp_path: Path) -> None:
    text = "import time\n\n\ndef test_slow():\n    time.sleep(0.2)\n\n\ndef test_quick():\n    pass\n"
    result = stage(tmp_path / "1", {"test_a.py": text}).run(AGENT)
    assert result.tests is not None
    assert [one.name for one in result.tests.slowest] == ["test_a.test_slow"]


def test_what_tests_print_is_in_the_log_before_they_have_ended(tmp_path: Path) -> None:
    """These wait for it to be there."""

    class Answering(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "has begun" in record.getMessage():
                (tmp_path / "head/heard").touch()

    wait = "echo has begun; for i in $(seq 100); do [ -e heard ] && exit 0; sleep 0.1; done; exit 1"
    log, answering = logging.getLogger("workers.agents.live"), Answering()
    before = log.level
    log.setLevel(logging.INFO)
    log.addHandler(answering)
    try:
        result = Stage(tmp_path, {"a.txt": ""}, settings={"run": wait}).run(AGENT)
    finally:
        log.removeHandler(answering)
        log.setLevel(before)
    assert result.outcome is Outcome.CLEAN, result


def test_what_runs_is_heard_while_it_runs_without_secrets_and_bounded(caplog: pytest.LogCaptureFixture) -> None:
    said: list[str] = []
    now = [0.0]
    kit = Kit(SANDBOX, None, said.append, lambda text: text.replace("hush", "***"))
    live = Live(kit, lambda: now[0])
    with caplog.at_level(logging.INFO, "workers.agents.live"):
        live.begin("pytest")
        for number in range(6_000):
            now[0] += 0.01
            live.hear(f"hush {number} {'x' * 500}")
    assert said[0] == "pytest"
    assert [len(text) < 200 and text.startswith("pytest: *** ") for text in said[1:]] == [True] * 5
    assert len(caplog.records) == 5_000
    assert "hush" not in caplog.text
    assert "what follows is not logged" in caplog.records[-1].getMessage()
