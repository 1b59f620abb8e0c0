"""Globs over repository paths and branch names: `*` within a segment, `**` over segments, `?`, `[abc]`, `{a,b}`.

Patterns and paths are a stranger's, and a regular expression made of many stars may take for ever. So a pattern is a
row of places, the set of places that a path may have reached is kept in the bits of one number, and each character
moves all of them at once: a match takes time in proportion to the path.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

_MAX_LENGTH = 1000
_MAX_CHOICES = 64


def matches(pattern: str, path: str) -> bool:
    """Whether the whole path matches. A pattern that ends in `/` means everything below that folder; one without a
    `/` other than that matches the whole path only, as GitHub Actions does. `**/` also stands for no folder at all.

    A pattern of more than 1,000 characters, and braces that would make more than 64 patterns of one, are taken
    literally.
    """
    if len(pattern) > _MAX_LENGTH:
        return pattern == path
    return any(glob.matches(path) for glob in _compile(pattern))


def matches_any(patterns: Iterable[str], path: str) -> bool:
    return any(matches(pattern, path) for pattern in patterns)


@lru_cache(maxsize=1024)
def _compile(pattern: str) -> tuple[_Glob, ...]:
    return tuple(_Glob(one) for one in _choices(pattern))


def _choices(pattern: str) -> list[str]:
    done: list[str] = []
    todo = [pattern]
    while todo:
        one = todo.pop()
        braces = next((match for match in re.finditer(r"\{([^{}]*)\}", one) if "," in match[1]), None)
        choices = braces[1].split(",") if braces else []
        if braces is None or len(done) + len(todo) + len(choices) > _MAX_CHOICES:
            done.append(one)
        else:
            todo += [one[: braces.start()] + choice + one[braces.end() :] for choice in choices]
    return done


class _Glob:
    """One pattern without braces. Each mask has a bit for every place whose character it takes."""

    def __init__(self, pattern: str) -> None:
        self.end = 1
        self.exact: dict[str, int] = {}
        self.any = self.name = 0
        self.classes: list[tuple[int, _Class]] = []
        # Places that may be stayed at, left without a character, and where all of a `**/` may be left out.
        self.repeats = self.empty = self.folders = 0
        pattern = pattern + "**" if pattern.endswith("/") else pattern
        pattern = re.sub(r"\*{3,}", "**", pattern)
        # What a path has to hold in any case tells most of those that do not match.
        self.literal = max(_SPECIAL.split(pattern), key=len)
        index = 0
        while index < len(pattern):
            index += self._add(pattern, index)
            self.end <<= 1

    def _add(self, pattern: str, index: int) -> int:
        """Add the place for what stands at this index of the pattern; how much of the pattern that is."""
        if pattern.startswith("**/", index):
            # A place of its own: once `**` has taken something, its `/` has to come.
            self.folders |= self.end
            self.empty |= self.end
            self.end <<= 1
        place, char = self.end, pattern[index]
        if char == "*":
            self.repeats |= place
            self.empty |= place
            if not pattern.startswith("**", index):
                self.name |= place
                return 1
            self.any |= place
            return 2
        if char == "?":
            self.name |= place
        elif char == "[" and (found := _CLASS.match(pattern, index)):
            self.classes.append((place, _Class(found[1])))
            return len(found[0])
        else:
            self.exact[char] = self.exact.get(char, 0) | place
        return 1

    def matches(self, path: str) -> bool:
        if self.literal not in path:
            return False
        places = self._skip(1)
        for char in path:
            taken = places & self._takers(char)
            places = self._skip(taken & self.repeats | (taken & ~self.repeats) << 1)
            if not places:
                return False
        return bool(places & self.end)

    def _takers(self, char: str) -> int:
        takers = self.exact.get(char, 0) | self.any
        if char == "/":
            return takers
        for place, one_of in self.classes:
            if one_of.takes(char):
                takers |= place
        return takers | self.name

    def _skip(self, places: int) -> int:
        while (more := places | (places & self.empty) << 1 | (places & self.folders) << 3) != places:
            places = more
        return places


# A `]` that comes first stands for itself.
_CLASS = re.compile(r"\[(!?\][^\]]*|!?[^\]]+)\]")
# What takes no character of its own name; a `**/` may take none at all.
_SPECIAL = re.compile(r"\*\*/|\*+|\?|\[(?:!?\][^\]]*|!?[^\]]+)\]")


class _Class:
    """What stands between brackets: characters and ranges, all but those after a `!`. A range that runs backwards is
    empty."""

    def __init__(self, inner: str) -> None:
        self.negated = inner.startswith("!") and len(inner) > 1
        members = re.findall(r"(.)-(.)|(.)", inner[self.negated :], re.DOTALL)
        self.ranges = [(first or one, last or one) for first, last, one in members]

    def takes(self, char: str) -> bool:
        return any(first <= char <= last for first, last in self.ranges) is not self.negated
