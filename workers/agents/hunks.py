"""The text of a patch, hunk by hunk, as a model is shown it: numbered, redacted, nothing hidden. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from bot.domain.diff import parse_diff

_HUNK = re.compile(r"^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@(.*)$")


class Hunk(NamedTuple):
    """A hunk: its heading, the numbers of its first line at head and at base, its lines with their marks."""

    heading: str
    start: int
    lines: tuple[str, ...]
    old: int = 1

    @property
    def last(self) -> int:
        """The head's number of its last line."""
        return self.start + sum(line[0] != "-" for line in self.lines) - 1

    @property
    def numbers(self) -> range:
        """Those of its lines at head."""
        return range(self.start, self.last + 1)

    @property
    def old_last(self) -> int:
        """The base's number of its last line."""
        return self.old + sum(line[0] != "+" for line in self.lines) - 1

    @property
    def added(self) -> int:
        """How many lines it adds."""
        return sum(line[0] == "+" for line in self.lines)

    @property
    def removed(self) -> tuple[int, ...]:
        """The numbers, at base, of the lines that it removes."""
        there = [line[0] for line in self.lines if line[0] != "+"]
        return tuple(self.old + index for index, mark in enumerate(there) if mark == "-")


class Shown(NamedTuple):
    """A line as it is shown. `number` is the head's, None for a removed line; `exact` says that nothing in it was
    redacted or made visible."""

    number: int | None
    text: str
    exact: bool


def read_patch(patch: str) -> dict[str, tuple[Hunk, ...]]:
    """The hunks of each file of a `git diff`, by the path at head (at base for a deleted one).

    Counts lines as `bot.domain.diff` does, so that a hunk cannot pretend to hold a header. Never raises.
    """
    files: dict[str, tuple[Hunk, ...]] = {}
    header: list[str] = []
    hunks: list[Hunk] = []
    lines = iter(patch.split("\n"))
    for line in lines:
        if match := _HUNK.match(line):
            hunks.append(_body(match, line, lines))
        elif line.startswith("diff --git "):
            files |= _file(header, hunks)
            header, hunks = [line], []
        elif not hunks:
            header.append(line)
    return files | _file(header, hunks)


def _file(header: list[str], hunks: Iterable[Hunk]) -> dict[str, tuple[Hunk, ...]]:
    return dict.fromkeys(parse_diff(header).files, tuple(hunks))


def _body(match: re.Match[str], heading: str, lines: Iterator[str]) -> Hunk:
    before, old, start, new = int(match[1]), match[2], int(match[3]), match[4]
    old_left = int(old) if old is not None else 1
    new_left = int(new) if new is not None else 1
    body: list[str] = []
    while old_left > 0 or new_left > 0:
        line = next(lines, None)
        if line is None:
            break
        mark = line[:1]
        if mark == "\\":
            continue
        old_left -= mark != "+"
        new_left -= mark != "-"
        body.append(line if mark else " ")
    return Hunk(heading, start, tuple(body), before)


def show(hunk: Hunk, redact: Callable[[str], str]) -> tuple[Shown, ...]:
    """The hunk's lines, numbered, redacted and with nothing hidden in them."""
    raw = [line[1:].removesuffix("\r") for line in hunk.lines]
    shown = []
    number = hunk.start
    for line, before, after in zip(hunk.lines, raw, whole_lines(raw, redact), strict=True):
        text = visible(after)
        if line[0] == "-":
            shown.append(Shown(None, f"{'':6} -{text}", text == before))
        else:
            shown.append(Shown(number, f"{number:6} {line[0]}{text}", text == before))
            number += 1
    return tuple(shown)


def whole_lines(lines: Sequence[str], redact: Callable[[str], str]) -> list[str]:
    """The lines redacted as one text, for a private key is a secret over many of them; as many as there were.

    Where redaction joined lines, all from the first to the last that it touched are withheld.
    """
    redacted = redact("\n".join(lines)).split("\n")
    if len(redacted) == len(lines):
        return redacted
    shortest = min(len(redacted), len(lines))
    head = next((at for at in range(shortest) if redacted[at] != lines[at]), shortest)
    tail = next((at for at in range(shortest - head) if redacted[-1 - at] != lines[-1 - at]), shortest - head)
    return [*lines[:head], *["[redacted]"] * (len(lines) - head - tail), *lines[len(lines) - tail :]]


# Letters and marks that are drawn as nothing although they count as printable.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")


def visible(text: str) -> str:
    """The text with every invisible and bidirectional character as `\\u{hex}`, tabs excepted.

    Such characters make code read other than it runs (CVE-2021-42574), or carry words that only a model sees.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_visible, text))


@lru_cache(maxsize=4096)
def _visible(char: str) -> str:
    # Printable leaves out controls, formats, surrogates, the unassigned, and every space but the plain one.
    hidden = not char.isprintable() or char in _BLANK or _selects(ord(char))
    return f"\\u{{{ord(char):x}}}" if hidden and char != "\t" else char


def _selects(code: int) -> bool:
    """Variation selectors, which can spell out any text in nothing."""
    return 0xFE00 <= code <= 0xFE0F or 0xE0100 <= code <= 0xE01EF
