"""Turning a tool's fix, some edits of characters, into a replacement of whole lines, which is what a suggestion is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bot.domain.findings import Finding

# A longer fix is no suggestion that somebody reads.
_MOST_LINES = 30


@dataclass(frozen=True, order=True)
class Edit:
    """Replace what lies between two positions (1-based lines and columns, the end exclusive) by `text`."""

    line: int
    column: int
    end_line: int
    end_column: int
    text: str


def with_fix(finding: Finding, edits: Sequence[Edit], lines: Sequence[str]) -> Finding:
    """The finding with its `replacement`, its lines widened to those that the edits touch.

    It is left as it is where that cannot be said in whole lines from the finding's first one on: edits before it, or
    beyond the file, or that overlap, or more than a few lines; or that end a line in another way than its file does.
    """
    first = finding.start_line
    if not edits or first is None:
        return finding
    last = max([finding.last_line or first, *(_last_line(edit) for edit in edits)])
    old = list(lines[first - 1 : last])
    if len(old) != last - first + 1 or len(old) > _MOST_LINES:
        return finding
    # The last line of a file may have no end of its own; the one before shows what it would be.
    if last == len(lines) > 1 and lines[-2].endswith("\r") and not old[-1].endswith("\r"):
        old[-1] += "\r"
    text = "\n".join(old) + "\n"
    new = _apply(edits, text, _offsets(old), first)
    new = None if new is None else _with_plain_ends(new, like=text)
    # One empty line cannot be told from no line at all.
    if new is None or new == "\n" or (new and not new.endswith("\n")):
        return finding
    columns = {"start_column": None, "end_column": None} if last != finding.last_line else {}
    return finding.model_copy(update={"end_line": last, "replacement": new.removesuffix("\n"), **columns})


def _with_plain_ends(text: str, like: str) -> str | None:
    """The text with plain newlines, if all its lines end as all of the other's do."""
    returns = like.count("\r")
    if returns not in (0, like.count("\n")) or returns != like.count("\r\n"):
        return None
    if text.count("\r") != text.count("\r\n") or text.count("\r") != (text.count("\n") if returns else 0):
        return None
    return text.replace("\r\n", "\n")


def _last_line(edit: Edit) -> int:
    """The last line that changes. An end at the first column leaves that line alone if a line's end remains before."""
    whole = edit.text.endswith("\n") or (not edit.text and edit.column == 1)
    return edit.end_line - 1 if whole and edit.end_column == 1 and edit.end_line > edit.line else edit.end_line


def _offsets(lines: Sequence[str]) -> list[int]:
    offsets = [0]
    for line in lines:
        offsets.append(offsets[-1] + len(line) + 1)
    return offsets


def _apply(edits: Sequence[Edit], text: str, offsets: Sequence[int], first: int) -> str | None:
    out, done = [], 0
    for edit in sorted(edits):
        start = _offset(edit.line, edit.column, offsets, first)
        end = _offset(edit.end_line, edit.end_column, offsets, first)
        if start is None or end is None or not done <= start <= end:
            return None
        out += [text[done:start], edit.text]
        done = end
    return "".join(out) + text[done:]


def _offset(line: int, column: int, offsets: Sequence[int], first: int) -> int | None:
    index = line - first
    if not 0 <= index < len(offsets) or column < 1:
        return None
    offset = offsets[index] + column - 1
    limit = offsets[index + 1] if index + 1 < len(offsets) else offsets[index] + 1
    return offset if offset < limit else None
