"""Where traces name a place, in the ways of many languages. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

Frames = tuple[tuple[str, int], ...]

# A pattern, and whether the innermost frame is named first (1) or last (-1). The order counts: the first pattern that
# finds anything speaks.
_PATTERNS = (
    (re.compile(r"^(?P<path>[^\s:][^:\n]*):(?P<line>\d+): ", re.MULTILINE), -1),  # pytest
    (re.compile(r'^[^\S\n]*File "(?P<path>[^"\n]+)", line (?P<line>\d+)', re.MULTILINE), -1),  # Python
    (
        re.compile(r"^[^\S\n]+at (?:.*[\s(])?(?:file://)?(?P<path>[^\s()]+?):(?P<line>\d+):\d+\)?$", re.MULTILINE),
        1,
    ),  # JavaScript
    (
        re.compile(
            r"^[^\S\n]*at (?:[\w.]+/)?(?P<package>(?:[\w$]+\.)*)[\w$]+\.[\w$<>]+"
            r"\((?P<path>\w+\.(?:java|kt|scala|groovy)):(?P<line>\d+)\)",
            re.MULTILINE,
        ),
        1,
    ),
    (re.compile(r"^[^\S\n]*(?:# )?(?P<path>[^\s:][^:\n]*\.rb):(?P<line>\d+)(?::in |$)", re.MULTILINE), 1),  # Ruby
    (re.compile(r"(?:panicked| expected) at (?P<path>[^\s:]+\.rs):(?P<line>\d+):\d+"), 1),  # Rust
    (re.compile(r"^[^\S\n]*(?P<path>[^\s:]+\.go):(?P<line>\d+)\b", re.MULTILINE), 1),  # Go
    (re.compile(r"^(?P<path>[^\s:]+\.(?:php|phpt|inc)):(?P<line>\d+)$", re.MULTILINE), 1),  # PHP
    (re.compile(r"(?<![\w./+-])(?P<path>[\w./+-]+\.(?:c|cc|cpp|cxx|h|hh|hpp)):(?P<line>\d+)\b"), 1),  # C and C++
)
_NOT_OURS = re.compile(r"(^|/)(site-packages|node_modules|\.venv|venv|\.tox|gems)/|^(/rustc/|node:)")
_DIGITS = 7


def frames(trace: str) -> Frames:
    """The places that a trace names, the innermost first, as they stand there. Java names only a file; the folder
    is its package's."""
    for pattern, step in _PATTERNS:
        if found := tuple(_places(pattern, trace)):
            return found[::step]
    return ()


def _places(pattern: re.Pattern[str], trace: str) -> Iterator[tuple[str, int]]:
    for match in pattern.finditer(trace):
        named = match.groupdict()
        path = (named.get("package") or "").replace(".", "/") + named["path"]
        if len(named["line"]) <= _DIGITS and not _NOT_OURS.search(path):
            yield path.removeprefix("./"), int(named["line"])
