"""Names that look like those of popular packages: the ones that a slip of the finger brings.

`popular/` lists names, the most used first. Those at its head are worth imitating; all of them are beyond suspicion.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

from workers.agents.dependencies.advisory import normal

_FILES = {
    "npm": "npm.txt",
    "PyPI": "pypi.txt",
    "crates.io": "crates.txt",
    "RubyGems": "rubygems.txt",
    "Packagist": "packagist.txt",
    "Go": "go.txt",
}
_IMITATED = 500
# Shorter names are all near one another.
_SHORTEST = 5


@cache
def _popular(ecosystem: str) -> tuple[str, ...]:
    if ecosystem not in _FILES:
        return ()
    text = files("workers.agents.dependencies").joinpath("popular", _FILES[ecosystem]).read_text("utf-8")
    return tuple(normal(ecosystem, name) for name in text.split())


@cache
def _near(ecosystem: str) -> tuple[frozenset[str], dict[str, str], dict[str, str]]:
    """All names; those that are imitated by what is left of them without one letter, and without separators."""
    popular = _popular(ecosystem)
    worth = [name for name in popular[:_IMITATED] if len(name) >= _SHORTEST]
    without = {short: name for name in reversed(worth) for short in (name, *_deletions(name))}
    plain = {_plain(name): name for name in reversed(worth)}
    return frozenset(popular), without, plain


def imitated(ecosystem: str, name: str) -> str:
    """The popular package that a name is one slip away from: a letter more, less, another, two swapped, or other
    separators. Empty when there is none."""
    popular, without, plain = _near(ecosystem)
    name = normal(ecosystem, name)
    if name in popular or not _SHORTEST <= len(name) <= 100 or _same_owner(ecosystem, name, popular):
        return ""
    if (other := plain.get(_plain(name), "")) and other != name:
        return other
    for short in (name, *_deletions(name)):
        if (other := without.get(short, "")) and _one_slip(name, other):
            return other
    return ""


def _same_owner(ecosystem: str, name: str, popular: frozenset[str]) -> bool:
    """A scope belongs to somebody: who owns a popular package imitates nobody with another of theirs."""
    if "/" not in name or ecosystem not in ("npm", "Packagist", "Go"):
        return False
    owner = name.rpartition("/")[0] + "/"
    return any(other.startswith(owner) for other in popular)


def _deletions(name: str) -> list[str]:
    return [name[:at] + name[at + 1 :] for at in range(len(name))]


def _plain(name: str) -> str:
    return re.sub(r"[-_.]", "", name)


def _one_slip(one: str, other: str) -> bool:
    """Whether one edit lies between the two: Damerau's distance is 1."""
    if one == other or abs(len(one) - len(other)) > 1:
        return False
    start = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    rest, rest_other = one[start:], other[start:]
    if len(one) == len(other):
        return rest[1:] == rest_other[1:] or (rest[:2] == rest_other[1::-1] and rest[2:] == rest_other[2:])
    return rest[1:] == rest_other if len(one) > len(other) else rest == rest_other[1:]
