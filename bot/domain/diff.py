"""Reading a unified diff, and asking where a line lies in it.

The parser counts: a hunk's header says how many lines follow, and exactly those are read as its body. One that only
looks for headers is fooled by a `@@` or a `---` inside a hunk. It keeps line ranges, not text, so that a diff of half a
million lines costs little memory.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable
from typing import Literal

from pydantic import Field

from bot.domain.findings import Place
from bot.domain.model import Frozen

Span = tuple[int, int]
Status = Literal["added", "modified", "deleted", "renamed"]

# Nine digits are more than any file has lines, and no trouble to `int`.
_HUNK = re.compile(r"@@ -\d{1,9}(?:,(\d{1,9}))? \+(\d{1,9})(?:,(\d{1,9}))? @@", re.ASCII)


class FileDiff(Frozen):
    """The change of one file. Spans are inclusive line ranges of the head's side, ascending and disjoint."""

    path: str
    old_path: str | None = None
    status: Status = "modified"
    binary: bool = False
    added: tuple[Span, ...] = ()
    hunks: tuple[Span, ...] = ()
    removed: int = 0

    @property
    def added_lines(self) -> int:
        return sum(last - first + 1 for first, last in self.added)


class Diff(Frozen):
    """A change of a tree: what it did to each file, by the file's path at head (at base for a deleted one)."""

    files: dict[str, FileDiff] = Field(default_factory=dict)

    @property
    def paths(self) -> tuple[str, ...]:
        """The files that exist at head."""
        return tuple(path for path, file in self.files.items() if file.status != "deleted")

    def place(self, path: str, first: int | None, last: int | None = None) -> Place:
        """Where a finding on these lines lies: `added` if it touches an added line, `context` if it touches a hunk,
        `file` if the file changed (or the finding has no line), `elsewhere` otherwise."""
        file = self.files.get(path)
        if file is None or file.status == "deleted":
            return "elsewhere"
        if first is None:
            return "file"
        if _touches(file.added, first, last or first):
            return "added"
        return "context" if _touches(file.hunks, first, last or first) else "file"

    def commentable(self, path: str, first: int, last: int) -> bool:
        """Whether GitHub takes a review comment on these lines: all of them within one hunk."""
        file = self.files.get(path)
        return file is not None and any(start <= first <= last <= end for start, end in file.hunks)


def _touches(spans: tuple[Span, ...], first: int, last: int) -> bool:
    index = bisect_right(spans, (last, 1 << 60)) - 1
    return index >= 0 and spans[index][1] >= first


def parse_diff(lines: Iterable[str]) -> Diff:
    """Parse the output of `git diff --no-color -M` (with `a/` and `b/` prefixes), line by line.

    A line ends at a newline and nowhere else (not `str.splitlines`: a form feed or a lone carriage return is part of a
    line of code); the newline itself may be there or not. Unknown header lines and combined diffs (`diff --cc`) are
    passed over; a hunk that ends early ends there. Names that are no UTF-8 come as `surrogateescape` has them. Never
    raises.
    """
    reader = _Reader()
    for line in lines:
        reader.read(line)
    return reader.done()


