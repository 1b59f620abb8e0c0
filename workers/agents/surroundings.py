"""What stands around the hunks of a file: the functions and classes that they lie in, and a function as it was before.

Pure but for reading files. A function is told by its outline (`outline/`); one that holds others, as a class does, is
told by its head alone. Files are redacted as a whole, for half a secret is not recognised.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import takewhile

from workers.agent import Reader
from workers.agents.hunks import Hunk, visible, whole_lines
from workers.agents.outline.outline import Definition, Outline

# Heads that are shown before a hunk, the innermost ones, and lines of one beyond its first.
_DEPTH, _HEAD = 4, 3
# Lines of a function that are shown on each side of a hunk, and characters of one.
_BODY, _WIDTH = 60, 200
# Characters of a file of which more than heads is shown.
_LARGEST = 1_000_000

# A line's number and its text.
Line = tuple[int, str]


@dataclass(frozen=True)
class Context:
    """What stands around a hunk, redacted and visible: the `heads` of what it lies in; these with the rest of the
    function `before` and `after` it; and, where more was removed than added, the function as it `was`. One that
    `joins` begins in the function in which the hunk before it ends."""

    heads: tuple[Line, ...] = ()
    before: tuple[Line, ...] = ()
    after: tuple[Line, ...] = ()
    was: tuple[str, ...] = ()
    joins: bool = False

    @cached_property
    def size(self) -> int:
        """Characters of what goes beyond heads."""
        return sum(len(text) for _, text in (*self.before, *self.after)) + sum(map(len, self.was))


@dataclass(frozen=True)
class Source:
    """A file of a tree: what it defines, and its lines."""

    outline: Outline
    lines: Sequence[str]

    def inside(self, first: int, last: int) -> Definition | None:
        """The innermost definition that these lines lie in and do not fill, unless it holds others."""
        found = [
            one for one in self.outline.around(first) if last <= one.last and (one.first, one.last) != (first, last)
        ]
        if not found or any(_holds(found[-1], other) for other in self.outline.definitions):
            return None
        return found[-1]


def _holds(one: Definition, other: Definition) -> bool:
    return one.first < other.first and other.last <= one.last


@dataclass(frozen=True)
class Surroundings:
    """Of the files of a change: by their paths at head, `outlined` there, and as they were before, where something was
    removed from them."""

    outlined: Mapping[str, Outline]
    read: Reader
    redact: Callable[[str], str]
    before: Mapping[str, Source] = field(default_factory=dict)

    def of(self, path: str, hunks: Sequence[Hunk]) -> list[Context]:
        """What stands around each hunk of a file. No line is told twice, or where a hunk shows it, but for heads."""
        if not self.outlined.get(path, Outline()).definitions and path not in self.before:
            return [Context()] * len(hunks)
        head = Source(self.outlined.get(path, Outline()), self.read(path))
        lines = self._shown(head.lines)
        told = {number for hunk in hunks for number in hunk.numbers}
        was: set[Definition] = set()
        contexts, ends = [], None
        for hunk in hunks:
            begins = head.inside(hunk.start, hunk.start)
            heads = _heads(head, hunk.start)
            before = _untold(reversed(_body_before(head, hunk)), told)
            after = _untold(_body_after(head, hunk), told)
            told |= {*before, *after}
            contexts.append(
                Context(
                    heads=_lines(lines, heads),
                    before=_lines(lines, sorted({*heads, *before})),
                    after=_lines(lines, after),
                    was=self._was(path, hunk, was),
                    joins=begins is not None and begins == ends,
                )
            )
            ends = head.inside(hunk.last, hunk.last)
        return contexts

    def _was(self, path: str, hunk: Hunk, told: set[Definition]) -> tuple[str, ...]:
        source, removed = self.before.get(path), hunk.removed
        if source is None or len(removed) <= hunk.added:
            return ()
        whole = source.inside(removed[0], removed[-1])
        if whole is None or whole in told or (hunk.old <= whole.first and whole.last <= hunk.old_last):
            return ()
        told.add(whole)
        numbers = range(max(whole.first, removed[0] - _BODY), min(whole.last, removed[-1] + _BODY) + 1)
        return tuple(text for _, text in _lines(self._shown(source.lines), numbers))

    def _shown(self, lines: Sequence[str]) -> Sequence[str]:
        if sum(map(len, lines)) > _LARGEST:
            return []
        return [visible(line)[:_WIDTH] for line in whole_lines(lines, self.redact)]


def _heads(source: Source, start: int) -> list[int]:
    around = [one for one in source.outline.around(start) if one.first < start]
    numbers = (
        number
        for one in around[-_DEPTH:]
        for number in range(one.first, min(one.head, one.first + _HEAD, start - 1) + 1)
    )
    return list(dict.fromkeys(numbers))


def _body_before(source: Source, hunk: Hunk) -> range:
    whole = source.inside(hunk.start, hunk.start)
    return range(max(whole.first, hunk.start - _BODY), hunk.start) if whole else range(0)


def _body_after(source: Source, hunk: Hunk) -> range:
    whole = source.inside(hunk.last, hunk.last)
    return range(hunk.last + 1, min(whole.last, hunk.last + _BODY) + 1) if whole else range(0)


def _untold(numbers: Iterable[int], told: Container[int]) -> list[int]:
    """Those up to the first that was told."""
    return list(takewhile(lambda number: number not in told, numbers))


def _lines(lines: Sequence[str], numbers: Iterable[int]) -> tuple[Line, ...]:
    return tuple((number, lines[number - 1]) for number in numbers if 0 < number <= len(lines))
