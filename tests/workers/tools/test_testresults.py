"""Results of tests, from what real runners wrote and printed."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from bot.errors import ToolFailed
from workers.agent import Case, Completed
from workers.tools import cargo, coverage, gotest, junit, pyunit, tap
from workers.tools.testresults import FILES, PRINTED, unfinished

from .recordings import reader, recorded


def printed(form: str, stdout: str = "", stderr: str = "") -> list[Case]:
    return PRINTED[form](Completed(1, stdout, stderr, 0.1))


# What was read, by recording: counts, and the failures' places and words. go 1.19, cargo 1.97, jest 29, vitest 2, mocha
# 10, RSpec 3.12, PHPUnit 9.6, ctest 3.25, surefire 2.22, Python 3.11, node 20, Test::More 1.3, Bats
# 1.8, automake 1.16,
# Gradle 4.4.1.
RECORDINGS = {
    "go": (printed("go", recorded("go.jsonl"), recorded("go.stderr")), "1 passed, 2 failed, 1 error, 1 skipped"),
    "cargo": (cargo.parse(recorded("cargo.txt")), "2 passed, 2 failed, 1 skipped"),
    "unittest": (pyunit.parse(recorded("unittest.txt")), "2 passed, 2 failed, 2 error, 1 skipped"),
    "jest": (FILES["jest"](recorded("jest.json")), "1 passed, 1 failed, 1 error, 2 skipped"),
    "vitest": (FILES["jest"](recorded("vitest.json")), "1 passed, 1 failed, 1 error, 1 skipped"),
    "mocha": (FILES["mocha"](recorded("mocha.json")), "1 passed, 1 failed, 1 skipped"),
    "rspec": (FILES["rspec"](recorded("rspec.json")), "1 passed, 1 failed, 1 skipped"),
    "phpunit": (junit.parse(recorded("phpunit.junit.xml")), "2 passed, 1 failed, 1 error, 1 skipped"),
    "ctest": (junit.parse(recorded("ctest.junit.xml")), "1 passed, 1 failed, 1 error"),
    "gradle": (junit.parse(recorded("gradle.junit.xml")), "1 passed, 1 failed, 1 skipped"),
    "surefire": (junit.parse(recorded("surefire.junit.xml")), "1 passed, 1 failed, 1 error, 1 skipped"),
    "node's TAP": (tap.parse(recorded("node.tap")), "1 passed, 1 failed, 1 skipped"),
    "mocha's TAP": (tap.parse(recorded("mocha.tap")), "1 passed, 1 failed, 1 skipped"),
    "perl's TAP": (tap.parse(recorded("perl.tap")), "1 passed, 1 failed, 1 skipped"),
    "bats": (tap.parse(recorded("bats.tap")), "1 passed, 1 failed, 1 skipped"),
    "hooks of bats": (tap.parse(recorded("bats.hooks.tap")), "1 passed, 3 error"),
    "automake": (printed("automake", recorded("automake.txt")), "1 passed, 1 failed, 1 error, 2 skipped"),
}


@pytest.mark.parametrize(("cases", "counts"), RECORDINGS.values(), ids=RECORDINGS.keys())
def test_every_test_is_counted(cases: list[Case], counts: str) -> None:
    by = Counter(case.status for case in cases)
    assert ", ".join(f"{by[word]} {word}" for word in ("passed", "failed", "error", "skipped") if by[word]) == counts


FAILURES = {
    "go": ("TestSum/small_numbers", "got -1, want 3", ("example.com/shop/cart/cart_test.go", 14)),
    "cargo": ("tests::adds", "assertion `left == right` failed: it should add", ("src/lib.rs", 21)),
    "unittest": ("test_adds", "AssertionError: -1 != 3 : should add", ("/checkout/test_cart.py", 10)),
    "jest": ("cart adds", "Error: expect(received).toBe(expected)", ("/checkout/cart.test.js", 8)),
    "vitest": ("cart adds", "AssertionError: expected -1 to be 3", ("/checkout/cart.test.js", 10)),
    "mocha": ("cart adds", "Expected values to be strictly equal:", ("cart.spec.js", 7)),
    "rspec": ("cart adds", "expected: 3", ("/checkout/spec/cart_spec.rb", 7)),
    "gradle": ("adds", "java.lang.AssertionError: it should add expected:<3>", ("org/junit/Assert.java", 89)),
    "surefire": ("adds", "it should add expected:<3> but was:<-1>", ("acme/CartTest.java", 16)),
    "node's TAP": ("adds", "-1 == 3", ("/checkout/n.test.js", 4)),
    "bats": ("adds (1 + 2)", """`is "$(sum 1 2)" 3' failed""", ("test/cart.bats", 8)),
    "hooks of bats": ("setup_file", "`false' failed", ("test/a.bats", 2)),
    "automake": ("tests/adds.sh", "tests/adds.sh:4: got -1, want 3", ("tests/adds.sh", 4)),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_has_its_words_and_its_place(name: str) -> None:
    title, words, place = FAILURES[name]
    case = next(case for case in RECORDINGS[name][0] if case.name == title)
    assert case.message.startswith(words)
    assert case.frames[0] == place


