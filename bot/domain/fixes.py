"""All exact fixes of a run as one patch, which applies to its commit with `git apply`.

A fix is exact where a tool said what to write; what a reviewer suggests is an opinion. Of two that change the same
lines the one of the worse finding is taken, or else the first. Whatever cannot be in the patch is told, and why.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from typing import NamedTuple

from bot.domain.findings import Finding
from bot.domain.run import AgentState, Run

# Lines that are shown before and after a change, as git does.
CONTEXT = 3
# Characters; further fixes are left out.
_LONGEST = 2_000_000
# What may stand in a name without quotes, as git sees it.
_PLAIN = frozenset(range(0x20, 0x7F)) - set(b'"\\')
_NO_NEWLINE = "\\ No newline at end of file\n"

Lines = Mapping[int, str]


class LeftOut(NamedTuple):
    """A finding whose fix is not in the patch, and why."""

    finding: Finding
    why: str


class Patch(NamedTuple):
    """`text` is a unified diff in git's format, empty where there is nothing to fix, and has to be written byte by byte
    (UTF-8, no newline translated). `fixes` counts the findings that it mends."""

    text: str
    fixes: int
    left_out: tuple[LeftOut, ...]


class _Edit(NamedTuple):
    """From line `first` on `old` becomes `new`, whole lines with their ends."""

    first: int
    old: tuple[str, ...]
    new: tuple[str, ...]

    @property
    def end(self) -> int:
        """The line after the last."""
        return self.first + len(self.old)


def is_exact(kind: str) -> bool:
    """Whether agents of that kind fix by tools."""
    return kind != "review"


def patch_of(run: Run) -> Patch:
    """The fixes of the run's findings that count, as far as its agents have ended."""
    agents = [agent for agent in run.shown if agent.result and is_exact(agent.plan.kind)]
    lines, files = _kept_lines(agents), dict[str, _File]()
    fixes, length, left_out = 0, 0, list[LeftOut]()
    for finding in sorted(_fixable(agents), key=lambda finding: -finding.severity.rank):
        edit = _edit(finding, lines.get(finding.path, {}))
        if isinstance(edit, str):
            left_out.append(LeftOut(finding, edit))
            continue
        length += sum(map(len, edit.old + edit.new))
        why = (
            files.setdefault(finding.path, _File()).take(edit) if length <= _LONGEST else "the patch would be too long"
        )
        if why:
            left_out.append(LeftOut(finding, why))
        else:
            fixes += 1
    text = "".join(_in_file(path, files[path].edits, lines[path]) for path in sorted(files) if files[path].edits)
    return Patch(text, fixes, tuple(left_out))


def _kept_lines(agents: Sequence[AgentState]) -> dict[str, dict[int, str]]:
    """What is known of the head: of each file its lines, with their ends, by number."""
    lines = dict[str, dict[int, str]]()
    for excerpt in (one for agent in agents if agent.result for one in agent.result.excerpts):
        lines.setdefault(excerpt.path, {}).update(enumerate(split_lines(excerpt.text), excerpt.first))
    return lines


def split_lines(text: str) -> list[str]:
    """The lines of a text with their ends. A line ends at a newline and nowhere else."""
    *whole, rest = text.split("\n")
    return [f"{line}\n" for line in whole] + ([rest] if rest else [])


def _fixable(agents: Sequence[AgentState]) -> Iterator[Finding]:
    for finding in (one for agent in agents if agent.result for one in agent.result.findings):
        if finding.counts and finding.path and finding.start_line and finding.replacement is not None:
            yield finding


