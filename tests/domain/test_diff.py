"""The diff parser against git itself: real trees, real `git diff`, and three other ways to know what it should say."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from unidiff.patch import PatchSet

from bot.domain.diff import Diff, FileDiff, parse_diff

Tree = dict[str, bytes]

_GIT_ENV = {
    "PATH": os.environ.get("PATH", os.defpath),
    "HOME": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
}
_DIFF = ("diff", "--no-color", "--no-ext-diff", "--find-renames")


@dataclass
class Repository:
    """An object store with an index, no more: trees go in, diffs come out."""

    folder: Path

    def git(self, *args: str, stdin: bytes = b"") -> bytes:
        command = ["git", "-c", "core.autocrlf=false", *args]
        return subprocess.run(
            command, cwd=self.folder, env=_GIT_ENV, input=stdin, check=True, capture_output=True
        ).stdout

    def tree(self, files: Tree, executable: str = "") -> str:
        entries = b""
        for path, content in files.items():
            blob = self.git("hash-object", "-w", "--stdin", "--no-filters", stdin=content).strip()
            mode = b"100755" if path == executable else b"100644"
            entries += b"%s %s\t%s\0" % (mode, blob, os.fsencode(path))
        self.git("read-tree", "--empty")
        self.git("update-index", "-z", "--index-info", stdin=entries)
        return self.git("write-tree").decode().strip()

    def diff(self, old: str, new: str, *options: str) -> str:
        return self.git(*_DIFF, *options, old, new).decode("utf-8", "surrogateescape")


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    made = Repository(tmp_path_factory.mktemp("repository"))
    made.git("init", "--quiet")
    return made


def parse(text: str) -> Diff:
    return parse_diff(text.split("\n"))


def numbers(spans: Iterable[tuple[int, int]]) -> list[int]:
    return [number for first, last in spans for number in range(first, last + 1)]


# -- against git

NAMES = (
    "plain.py",
    "folder/deep.txt",
    "two words.txt",
    "trailing ",
    "tab\there",
    'quo"ted',
    "back\\slash",
    "new\nline",
    "ünïcödé/☃.py",
    "a b/a b",
    "x b/x",
    "--- a",
    "\udcff\udcfe.bin",
)
LINES = (
    "one",
    "two",
    "three",
    "",
    " ",
    "@@ -1,2 +1,2 @@",
    "@@ -0,0 +1 @@",
    "-- a/plain.py",
    "++ b/plain.py",
    "--- a/plain.py",
    "+++ b/plain.py",
    "diff --git a/x b/x",
    "rename to elsewhere",
    "\\ No newline at end of file",
    "windows\r",
    "old\rmac",
    "form\x0cfeed",
    "line\u2028separator and\x85next",
    "\udce4 in latin-1",
)
contents = st.builds(
    lambda lines, end: ("\n".join(lines) + end).encode("utf-8", "surrogateescape"),
    st.lists(st.sampled_from(LINES), max_size=25),
    st.sampled_from(["\n", "\n", ""]),
)
blobs = st.one_of(contents, contents, contents, st.just(b"\0binary"), st.just(b""))
trees = st.dictionaries(st.sampled_from(NAMES), blobs, max_size=4)


@st.composite
def changes(draw: st.DrawFn) -> tuple[Tree, Tree]:
    """A tree, and the same after edits, renames, deletions and additions."""
    old = draw(trees)
    new = draw(trees)
    for path, content in old.items():
        fate = draw(st.sampled_from(["keep", "edit", "rename", "replace"]))
        if fate == "keep":
            new[path] = content
        elif fate == "edit":
            lines = content.split(b"\n")
            at = draw(st.integers(0, len(lines)))
            new[path] = b"\n".join([*lines[:at], draw(contents), *lines[at + draw(st.integers(0, 3)) :]])
        elif fate == "rename":
            new.setdefault(draw(st.sampled_from(NAMES)), content)
    return old, new


def lines_of(content: bytes) -> list[bytes]:
    lines = content.split(b"\n")
    # The last line differs from itself when only its newline goes.
    return [line + b"\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])


def is_subsequence(part: list[bytes], whole: list[bytes]) -> bool:
    rest = iter(whole)
    return all(line in rest for line in part)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes(), st.sampled_from(["", *NAMES]))
def test_agrees_with_git_about_every_file(repository: Repository, change: tuple[Tree, Tree], executable: str) -> None:
    old, new = change
    trees = repository.tree(old), repository.tree(new, executable)
    diff = parse(repository.diff(*trees))

    status = os.fsdecode(repository.git(*_DIFF, "--name-status", "-z", *trees)).split("\0")[:-1]
    expected: dict[str, tuple[str, str | None]] = {}
    words = iter(status)
    for word in words:
        first = next(words)
        if word.startswith("R"):
            expected[next(words)] = ("renamed", first)
        else:
            expected[first] = ({"A": "added", "D": "deleted", "M": "modified"}[word], None)
    assert {path: (file.status, file.old_path) for path, file in diff.files.items()} == expected
    assert diff.paths == tuple(path for path in diff.files if path in new)

    for path, file in diff.files.items():
        before = old.get(file.old_path or path, b"") if file.status != "added" else b""
        after = new.get(path, b"") if file.status != "deleted" else b""
        assert_tells_the_change(file, before, after)


def assert_tells_the_change(file: FileDiff, before: bytes, after: bytes) -> None:
    """Without what was added, the new file is the old one without what was removed."""
    assert file.binary == (b"\0" in before + after and before != after)
    if file.binary:
        assert file.added == file.hunks == ()
        return
    added, old_lines, new_lines = set(numbers(file.added)), lines_of(before), lines_of(after)
    kept = [line for number, line in enumerate(new_lines, 1) if number not in added]
    assert file.added_lines == len(added)
    assert added <= set(range(1, len(new_lines) + 1))
    assert len(kept) == len(old_lines) - file.removed
    assert is_subsequence(kept, old_lines)
    assert added <= set(numbers(file.hunks))
    assert list(file.added) == sorted(file.added)
    # Ranges that touch would be one range.
    assert all(one[1] + 1 < other[0] for one, other in zip(file.added, file.added[1:], strict=False))


tame = st.lists(st.sampled_from([line for line in LINES if line.isprintable()]), max_size=40)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tame, tame, st.integers(0, 4))
def test_agrees_with_unidiff_about_every_line(
    repository: Repository, old: list[str], new: list[str], context: int
) -> None:
    trees = (repository.tree({"f": "\n".join(lines).encode()}) for lines in (old, new))
    text = repository.diff(*trees, f"--unified={context}")
    theirs = {file.path: file for file in PatchSet(text)}
    ours = parse(text).files
    assert set(ours) == set(theirs)
    for path, file in ours.items():
        lines = [line for hunk in theirs[path] for line in hunk]
        assert numbers(file.added) == [line.target_line_no for line in lines if line.is_added]
        assert file.removed == sum(line.is_removed for line in lines)
        spans = [(hunk.target_start, hunk.target_start + hunk.target_length - 1) for hunk in theirs[path]]
        assert list(file.hunks) == [span for span in spans if span[1] >= span[0]]


@pytest.mark.parametrize("name", NAMES)
def test_name_survives_every_kind_of_change(repository: Repository, name: str) -> None:
    empty, text, more = repository.tree({}), repository.tree({name: b"1\n2\n3\n"}), repository.tree({name: b"1\n"})
    elsewhere = repository.tree({"elsewhere": b"1\n2\n3\n"})
    for old, new, status in (
        (empty, text, "added"),
        (text, more, "modified"),
        (text, empty, "deleted"),
        (elsewhere, text, "renamed"),
        (text, repository.tree({name: b"1\n2\n3\n"}, executable=name), "modified"),
        (empty, repository.tree({name: b""}), "added"),
        (text, repository.tree({name: b"\0"}), "modified"),
    ):
        for quoting in ("core.quotePath=true", "core.quotePath=false"):
            text_of = repository.git("-c", quoting, *_DIFF, old, new).decode("utf-8", "surrogateescape")
            assert {path: file.status for path, file in parse(text_of).files.items()} == {name: status}


def test_file_that_becomes_a_link_is_a_file_that_exists(repository: Repository) -> None:
    text = (
        "diff --git a/f b/f\ndeleted file mode 100644\n--- a/f\n+++ /dev/null\n@@ -1 +0,0 @@\n-text\n"
        "diff --git a/f b/f\nnew file mode 120000\n--- /dev/null\n+++ b/f\n@@ -0,0 +1 @@\n+target\n"
        "\\ No newline at end of file\n"
    )
    assert parse(text).paths == ("f",)


# -- what is no plain diff

HEAD = "diff --git a/f b/f\n--- a/f\n+++ b/f\n"


def test_lines_with_their_newline_and_without_are_the_same() -> None:
    text = HEAD + "@@ -1,2 +1,3 @@ class F:\n one\n+two\n\n"
    assert parse_diff(text.splitlines(keepends=True)) == parse(text)
    assert parse(text).files["f"].added == ((2, 2),)


def test_combined_diff_is_passed_over() -> None:
    combined = (
        "diff --cc g\nindex 1,2..3\n--- a/g\n+++ b/g\n@@@ -1,2 -1,2 +1,3 @@@\n  one\n++two\n-- a/lie\n+++ b/lie\n"
    )
    plain = HEAD + "@@ -1 +1,2 @@\n one\n+two\n"
    assert parse(plain + combined).files == parse(plain).files
    assert parse(combined + plain).files == parse(plain).files


def test_hunk_that_ends_early_ends_there() -> None:
    text = HEAD + "@@ -1,9 +1,9 @@\n one\n+two\n" + HEAD.replace("/f", "/g") + "@@ -1 +1,2 @@\n one\n+two\n"
    assert {path: file.added for path, file in parse(text).files.items()} == {"f": ((2, 2),), "g": ((2, 2),)}


def test_copy_is_a_new_file() -> None:
    text = "diff --git a/f b/g h\nsimilarity index 100%\ncopy from f\ncopy to g h\n"
    assert parse(text).files == {"g h": FileDiff(path="g h", status="added")}


@given(
    st.lists(
        st.one_of(
            st.text(max_size=30),
            st.sampled_from(
                [
                    "diff --git a/f b/f",
                    'diff --git "a/\\777" "b/\\',
                    "diff --cc f",
                    "--- a/f",
                    "+++ b/f",
                    '+++ "b/\\"',
                    "@@ -1,2 +0,3 @@",
                    f"@@ -{'9' * 5000} +1 @@",
                    "@@ -1,999999999 +999999999,999999999 @@",
                    "@@ -\u0661 +\u0661 @@",
                    "+x",
                    "-x",
                    " x",
                    "\\",
                    "rename to ",
                    "Binary files ",
                ]
            ),
        ),
        max_size=20,
    )
)
def test_never_raises(lines: list[str]) -> None:
    for path, file in parse_diff(lines).files.items():
        assert path == file.path


bodies = st.lists(st.sampled_from(["+", "+", "-", "-", " ", " ", "", "\\ No newline", "@", "x"]), max_size=12)
hunks = st.builds(
    lambda old, new, body: [f"@@ -1,{old} +{3 if new else 0},{new} @@", *body],
    st.integers(0, 5),
    st.integers(0, 5),
    bodies,
)
heads = st.sampled_from([["diff --git a/f b/f", "--- a/f", "+++ b/f"], ["diff --git a/g b/g"], ["diff --cc g"]])


@given(st.lists(st.one_of(hunks, hunks, heads), max_size=8))
def test_lines_are_counted_together_as_one_by_one(parts: list[list[str]]) -> None:
    """Whole hunks are counted at once, and what is read at a time may end within one."""
    lines = [line for part in parts for line in part]
    whole = parse_diff(lines)
    for size in (1, 2, 3):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("bot.domain.diff._BLOCK", size)
            assert parse_diff(lines) == whole


# -- where a line lies


@pytest.fixture
def change() -> Diff:
    body = " 10\n 11\n+12\n+13\n 14\n-old\n 15\n"
    gone = "diff --git a/gone b/gone\ndeleted file mode 100644\n--- a/gone\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n"
    far = "@@ -30,2 +32,3 @@\n 32\n+33\n 34\n"
    return parse(HEAD + "@@ -10,5 +10,6 @@\n" + body + far + gone)


@pytest.mark.parametrize(
    ("path", "first", "last", "place"),
    [
        ("f", 12, None, "added"),
        ("f", 13, 13, "added"),
        ("f", 1, 12, "added"),
        ("f", 13, 99, "added"),
        ("f", 1, 99, "added"),
        ("f", 10, 11, "context"),
        ("f", 14, None, "context"),
        ("f", 15, 32, "context"),
        ("f", 9, None, "file"),
        ("f", 16, 31, "file"),
        ("f", 35, None, "file"),
        ("f", None, None, "file"),
        ("gone", 1, None, "elsewhere"),
        ("gone", None, None, "elsewhere"),
        ("other", 12, None, "elsewhere"),
        ("", None, None, "elsewhere"),
    ],
)
def test_place(change: Diff, path: str, first: int | None, last: int | None, place: str) -> None:
    assert change.place(path, first, last) == place


@pytest.mark.parametrize(
    ("path", "first", "last", "yes"),
    [
        ("f", 12, 13, True),
        ("f", 10, 15, True),
        ("f", 9, 10, False),
        ("f", 15, 16, False),
        ("f", 15, 32, False),
        ("f", 33, 33, True),
        ("gone", 1, 1, False),
        ("other", 1, 1, False),
    ],
)
def test_commentable_lines_lie_within_one_hunk(change: Diff, path: str, first: int, last: int, yes: bool) -> None:
    assert change.commentable(path, first, last) is yes