def test_a_message_that_a_report_only_has_in_its_trace() -> None:
    failed = [case for case in RECORDINGS["phpunit"][0] if case.status in ("failed", "error")]
    first, second = (junit.to_finding(case, "phpunit", reader({"tests/CartTest.php": "x\n" * 40})) for case in failed)
    assert (first.path, first.start_line) == ("/checkout/tests/CartTest.php", 16)
    assert first.message == 'testSum with data set "small" failed: Failed asserting that -1 is identical to 3.'
    assert second.message == "testBreaks broke: RuntimeError: boom".replace("Error", "Exception")


def test_a_panic_of_go_lies_where_the_repositorys_code_is() -> None:
    case = next(case for case in RECORDINGS["go"][0] if case.name == "TestPanics")
    assert case.message.startswith("panic: assignment to entry in nil map")
    assert ("/checkout/gomod/crash/c_test.go", 7) in case.frames


@pytest.mark.parametrize(
    ("name", "trace", "words"),
    [
        (
            "testLines",
            (
                "Acme\\LinesTest::testLines\nFailed asserting that two strings are identical.\n--- Expected\n"
                "+++ Actual\n@@ @@\n-'a'\n+'b'\n\n/checkout/tests/LinesTest.php:16"
            ),
            "Failed asserting that two strings are identical.",
        ),
        (
            "printsVersion",
            (
                "junit.framework.AssertionFailedError\n\tat acme.CartTest.check(CartTest.java:90)\n"
                "\tat acme.CartTest.printsVersion(CartTest.java:77)\n\t... 23 more"
            ),
            "junit.framework.AssertionFailedError",
        ),
    ],
    ids=["PHPUnit's difference", "Java's exception without a message"],
)
def test_what_a_trace_says_is_not_its_last_line(name: str, trace: str, words: str) -> None:
    """As PHPUnit 9.6 wrote it of monolog, and surefire 2.22 of gson."""
    finding = junit.to_finding(Case(name, "failed", trace=trace), "test", reader({}))
    assert finding.message == f"{name} failed: {words}"


def test_cargo_a_panic_may_begin_with_empty_lines() -> None:
    """As ripgrep's tests do."""
    head = "test r2236 ... FAILED\n---- r2236 stdout ----\nthread 'r2236' (6) panicked at tests/util.rs:336:13:\n"
    note = "note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n"
    (told,), (silent,) = cargo.parse(f"{head}\n\n=====\nfailed\n\n{note}"), cargo.parse(f"{head}\n{note}")
    assert (told.message, silent.message, told.frames) == ("=====", "", (("tests/util.rs", 336),))


def test_a_panic_of_go_comes_before_what_was_logged_and_says_what_it_ended() -> None:
    """Go 1.19.8: TestLast stands below it."""
    first, second = gotest.parse(recorded("gopanic.jsonl"))
    assert (first.name, first.status, second.name, second.status) == ("TestFirst", "passed", "TestPanics", "failed")
    told = "panic: runtime error: index out of range [0] with length 0"
    assert second.message == f"{told}; no test of its package ran after it"
    assert ("/checkout/cart_test.go", 10) in second.frames
    assert not any(path.endswith("cart_test.go") and line == 8 for path, line in second.frames)
    later = {"Action": "pass", "Package": "example.com/shop", "Test": "TestLast"}
    more = gotest.parse(f"{recorded('gopanic.jsonl')}\n{json.dumps(later)}\n")
    assert next(case.message for case in more if case.name == "TestPanics") == told  # a program that it started


