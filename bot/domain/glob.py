"""Globs over repository paths and branch names: `*` within a segment, `**` over segments, `?`, `[abc]`, `{a,b}`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

_MAX_BRACES = 64


def matches(pattern: str, path: str) -> bool:
    """Whether the whole path matches. A pattern that ends in `/` means everything below that folder; one without a
    `/` other than that matches the whole path only, as GitHub Actions does."""
    return any(regex.fullmatch(path) for regex in _compile(pattern))


def matches_any(patterns: Iterable[str], path: str) -> bool:
    return any(matches(pattern, path) for pattern in patterns)


@lru_cache(maxsize=1024)
def _compile(pattern: str) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(_translate(one)) for one in _braces(pattern))


def _braces(pattern: str) -> list[str]:
    done: list[str] = []
    todo = [pattern]
    while todo and len(done) + len(todo) <= _MAX_BRACES:
        one = todo.pop(0)
        match = re.search(r"\{([^{}]*,[^{}]*)\}", one)
        if match is None:
            done.append(one)
        else:
            todo += [one[: match.start()] + choice + one[match.end() :] for choice in match[1].split(",")]
    return done + todo


def _translate(pattern: str) -> str:
    if pattern.endswith("/"):
        pattern += "**"
    out, index = "", 0
    while index < len(pattern):
        if pattern.startswith("**/", index):
            out, index = out + "(?:[^/]+/)*", index + 3
        elif pattern.startswith("**", index):
            out, index = out + ".*", index + 2
        elif pattern[index] == "*":
            out, index = out + "[^/]*", index + 1
        elif pattern[index] == "?":
            out, index = out + "[^/]", index + 1
        elif pattern[index] == "[" and "]" in pattern[index + 2 :]:
            end = pattern.index("]", index + 2)
            inner = pattern[index + 1 : end].replace("\\", "\\\\").replace("[", "\\[")
            out, index = out + "[" + ("^" + inner[1:] if inner[0] == "!" else inner) + "]", end + 1
        else:
            out, index = out + re.escape(pattern[index]), index + 1
    return out