def _edit(finding: Finding, lines: Lines) -> _Edit | str:
    """What a finding's fix changes, or why that cannot be said."""
    first, last = finding.start_line or 1, finding.last_line or 1
    old = tuple(lines[number] for number in range(first, last + 1) if number in lines)
    if len(old) != last - first + 1:
        return "the lines around it are not kept: they hold a secret, are no plain text, or are too many"
    # The last line of a file may have no end of its own; the one before shows what it would be.
    ends = [line for line in old if line.endswith("\n")] or [lines.get(first - 1, "")]
    returns = {line.endswith("\r\n") for line in ends}
    if len(returns) > 1:
        return "its lines end in different ways"
    text = (finding.replacement or "").replace("\r\n", "\n")
    # The end of the last line stays what it is: none, at the end of some files.
    new = text + ("\n" if text and old[-1].endswith("\n") else "")
    edit = _Edit(first, old, tuple(split_lines(new.replace("\n", "\r\n") if True in returns else new)))
    return edit if edit.old != edit.new else "it changes nothing"


class _File:
    """The edits of a file, in the order of its lines; no two touch the same ones."""

    def __init__(self) -> None:
        self.edits: list[_Edit] = []

    def take(self, edit: _Edit) -> str:
        """Take it in, or say why not. One that is there already is taken twice."""
        at = bisect_left(self.edits, edit.first, key=lambda one: one.first)
        if edit in self.edits[at : at + 1]:
            return ""
        before, after = self.edits[max(at - 1, 0) : at], self.edits[at : at + 1]
        if any(one.end > edit.first for one in before) or any(one.first < edit.end for one in after):
            return "another fix changes the same lines"
        insort(self.edits, edit)
        return ""


# -- the text


def _in_file(path: str, edits: Sequence[_Edit], lines: Lines) -> str:
    old, new = _quoted(f"a/{path}"), _quoted(f"b/{path}")
    # What follows a tab is no name: without one, git takes a name with spaces to end there.
    tab = "\t" if " " in path else ""
    head = f"diff --git {old} {new}\n--- {old}{tab}\n+++ {new}{tab}\n"
    return head + "".join(_hunks([_trimmed(edit) for edit in edits], lines))


def _quoted(name: str) -> str:
    """A name as git writes it."""
    raw = name.encode("utf-8", "surrogateescape")
    if _PLAIN.issuperset(raw):
        return name
    return '"' + "".join(chr(byte) if byte in _PLAIN else f"\\{byte:03o}" for byte in raw) + '"'


def _trimmed(edit: _Edit) -> _Edit:
    """Without the lines at its beginning and end that stay as they are."""
    old, new = edit.old, edit.new
    head = _alike(old, new)
    old, new = old[head:], new[head:]
    tail = _alike(old[::-1], new[::-1])
    return _Edit(edit.first + head, old[: len(old) - tail], new[: len(new) - tail])


def _alike(one: Sequence[str], other: Sequence[str]) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _hunks(edits: Sequence[_Edit], lines: Lines) -> Iterator[str]:
    """Edits that are near to one another share a hunk."""
    shift, near = 0, list[_Edit]()
    for edit, following in zip(edits, (*edits[1:], None), strict=True):
        near.append(edit)
        if following is None or following.first - edit.end > 2 * CONTEXT:
            yield _hunk(near, shift, lines)
            shift += sum(len(one.new) - len(one.old) for one in near)
            near = []


def _hunk(edits: Sequence[_Edit], shift: int, lines: Lines) -> str:
    """`shift` is how many lines the hunks before have added."""
    start = edits[0].first
    while start > edits[0].first - CONTEXT and start - 1 in lines:
        start -= 1
    body, at = list[str](), start
    for edit in edits:
        body += [" " + lines[number] for number in range(at, edit.first)]
        body += ["-" + line for line in edit.old] + ["+" + line for line in edit.new]
        at = edit.end
    while at < edits[-1].end + CONTEXT and at in lines:
        body.append(" " + lines[at])
        at += 1
    old = at - start
    new = old + sum(len(edit.new) - len(edit.old) for edit in edits)
    # Of no lines, the number is that of the line before.
    head = f"@@ -{start if old else start - 1},{old} +{start + shift if new else start + shift - 1},{new} @@\n"
    return head + "".join(line if line.endswith("\n") else f"{line}\n{_NO_NEWLINE}" for line in body)