def test_what_testify_says_of_a_failure_stands_below_its_place() -> None:
    (case,) = gotest.parse(recorded("gotestify.jsonl"))
    assert case.message == "Not equal: expected: 200 actual : 401"
    assert case.frames[0] == ("github.com/gin-gonic/gin/response_writer_test.go", 151)


def test_a_go_package_is_not_called_by_its_version() -> None:
    (case,) = printed("go", "FAIL\tb/doublestar/v4 [build failed]\n", "# b/doublestar/v4\n./x.go:3:2: no\n")
    assert (case.name, case.classname) == ("doublestar", "b/doublestar/v4")


def test_a_go_package_that_does_not_build_is_an_error_in_the_compilers_words() -> None:
    case = next(case for case in RECORDINGS["go"][0] if case.status == "error")
    assert (case.classname, case.message) == ("example.com/shop/broken", "broken/b_test.go:5:28: undefined: undefined")
    assert case.frames == (("broken/b_test.go", 5),)


def test_hooks_of_bats_are_as_many_as_there_are_files_with_one() -> None:
    hooks = {(case.classname, case.name) for case in RECORDINGS["hooks of bats"][0] if case.status == "error"}
    assert hooks == {
        ("test/a.bats", "setup_file"),
        ("test/b.bats", "setup_file"),
        ("test/c.bats", "teardown_file"),
    }


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (recorded("bats.hooks.tap"), "4 of 5 tests: planned, but they did not run"),
        ("1..44\nok 1 a\nnot ok 2 b\n", "42 of 44 tests: planned, but they did not run"),
        ("TAP version 13\nok 1 a\n", "the other tests: the runner ended before it said how many there are"),
        ("1..2\nok 1 a\nBail out! no database\n", "the other tests: the runner gave up: no database"),
        ("TAP version 13\n# Subtest: s\n    ok 1 a\n    1..1\nok 1 s\n1..1\n", ""),
        ("1..2\nok 1 a\n    1..1\n    ok 1 inner\n", "1 of 2 tests: planned, but they did not run"),
        ("1..1\nok 1 a\n1..1\nok 1 b\n", ""),
        ("1..0 # SKIP no display\n", ""),
        *((recorded(name), "") for name in ("bats.tap", "node.tap", "mocha.tap", "perl.tap", "cargo.txt")),
    ],
)
def test_a_runner_that_stopped_early_does_not_look_complete(text: str, told: str) -> None:
    for form in ("tap", "any") if tap.is_tap(text) else ("any",):
        missing = unfinished(form, Completed(0, text, "", 0.1))
        assert (f"{missing.what}: {missing.why}" if missing else "") == told


def test_what_automakes_tests_printed_themselves_is_no_result() -> None:
    text = recorded("automake.txt").replace("no such cart", "PASS: everything")
    cases = {case.name: case for case in printed("automake", text)}
    assert len(cases) == 5
    assert cases["tests/breaks.sh"].message == "PASS: everything"


def test_output_of_whatever_runs_behind_a_script_is_recognised() -> None:
    for name, form, stream in (
        ("go.jsonl", "go", 0),
        ("cargo.txt", "cargo", 0),
        ("node.tap", "tap", 0),
        ("automake.txt", "automake", 0),
        ("unittest.txt", "unittest", 1),
    ):
        streams = ["", ""]
        streams[stream] = recorded(name)
        assert printed("any", *streams) == printed(form, *streams) != []
    assert printed("any", "ok\n1..2 buckle my shoe\nall is ok") == []


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "null", '{"testResults": 1}', "{", "[" * 100_000, "\x00", '{"tests": {}}']
)
def test_what_is_no_report_is_told_so(text: str) -> None:
    for parse in FILES.values():
        with pytest.raises(ToolFailed):
            parse(text)
    for form in ("cargo", "tap", "unittest", "any"):
        assert printed(form, text, text) == []


