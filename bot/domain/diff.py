"""Reading a unified diff, and asking where a line lies in it.

The parser counts: a hunk's header says how many lines follow, and exactly those are read as its body. One that only
looks for headers is fooled by a `@@` or a `---` inside a hunk. It keeps line ranges, not text, so that a diff of half a
million lines costs little memory.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable
from itertools import islice
from operator import itemgetter
from typing import Literal

from pydantic import Field

from bot.domain.findings import Place
from bot.domain.model import Frozen

Span = tuple[int, int]
Status = Literal["added", "modified", "deleted", "renamed"]

# Nine digits are more than any file has lines, and no trouble to `int`.
_HUNK = re.compile(r"@@ -\d{1,9}(?:,(\d{1,9}))? \+(\d{1,9})(?:,(\d{1,9}))? @@", re.ASCII)
_LINES = re.compile(r"[-+ ]*")
_LINES_AND_NOTES = re.compile(r"[-+ \\]*")
# Lines that are held at a time.
_BLOCK = 8192


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
        if file is None or first > last:
            return False
        start, end = _last_before(file.hunks, first)
        return start <= first and last <= end


def _touches(spans: tuple[Span, ...], first: int, last: int) -> bool:
    return _last_before(spans, last)[1] >= first


def _last_before(spans: tuple[Span, ...], line: int) -> Span:
    """The last of the spans that begins at this line or before; one of no line where there is none."""
    index = bisect_right(spans, (line, 1 << 60)) - 1
    return spans[index] if index >= 0 else (0, -1)


def parse_diff(lines: Iterable[str]) -> Diff:
    """Parse the output of `git diff --no-color -M` (with `a/` and `b/` prefixes), line by line.

    A line ends at a newline and nowhere else (not `str.splitlines`: a form feed or a lone carriage return is part of a
    line of code); the newline itself may be there or not. Unknown header lines and combined diffs (`diff --cc`) are
    passed over; a hunk that ends early ends there. Names that are no UTF-8 come as `surrogateescape` has them. Never
    raises.
    """
    reader, rest = _Reader(), iter(lines)
    while block := list(islice(rest, _BLOCK)):
        reader.read(block)
    return reader.done()


_first = itemgetter(0)


class _Reader:
    """Reads by blocks of lines. What tells a hunk's lines apart is their first character, so those of a block are put
    into one string, and a hunk is counted by searching it rather than line by line."""

    def __init__(self) -> None:
        self.files: dict[str, FileDiff] = {}
        self.old_left = self.new_left = self.line = 0
        self._begin(None, None)

    def _begin(self, old: str | None, new: str | None) -> None:
        self.passed_over = False
        self.old, self.new = old, new
        self.status: Status = "modified"
        self.binary, self.removed = False, 0
        self.added: list[Span] = []
        self.hunks: list[Span] = []

    def read(self, block: list[str]) -> None:
        try:
            marks = "".join(map(_first, block))
        except IndexError:
            marks = "".join([line[:1] or " " for line in block])
        # Some editors and mailers strip the space of an empty line.
        marks = marks.replace("\n", " ")
        at = 0
        while at < len(block):
            if self.old_left > 0 or self.new_left > 0:
                at = self._part(marks, at)
            elif marks[at] == "@":
                at = self._hunk(block[at], marks, at + 1)
            else:
                self._head(block[at].removesuffix("\n"))
                at += 1

    def _hunk(self, line: str, marks: str, at: int) -> int:
        """Read a hunk's header, and its body if it is what follows up to the next header; where to go on."""
        match = _HUNK.match(line)
        if match is None or self.passed_over:
            return at
        old_count, start, new_count = match.groups()
        old = int(old_count) if old_count is not None else 1
        new = int(new_count) if new_count is not None else 1
        self.line = int(start)
        if new:
            self.hunks.append((self.line, self.line + new - 1))
        # The hunk as a whole, if it ends where the next header begins.
        end = _LINES.match(marks, at).end()  # type: ignore[union-attr] # it matches anything
        removed = marks.count("-", at, end)
        if end - at - removed == new and new - marks.count("+", at, end) == old - removed:
            self._body(marks[at:end], removed)
            return end
        self.old_left, self.new_left = old, new
        return at

    def _part(self, marks: str, at: int) -> int:
        """Read as much of a hunk as is certain to be its, or up to a line that cannot be; where to go on."""
        # A line takes at most one from either side.
        least = at + max(self.old_left, self.new_left)
        end = _LINES_AND_NOTES.match(marks, at, least).end()  # type: ignore[union-attr] # it matches anything
        body = marks[at:end].replace("\\", "")
        removed = body.count("-")
        self.old_left -= len(body) - body.count("+")
        self.new_left -= len(body) - removed
        self._body(body, removed)
        if end < least and end < len(marks):
            self.old_left = self.new_left = 0
        return end

    def _body(self, marks: str, removed: int) -> None:
        head = marks.replace("-", "") if removed else marks
        line, added, before = self.line, self.added, len(self.added)
        first = head.find("+")
        while first >= 0:
            end = head.find(" ", first)
            if end < 0:
                end = len(head)
            added.append((line + first, line + end - 1))
            first = head.find("+", end)
        if 0 < before < len(added) and added[before - 1][1] == added[before][0] - 1:
            added[before - 1 : before + 1] = [(added[before - 1][0], added[before][1])]
        self.removed += removed
        self.line += len(head)

    def _head(self, line: str) -> None:
        if line.startswith("diff --git "):
            self._flush()
            self._begin(*_both(line[len("diff --git ") :]))
        elif line.startswith("diff "):
            self._flush()
            self._begin(None, None)
            self.passed_over = True
        elif not self.passed_over:
            self._header(line)

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
