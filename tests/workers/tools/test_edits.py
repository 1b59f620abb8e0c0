"""Fixes as replacements of whole lines."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.domain.findings import Finding, Severity
from tests.domain.test_fixes import applied, of
from workers.tools.edits import Edit, with_fix

LINES = ["one = 1", "two = 2", "three = 3"]


def fix(first: int, *edits: Edit, last: int | None = None, lines: list[str] | None = None) -> Finding:
    finding = Finding(
        tool="t", rule="r", severity=Severity.LOW, message="m", path="a", start_line=first, end_line=last or first
    )
    return with_fix(finding, edits, LINES if lines is None else lines)


def test_an_edit_within_a_line_gives_the_whole_line() -> None:
    assert fix(2, Edit(2, 7, 2, 8, "22")).replacement == "two = 22"


def test_deleting_a_line_gives_the_empty_text() -> None:
    fixed = fix(2, Edit(2, 1, 3, 1, ""))
    assert (fixed.replacement, fixed.end_line) == ("", 2)


def test_the_finding_is_widened_to_the_lines_of_its_fix() -> None:
    fixed = fix(1, Edit(1, 1, 3, 1, "both = 3\n"))
    assert (fixed.start_line, fixed.end_line, fixed.replacement) == (1, 2, "both = 3")


def test_a_fix_shorter_than_its_finding_keeps_the_other_lines() -> None:
    assert fix(1, Edit(1, 1, 1, 4, "ONE"), last=2).replacement == "ONE = 1\ntwo = 2"


def test_a_fix_before_its_finding_is_none() -> None:
    assert fix(2, Edit(1, 1, 1, 4, "x")).replacement is None


def test_overlapping_edits_are_none() -> None:
    assert fix(1, Edit(1, 1, 1, 5, "x"), Edit(1, 3, 1, 6, "y")).replacement is None


def test_a_fix_beyond_the_file_or_its_lines_is_none() -> None:
    assert fix(3, Edit(3, 1, 9, 1, "")).replacement is None
    assert fix(3, Edit(3, 50, 3, 60, "")).replacement is None
    assert fix(3, Edit(0, 0, 0, 0, "")).replacement is None
    assert fix(1, Edit(1, 1, 1, 2, "x"), lines=[]).replacement is None


def test_one_empty_line_cannot_be_told_from_a_deletion() -> None:
    assert fix(1, Edit(1, 1, 1, 8, "")).replacement is None


RETURNS = ["one = 1\r", "two = 2\r", "three = 3"]


def test_windows_line_ends_are_kept() -> None:
    assert fix(1, Edit(1, 1, 1, 4, "x"), lines=RETURNS).replacement == "x = 1"
    assert fix(1, Edit(1, 1, 2, 1, ""), lines=RETURNS).replacement == ""
    assert fix(1, Edit(1, 1, 2, 1, "one = 1\r\nmore = 1\r\n"), lines=RETURNS).replacement == "one = 1\nmore = 1"
    assert fix(3, Edit(3, 1, 3, 1, "more = 1\r\n"), lines=RETURNS).replacement == "more = 1\nthree = 3"


def test_lines_that_would_end_in_different_ways_are_no_fix() -> None:
    assert fix(1, Edit(1, 8, 1, 8, "\nmore = 1"), lines=RETURNS).replacement is None
    assert fix(1, Edit(1, 9, 1, 9, "# more"), lines=RETURNS).replacement is None
    assert fix(1, Edit(1, 8, 1, 8, "\r\nmore = 1")).replacement is None
    assert fix(1, Edit(1, 1, 1, 4, "x"), last=2, lines=["one = 1\r", "two = 2", "three = 3"]).replacement is None
    assert fix(1, Edit(1, 1, 1, 4, "x"), lines=["one\r = 1"]).replacement is None


ENDS = st.sampled_from(["\n", "\r\n"])
TEXT = st.text(st.characters(blacklist_characters="\n\r", blacklist_categories=["Cs"]), min_size=1, max_size=8)


@given(st.lists(TEXT, min_size=1, max_size=5), TEXT, st.data())
def test_a_replacement_is_what_the_edit_would_have_made(lines: list[str], new: str, data: st.DataObject) -> None:
    line = data.draw(st.integers(1, len(lines)))
    start = data.draw(st.integers(1, len(lines[line - 1]) + 1))
    end_line = data.draw(st.integers(line, len(lines)))
    low = start if end_line == line else 1
    end = data.draw(st.integers(low, len(lines[end_line - 1]) + 1))
    fixed = fix(line, Edit(line, start, end_line, end, new), lines=lines)
    text = "\n".join(lines)
    at = [sum(len(one) + 1 for one in lines[:number]) for number in range(len(lines))]
    expected = text[: at[line - 1] + start - 1] + new + text[at[end_line - 1] + end - 1 :]
    assert fixed.replacement is not None
    assert fixed.last_line is not None
    mended = [*lines[: line - 1], *fixed.replacement.split("\n"), *lines[fixed.last_line :]]
    assert "\n".join(mended) == expected


@settings(max_examples=80, deadline=None)
@given(
    lines=st.lists(TEXT, min_size=1, max_size=5),
    added=st.lists(TEXT, min_size=1, max_size=3),
    ends=st.tuples(ENDS, ENDS),
    newline=st.booleans(),
    data=st.data(),
)
def test_the_patch_of_a_fix_makes_what_the_tool_would_have_made(
    lines: list[str],
    added: list[str],
    ends: tuple[str, str],
    newline: bool,
    data: st.DataObject,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Byte by byte, whatever the ends of lines; a fix that would mix them is none."""
    first = data.draw(st.integers(1, len(lines)))
    last = data.draw(st.integers(first, len(lines)))
    start = data.draw(st.integers(0, len(lines[first - 1])))
    stop = data.draw(st.integers(start if first == last else 0, len(lines[last - 1])))
    content, text = ends[0].join(lines) + ends[0] * newline, ends[1].join(added)
    at = [sum(len(one) + len(ends[0]) for one in lines[:number]) for number in range(len(lines))]
    expected = content[: at[first - 1] + start] + text + content[at[last - 1] + stop :]
    split = content.removesuffix("\n").split("\n")
    fixed = fix(first, Edit(first, start + 1, last, stop + 1, text), last=last, lines=split)
    if fixed.replacement is None:
        assert len(added) > 1
        assert ends[0] != ends[1] or "\n" not in content
        return
    root = tmp_path_factory.mktemp("any")
    (root / "a").write_bytes(content.encode())
    patch = of(root, fixed.model_copy(update={"new": True}))
    if expected != content:
        applied(root, patch)
    assert (root / "a").read_bytes() == expected.encode()