@pytest.mark.parametrize(
    "text",
    [
        '{"testResults": [1, {"assertionResults": [2, {"status": {}, "failureMessages": [3]}], "name": 4}]}',
        '{"tests": [1, {"err": 2, "duration": []}], "failures": 3, "pending": [4]}',
        '{"examples": [1, {"exception": {"backtrace": 2}, "run_time": "x"}], "summary": 3}',
    ],
)
def test_reports_with_the_wrong_things_in_them_do_no_harm(text: str) -> None:
    for name in ("jest", "mocha", "rspec"):
        try:
            assert all(case.name for case in FILES[name](text))
        except ToolFailed:
            continue


def test_go_that_prints_no_events_is_told_so() -> None:
    with pytest.raises(ToolFailed, match="no JSON"):
        gotest.parse("flag provided but not defined: -json")
    assert gotest.parse('{"Action": 1}\n{"Action": "pass", "Test": 3, "Package": []}\nnull\n{') == []


def test_go_whose_only_package_does_not_build_is_told_by_the_compiler() -> None:
    """Go 1.19.8."""
    said = "# example.com/x [example.com/x.test]\n./x.go:3:23: undefined: y\n"
    (case,) = printed("go", "FAIL\texample.com/x [build failed]\n", said)
    assert (case.classname, case.status, case.frames) == ("example.com/x", "error", (("./x.go", 3),))
    assert case.message == "./x.go:3:23: undefined: y"


def test_go_a_table_that_fails_by_itself_is_told_beside_its_rows() -> None:
    """One that fails because of a row is told by the row."""
    events = [
        ("TestSum/one", "pass", ""),
        ("TestSum", "fail", "    sum_test.go:9: the rows add up to 3\n"),
        ("TestCart/GET_/a/b", "fail", "    cart_test.go:4: got 1\n"),
        ("TestCart", "fail", ""),
    ]
    lines = [
        json.dumps({"Action": action, "Package": "shop", "Test": test} | more)
        for test, end, said in events
        for action, more in (("output", {"Output": said}), (end, {}))
    ]
    cases = {case.name: (case.status, case.message) for case in gotest.parse("\n".join(lines))}
    assert cases == {
        "TestSum/one": ("passed", ""),
        "TestSum": ("failed", "the rows add up to 3"),
        "TestCart/GET_/a/b": ("failed", "got 1"),
    }


# -- coverage

COBERTURA = """<?xml version="1.0" ?>
<!DOCTYPE coverage SYSTEM "http://cobertura.sourceforge.net/xml/coverage-04.dtd">
<coverage><sources><source>/checkout/src</source></sources><packages><package><classes>
<class filename="shop/cart.py"><lines><line number="1" hits="1"/><line number="2" hits="0"/></lines></class>
</classes></package></packages></coverage>"""
LCOV = (
    "TN:\nSF:src/cart.js\nDA:1,12345678901\nDA:2,0\nDA:x,1\nLF:2\nend_of_record\nSF:b.js\nDA:7,1,abc\nend_of_record\n"
)
PYTHON = '{"meta": {}, "files": {"a.py": {"executed_lines": [1, 2], "missing_lines": [4]}}}'


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (COBERTURA, {"/checkout/src/shop/cart.py": {1: True, 2: False}}),
        (LCOV, {"src/cart.js": {1: True, 2: False}, "b.js": {7: True}}),
        (PYTHON, {"a.py": {1: True, 2: True, 4: False}}),
    ],
)
def test_coverage(text: str, lines: dict[str, dict[int, bool]]) -> None:
    assert coverage.parse(text) == lines


@pytest.mark.parametrize(
    "text", ["", "hello", "<html/>", "{}", '<!DOCTYPE x [<!ENTITY a "b">]><coverage>&a;</coverage>', "<coverage"]
)
def test_what_is_no_coverage_report_is_told_so(text: str) -> None:
    with pytest.raises(ToolFailed):
        coverage.parse(text)


def test_tests_of_mocha_that_share_a_title_are_several() -> None:
    test = {"title": "a", "fullTitle": "cart a", "file": "a.js", "err": {}}
    hook = {**test, "fullTitle": 'cart "before each" hook', "err": {"message": "no"}}
    bad = {**test, "err": {"message": "no"}}
    report = {"tests": [{**test, "speed": "fast"}, {**test, "speed": "fast"}, bad, test], "pending": [test]}
    cases = FILES["mocha"](json.dumps({**report, "failures": [bad, hook]}))
    assert [case.status for case in cases] == ["passed", "passed", "failed", "skipped", "failed"]
