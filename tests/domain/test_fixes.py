"""The patch of a run, applied by the real git to the files that it was made for."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.domain.findings import Excerpt, Finding, Severity
from bot.domain.fixes import Patch, patch_of
from bot.domain.run import Run
from tests.domain.runs import found, make_agent, make_finding, make_run
from workers.excerpts import excerpts


def fix(first: int, last: int, replacement: str, path: str = "a.py", **fields: Any) -> Finding:
    return make_finding(
        f"fix of {first}", path=path, start_line=first, end_line=last, replacement=replacement, **fields
    )


def of(root: Path, *findings: Finding) -> Patch:
    """The patch, after the run was kept and read again."""
    run = make_run(make_agent("lint", found(*findings, excerpts=excerpts(findings, root))))
    return patch_of(Run.model_validate_json(run.model_dump_json()))


def applied(root: Path, patch: Patch) -> None:
    done = subprocess.run(["git", "apply", "-"], cwd=root, input=patch.text.encode(), capture_output=True)
    assert done.returncode == 0, (done.stderr.decode(), patch.text)


def mended(root: Path, before: bytes, *findings: Finding, path: str = "a.py") -> bytes:
    """What becomes of a file when all its fixes are applied."""
    (root / path).write_bytes(before)
    patch = of(root, *findings)
    assert (patch.fixes, patch.left_out) == (len(findings), ())
    applied(root, patch)
    return (root / path).read_bytes()


def numbered(count: int, end: str = "\n") -> bytes:
    return "".join(f"line {number}{end}" for number in range(1, count + 1)).encode()


def test_patch_is_gits() -> None:
    excerpt = Excerpt(path="a b.py", first=2, text="b\nc\nd\nimport os\ne\nf\ng\n")
    run = make_run(make_agent("lint", found(fix(5, 5, "", "a b.py"), excerpts=(excerpt,))))
    assert patch_of(run).text == (
        "diff --git a/a b.py b/a b.py\n--- a/a b.py\t\n+++ b/a b.py\t\n"
        "@@ -2,7 +2,6 @@\n b\n c\n d\n-import os\n e\n f\n g\n"
    )


@pytest.mark.parametrize(
    ("before", "fixes", "after"),
    [
        pytest.param(b"a\nb\nc\n", [fix(2, 2, "B")], b"a\nB\nc\n", id="a line"),
        pytest.param(b"a\nb\nc\n", [fix(2, 3, "")], b"a\n", id="a deletion"),
        pytest.param(b"a\nb\n", [fix(1, 2, "")], b"", id="all of it"),
        pytest.param(b"a\nb", [fix(2, 2, "B")], b"a\nB", id="no newline at the end"),
        pytest.param(b"a\nb", [fix(1, 1, "A")], b"A\nb", id="no newline at the end, elsewhere"),
        pytest.param(b"a\nb", [fix(2, 2, "")], b"a\n", id="a deletion without a newline"),
        pytest.param(b"a\nb", [fix(2, 2, "b\n")], b"a\nb\n", id="the missing newline"),
        pytest.param(b"a\r\nb\r\nc\r\n", [fix(2, 2, "B\nB")], b"a\r\nB\r\nB\r\nc\r\n", id="CRLF"),
        pytest.param(b"a\r\nb", [fix(2, 2, "B\nB")], b"a\r\nB\r\nB", id="the end of CRLF without a newline"),
        pytest.param(b"a\r\nb", [fix(1, 2, "A\nB")], b"A\r\nB", id="CRLF without a newline at the end"),
        pytest.param("ä\n☂\n".encode(), [fix(2, 2, "☂ öl\x0c")], "ä\n☂ öl\x0c\n".encode(), id="not ASCII"),
        pytest.param(
            numbered(9),
            [fix(1, 1, "one"), fix(2, 3, "two\nthree"), fix(7, 7, "7\n7"), fix(9, 9, "")],
            b"one\ntwo\nthree\nline 4\nline 5\nline 6\n7\n7\nline 8\n",
            id="several, near to one another",
        ),
        pytest.param(
            b"a\n---\n+++ b\n", [fix(2, 3, "-- x\n@@ -1 +1 @@")], b"a\n-- x\n@@ -1 +1 @@\n", id="like a patch"
        ),
    ],
)
def test_git_applies_it(tmp_path: Path, before: bytes, fixes: list[Finding], after: bytes) -> None:
    assert mended(tmp_path, before, *fixes) == after


def test_fixes_far_from_one_another(tmp_path: Path) -> None:
    fixes = [fix(2, 3, ""), fix(50, 50, "x\ny\nz"), fix(99, 100, "end")]
    lines = numbered(100).decode().splitlines()
    assert mended(tmp_path, numbered(100), *fixes).decode().splitlines() == [
        lines[0],
        *lines[3:49],
        *"xyz",
        *lines[50:98],
        "end",
    ]


@pytest.mark.parametrize("name", ["ä ö.py", 'quo"te.py', "tab\there.py", "back\\slash.py", "a b/../c d.py", "-x.py"])
def test_names_that_git_quotes(tmp_path: Path, name: str) -> None:
    (tmp_path / "a b").mkdir()
    path = "c d.py" if ".." in name else name
    assert mended(tmp_path, b"a\nb\n", fix(1, 1, "A", path), path=path) == b"A\nb\n"


def test_files_of_all_agents_are_in_one_patch(tmp_path: Path) -> None:
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_bytes(numbered(20))
    one, two, three = fix(3, 3, "3"), fix(4, 4, "4"), fix(9, 9, "9", "b.py")
    run = make_run(
        make_agent("lint", found(one, excerpts=excerpts([one], tmp_path))),
        make_agent("security", found(two, three, excerpts=excerpts([two, three], tmp_path))),
    )
    applied(tmp_path, patch_of(run))
    assert (tmp_path / "a.py").read_bytes() == numbered(20).replace(b"line 3\nline 4\n", b"3\n4\n")
    assert (tmp_path / "b.py").read_bytes() == numbered(20).replace(b"line 9\n", b"9\n")


def test_the_first_of_two_that_overlap_is_taken_and_the_worse_is_the_first(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_bytes(numbered(9))
    first, second = fix(2, 4, "x"), fix(4, 5, "y")
    patch = of(tmp_path, first, second)
    assert [(one.finding, one.why) for one in patch.left_out] == [(second, "another fix changes the same lines")]
    worse = second.model_copy(update={"severity": Severity.HIGH})
    patch = of(tmp_path, first, worse)
    assert [one.finding for one in patch.left_out] == [first]
    applied(tmp_path, patch)
    assert (tmp_path / "a.py").read_bytes() == numbered(9).replace(b"line 4\nline 5\n", b"y\n")


def test_one_fix_of_two_findings_is_made_once(tmp_path: Path) -> None:
    again = fix(2, 2, "x", rule="E501")
    assert mended(tmp_path, numbered(3), fix(2, 2, "x"), again) == numbered(3).replace(b"line 2", b"x")


def test_only_what_counts_is_fixed_and_nothing_on_a_reviewers_word(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_bytes(numbered(9))
    old, dismissed, plain = fix(1, 1, "x", new=False), fix(2, 2, "x", dismissed="by alice"), make_finding(path="a.py")
    assert of(tmp_path, old, dismissed, plain) == Patch("", 0, ())
    claim = fix(3, 3, "x", agent="review")
    run = make_run(make_agent("review", found(claim, excerpts=excerpts([claim], tmp_path))))
    assert patch_of(run) == Patch("", 0, ())


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"a\r\nb\nc\n", "its lines end in different ways"),
        (b"a\rb\nc\n", "the lines around it are not kept"),
        (b"a\n\xff\n", "the lines around it are not kept"),
        (b"a\n", "the lines around it are not kept"),
        (b"x\ny\n", "it changes nothing"),
    ],
)
def test_what_cannot_be_said_exactly_is_left_out(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / "a.py").write_bytes(content)
    patch = of(tmp_path, fix(1, 2, "x\ny"))
    assert (patch.text, patch.fixes) == ("", 0)
    assert [one.why.partition(":")[0] for one in patch.left_out] == [why]


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "b.py").write_bytes(b"a\n")
    (tmp_path / "a.py").symlink_to("b.py")
    assert of(tmp_path, fix(1, 1, "x")).text == ""


def test_lines_that_are_too_many_are_not_kept_and_their_fixes_told(tmp_path: Path) -> None:
    long = "x" * 2_000 + "\n"
    (tmp_path / "a.py").write_text(long * 1_000)
    fixes = [fix(number, number, "y") for number in range(1, 1_000, 10)]
    patch = of(tmp_path, *fixes)
    assert 0 < patch.fixes < len(fixes)
    assert patch.fixes + len(patch.left_out) == len(fixes)
    assert len(patch.text) < 400_000
    applied(tmp_path, patch)


TEXTS = st.text(alphabet=st.sampled_from("ab-+ @\\\t\x0c\u2028ä"), max_size=3)


@settings(max_examples=60)
@given(data=st.data(), ending=st.booleans(), end=st.sampled_from(["\n", "\r\n"]))
def test_git_applies_any(data: st.DataObject, ending: bool, end: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    lines = data.draw(st.lists(TEXTS, min_size=1, max_size=25))
    content = end.join(lines) + (end if ending else "")
    count = content.count("\n") + (not content.endswith("\n") and bool(content))
    fixes, at = list[Finding](), 1
    expected, left = "", content.split("\n")
    kept = [f"{line}\n" for line in left[:-1]] + ([left[-1]] if left[-1] else [])
    while at <= count:
        first = data.draw(st.integers(at, count + 5))
        if first > count:
            break
        last = data.draw(st.integers(first, min(count, first + 3)))
        new = data.draw(st.lists(TEXTS.filter(bool), max_size=3))
        expected += "".join(kept[at - 1 : first - 1])
        if new:
            # A file of one line without an end does not say how its lines end.
            between = end if end in content else "\n"
            expected += between.join(new) + (end if kept[last - 1].endswith("\n") else "")
        fixes.append(fix(first, last, "\n".join(new)))
        at = last + 1
    expected += "".join(kept[at - 1 :])
    root = tmp_path_factory.mktemp("any")
    (root / "a.py").write_bytes(content.encode())
    patch = of(root, *fixes)
    assert {one.why for one in patch.left_out} <= {"it changes nothing"}
    if patch.text:
        applied(root, patch)
    assert (root / "a.py").read_bytes() == expected.encode()
