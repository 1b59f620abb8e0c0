"""Places that a tool gives as offsets into the whole text, as lines and columns of characters."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate

from workers.tools.edits import Edit

Measure = Callable[[str], int]


def in_bytes(text: str) -> int:
    """The length of a text in UTF-8."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def in_units(text: str) -> int:
    """The length of a text as JavaScript counts it, in units of UTF-16."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


class Offsets:
    """The places in a text of these lines, whose parts a tool measures by `measure`; 0-based, line ends count one."""

    def __init__(self, lines: Sequence[str], measure: Measure) -> None:
        self._lines, self._measure = lines, measure
        self._starts = [0, *accumulate(measure(line) + 1 for line in lines)]

    def place(self, offset: object) -> tuple[int, int] | None:
        """Line and column (1-based, in characters) of an offset; the line after the last one is its end. None for what
        lies outside, or within a character."""
        if isinstance(offset, bool) or not isinstance(offset, int) or not 0 <= offset <= self._starts[-1]:
            return None
        index = bisect_right(self._starts, offset) - 1
        line = self._lines[index] if index < len(self._lines) else ""
        column = self._column(line, offset - self._starts[index])
        return None if column is None else (index + 1, column)

    def _column(self, line: str, offset: int) -> int | None:
        if line.isascii():
            return offset + 1
        passed = 0
        for column, character in enumerate(line, 1):
            if passed >= offset:
                return column if passed == offset else None
            passed += self._measure(character)
        return len(line) + 1 if passed == offset else None

    def edit(self, start: object, end: object, text: str) -> Edit | None:
        """What puts `text` between two offsets; None where one of them is no place."""
        first, last = self.place(start), self.place(end)
        return None if first is None or last is None else Edit(*first, *last, text)
