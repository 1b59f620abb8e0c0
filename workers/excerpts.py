"""The lines around what can be fixed: with them, a patch can be made where the commit's files are not at hand."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from bot.domain.findings import Excerpt, Finding
from bot.domain.fixes import CONTEXT, split_lines
from workers.agents.tree import LARGEST, within

# Characters, of one agent's result; further lines are not kept.
_LONGEST = 300_000
_LONE_RETURN = re.compile(r"\r(?!\n)")


def excerpts(findings: Sequence[Finding], root: Path) -> tuple[Excerpt, ...]:
    """The lines of each replacement, with as many around as a patch shows; those of the first findings, where all are
    too many. None of a file that is no plain UTF-8, or whose lines can be counted in two ways."""
    fixed = [finding for finding in findings if finding.path and finding.start_line and finding.replacement is not None]
    room, kept = _LONGEST, list[Excerpt]()
    for path, group in groupby(sorted(fixed, key=lambda finding: finding.path), lambda finding: finding.path):
        lines = _lines(root, path)
        for first, last in _spans(list(group)):
            text = "".join(lines[first - 1 : last])
            if text and len(text) <= room:
                room -= len(text)
                kept.append(Excerpt(path=path, first=first, text=text))
    return tuple(kept)


def _spans(findings: Sequence[Finding]) -> Iterator[tuple[int, int]]:
    """The lines to keep of a file, first and last, ascending and apart."""
    begun: tuple[int, int] | None = None
    for first, last in sorted((one.start_line or 1, one.last_line or 1) for one in findings):
        start, end = max(1, first - CONTEXT), last + CONTEXT
        if begun and start <= begun[1] + 1:
            begun = begun[0], max(begun[1], end)
        else:
            if begun:
                yield begun
            begun = start, end
    if begun:
        yield begun


def _lines(root: Path, path: str) -> list[str]:
    try:
        path.encode()
        file = within(root, path)
        if file is None or file.stat().st_size > LARGEST:
            return []
        text = file.read_bytes().decode("utf-8")
    except (OSError, UnicodeError):
        return []
    return [] if _LONE_RETURN.search(text) else split_lines(text)