class _Reader:
    def __init__(self) -> None:
        self.files: dict[str, FileDiff] = {}
        self.old_left = self.new_left = self.line = self.run_start = 0
        self._begin(None, None)

    def _begin(self, old: str | None, new: str | None) -> None:
        self.passed_over = False
        self.old, self.new = old, new
        self.status: Status = "modified"
        self.binary, self.removed = False, 0
        self.added: list[Span] = []
        self.hunks: list[Span] = []

    def read(self, line: str) -> None:
        if (self.old_left > 0 or self.new_left > 0) and self._body(line):
            return
        line = line.removesuffix("\n")
        if line.startswith("diff --git "):
            self._flush()
            self._begin(*_both(line[len("diff --git ") :]))
        elif line.startswith("diff "):
            self._flush()
            self._begin(None, None)
            self.passed_over = True
        elif line.startswith("@@"):
            self._hunk(line)
        elif not self.passed_over:
            self._header(line)

    def _body(self, line: str) -> bool:
        """Read a line of a hunk; false where it cannot be one."""
        mark = line[:1]
        if mark == "+":
            self.new_left -= 1
            if not self.run_start:
                self.run_start = self.line
            self.line += 1
        elif mark == "-":
            self.old_left -= 1
            self.removed += 1
        elif mark in (" ", "\n", ""):
            # Some editors and mailers strip the space of an empty line.
            self._end_run()
            self.old_left -= 1
            self.new_left -= 1
            self.line += 1
        elif mark != "\\":
            self.old_left = self.new_left = 0
        if self.old_left <= 0 and self.new_left <= 0:
            self._end_run()
        return mark in ("+", "-", " ", "\n", "", "\\")

    def _end_run(self) -> None:
        if self.run_start:
            if self.added and self.added[-1][1] == self.run_start - 1:
                self.added[-1] = (self.added[-1][0], self.line - 1)
            else:
                self.added.append((self.run_start, self.line - 1))
            self.run_start = 0

    def _hunk(self, line: str) -> None:
        match = _HUNK.match(line)
        if match is None or self.passed_over:
            return
        old_count, start, new_count = match.groups()
        self.old_left = int(old_count) if old_count is not None else 1
        self.new_left = int(new_count) if new_count is not None else 1
        self.line = int(start)
        if self.new_left:
            self.hunks.append((self.line, self.line + self.new_left - 1))

    def _header(self, line: str) -> None:
        if line.startswith("--- "):
            self.old = _side(line[4:], "a/")
        elif line.startswith("+++ "):
            self.new = _side(line[4:], "b/")
        elif line.startswith("new file"):
            self.status, self.old = "added", None
        elif line.startswith("deleted file"):
            self.status, self.new = "deleted", None
        elif line.startswith("rename from "):
            self.status, self.old = "renamed", _unquote(line[len("rename from ") :])
        elif line.startswith("copy from "):
            self.status, self.old = "added", None
        elif line.startswith(("rename to ", "copy to ")):
            self.new = _unquote(line.split(" to ", 1)[1])
        elif line.startswith(("Binary files ", "GIT binary patch")):
            self.binary = True

    def _flush(self) -> None:
        self.old_left = self.new_left = 0
        self._end_run()
        path = self.new if self.new is not None else self.old
        if path is None:
            return
        self.files[path] = FileDiff(
            path=path,
            old_path=self.old if self.old != path else None,
            status=self.status,
            binary=self.binary,
            added=tuple(self.added),
            hunks=tuple(self.hunks),
            removed=self.removed,
        )

    def done(self) -> Diff:
        self._flush()
        return Diff(files=self.files)


def _both(names: str) -> tuple[str | None, str | None]:
    """The two names of a `diff --git` line. Without quotes they are equal but for the prefix, so the middle is known;
    a rename's names follow in lines of their own."""
    if names.startswith('"'):
        end = re.match(r'"(?:[^"\\]|\\.)*"', names)
        old = _side(end[0], "a/") if end else None
        new = _side(names[end.end() + 1 :], "b/") if end else None
        return old, new
    half = len(names) // 2
    if names[half : half + 1] == " " and names[2:half] == names[half + 3 :]:
        return names[2:half], names[half + 3 :]
    return None, None


def _side(name: str, prefix: str) -> str | None:
    name = _unquote(name.rstrip("\t"))
    return None if name == "/dev/null" else name.removeprefix(prefix)


_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v", '"': '"', "\\": "\\"}


def _unquote(name: str) -> str:
    """Undo git's C-style quoting of unusual names; octal escapes are bytes, of UTF-8 as a rule."""
    if not (name.startswith('"') and name.endswith('"') and len(name) >= 2):
        return name
    raw = re.sub(
        r"\\([0-3][0-7]{2}|.)",
        lambda match: chr(int(match[1], 8)) if len(match[1]) == 3 else _ESCAPES.get(match[1], match[1]),
        name[1:-1].encode("utf-8", "surrogateescape").decode("latin-1"),
    )
    return raw.encode("latin-1").decode("utf-8", "surrogateescape")
