"""Lines as Vim's errorformat describes them, on what real tools printed."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.findings import Severity
from bot.errors import Theirs
from workers.tools import errorformat

from .recordings import recorded

USUAL = ("%f:%l:%c: %m", "%f:%l: %m")
PIECES = st.sampled_from(
    ["%f", "%l", "%c", "%m", "%r", "%p", "%t", "%.%#", "%%", ":", " ", "a", "%E", "%Z", "%C", "%-G"]
)


def test_the_usual_form() -> None:
    findings = errorformat.parse(recorded("yamllint.txt"), USUAL)
    assert ("./y.yml", 2) in {(f.path, f.start_line) for f in findings}
    assert len(findings) == len(recorded("yamllint.txt").splitlines())
    assert {f.severity for f in findings} == {Severity.MEDIUM}


def test_lines_that_no_pattern_fits_are_no_messages() -> None:
    [finding] = errorformat.parse(recorded("clang-format.stderr"), ("%f:%l:%c: warning: %m",))
    assert (finding.path, finding.start_line, finding.start_column) == ("./a.c", 7, 9)


def test_a_message_of_several_lines_and_its_kind() -> None:
    [finding] = errorformat.parse(recorded("rustfmt.stderr"), ("%Eerror: %m", "%Z%.%#--> %f:%l:%c", "%-G%.%#"))
    assert finding.path.endswith("/bad.rs")
    assert (finding.start_line, finding.severity) == (1, Severity.HIGH)
    assert finding.message == "this file contains an unclosed delimiter"


@pytest.mark.parametrize(
    ("line", "pattern", "found"),
    [
        ("a.c|3 col 5-9| W12: odd", "%f|%l col %c-%k| %t%n: %m", ("a.c", 3, 3, 5, "12", Severity.MEDIUM, "odd")),
        ("a.c(3,7): odd", "%f(%l,%e): %m", ("a.c", 3, 7, None, "errorformat", Severity.MEDIUM, "odd")),
        ("100%: a:2: odd", "100%%: %f:%l: %m", ("a", 2, 2, None, "errorformat", Severity.MEDIUM, "odd")),
        ("E a:2: odd", "%t %f:%l: %m", ("a", 2, 2, None, "errorformat", Severity.HIGH, "odd")),
    ],
)
def test_conversions(line: str, pattern: str, found: tuple[object, ...]) -> None:
    [f] = errorformat.parse(line, [pattern])
    assert (f.path, f.start_line, f.end_line, f.start_column, f.rule, f.severity, f.message) == found


def test_a_message_goes_on_and_a_pointer_tells_the_column() -> None:
    text = "odd in a.c, line 3\n  and more\n    ^\nother words\n"
    [finding] = errorformat.parse(text, ("%A%m in %f, line %l", "%Z%p^", "%C%m"))
    assert (finding.message, finding.start_column) == ("odd\n  and more", 5)


@pytest.mark.parametrize("pattern", ["%f:%q", "%f%f", "%\\d%\\+:%m", "%"])
def test_what_is_not_known_is_said(pattern: str) -> None:
    with pytest.raises(Theirs, match="errorformat: '%"):
        errorformat.parse("x", [pattern])


def test_no_pattern_takes_long() -> None:
    start = time.monotonic()
    errorformat.parse(("a:" * 5_000 + "\n") * 50, ["%.%#a" * 12 + "%f:%.%#:%m:%l!", "%f:%m:%r:%p:%.%#:%l"])
    assert time.monotonic() - start < 2


def test_blank_words_are_no_message() -> None:
    assert errorformat.parse(" \n", ["%m"]) == []
    (finding,) = errorformat.parse("a.c: \n", ["%f:%m"])
    assert (finding.path, finding.message) == ("a.c", "no message")


@given(st.lists(PIECES, max_size=6).map("".join), st.text(alphabet="a:1 ^\n", max_size=60))
def test_any_pattern_reads_any_text(pattern: str, text: str) -> None:
    try:
        findings = errorformat.parse(text, [pattern])
    except Theirs:
        return
    assert all(finding.message for finding in findings)
