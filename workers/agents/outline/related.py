"""What has to do with a change elsewhere in the repository: who uses what it changes, and the definitions of what it
uses. By name, and by what files import: there may be others of that name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from bot.domain.diff import Diff
from workers.agent import Reader, Sandbox
from workers.agents import tree
from workers.agents.hunks import visible, whole_lines
from workers.agents.kinds import is_test
from workers.agents.outline.outline import Definition, Outline, outlines
from workers.agents.outline.search import Module, module, search

# Files of a change, and pieces of one, in which names are looked up.
_CHANGED, _SPANS = 40, 100
# Names of a change that are looked for: what it changes, and what it uses; of each, files that a grammar reads; of all.
_NAMES, _USED, _EACH, _READ = 20, 40, 6, 80
# What is told of a name: users; definitions, and lines of one.
_CALLERS, _DEFINITIONS, _BODY = 3, 2, 12
_SHORTEST = 3
_LINE = 160
# Everybody has such, and tells nothing.
_COMMON = frozenset(("main", "init", "new", "get", "set", "run", "setup", "close", "open", "constructor", "toString"))
# What is called, or written as types and constants are.
_CALLED = re.compile(r"\b([A-Za-z_]\w*)[ \t]*\(|\b([A-Z]\w+)\b")
_KEYWORDS = frozenset(
    ("None", "True", "False", "self", "this", "super", "return", "while", "for", "switch", "catch", "elif", "print")
)


class Caller(NamedTuple):
    """A use of `name` elsewhere: where, within what (empty for nothing), and the line's text."""

    name: str
    path: str
    line: int
    within: str
    text: str


class Defined(NamedTuple):
    """A definition of `name` which these `users` use: where it begins, and its lines, redacted and visible."""

    name: str
    path: str
    line: int
    lines: tuple[str, ...]
    users: frozenset[str]


@dataclass(frozen=True)
class Names:
    """The names that a change touches, each by the files of the change: which it `changed`, and which it `used`."""

    changed: Mapping[str, tuple[str, ...]]
    used: Mapping[str, tuple[str, ...]]

    @property
    def all(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.changed, *self.used)))

    @property
    def paths(self) -> tuple[str, ...]:
        found = (path for names in (self.changed, self.used) for own in names.values() for path in own)
        return tuple(dict.fromkeys(found))

    def changed_in(self, paths: Iterable[str]) -> set[str]:
        return {name for path in paths for name, own in self.changed.items() if path in own}


def names_of(found: Mapping[str, Outline], diff: Diff, read: Reader, before: Mapping[str, Outline]) -> Names:
    """What the files change, the innermost definitions in which changed lines begin or end, and those of `before` that
    are gone; and what their added lines use."""
    changed: dict[str, tuple[str, ...]] = {}
    used: dict[str, tuple[str, ...]] = {}
    for path in list(dict.fromkeys((*before, *found)))[:_CHANGED]:
        outline = found.get(path, Outline())
        spans = file.added[:_SPANS] if (file := diff.files.get(path)) else ()
        there = {one.name for one in outline.definitions}
        gone = [one.name for one in before.get(path, Outline()).definitions if one.name not in there]
        around = [one.name for span in spans for line in span for one in outline.around(line)[-1:]]
        for name in filter(_tells, (*gone, *around)):
            changed[name] = tuple(dict.fromkeys((*changed.get(name, ()), path)))
        for name in _used(read(path), spans):
            used[name] = tuple(dict.fromkeys((*used.get(name, ()), path)))
    return Names(dict(list(changed.items())[:_NAMES]), dict(list(used.items())[:_USED]))


def _used(lines: Sequence[str], spans: Iterable[tuple[int, int]]) -> Iterator[str]:
    for first, last in spans:
        for line in lines[first - 1 : last]:
            for match in _CALLED.finditer(line[:1_000]):
                name = match[1] or match[2]
                if _tells(name) and name not in _KEYWORDS:
                    yield name


def _tells(name: str) -> bool:
    plain = len(name) >= _SHORTEST and re.fullmatch(r"\w+", name) is not None
    return plain and name not in _COMMON and not name.startswith(("__", "test"))


@dataclass(frozen=True)
class Related:
    """Who uses what a change changes, the likeliest first, and where that is defined which it uses."""

    callers: tuple[Caller, ...] = ()
    definitions: tuple[Defined, ...] = ()


def find_related(
    names: Names, root: Path, sandbox: Sandbox, redact: Callable[[str], str], skipped: Callable[[str], bool]
) -> Related:
    """Look through the tree, but for files that are `skipped`. In languages in which names are imported, one that
    stands by itself counts only where its file imports it."""
    if not names.all:
        return Related()
    read = tree.reader(root)
    own = {path: module(path, "\n".join(read(path))) for path in names.paths}

    def wanted(one: Module) -> bool:
        if not one.names.isdisjoint(names.changed) or not one.defined.isdisjoint(names.used):
            return True
        return any(user.knows(one) for user in own.values())

    there = {one.path: one for one in search(names.all, names.paths, root, wanted, skipped)}
    of_changed = {name: [own[path] for path in of] for name, of in names.changed.items()}
    of_used = {name: [own[path] for path in of] for name, of in names.used.items()}
    using = {name: _users(name, of, there.values()) for name, of in of_changed.items()}
    defining = {name: _definers(name, of, there.values()) for name, of in of_used.items()}
    paths = dict.fromkeys(one.path for each in (*using.values(), *defining.values()) for one in each)
    outlined = outlines(list(paths)[:_READ], root, sandbox, names.all)
    show = partial(_show, read, redact)
    callers = (_callers(name, of, using[name], outlined, read)[:_CALLERS] for name, of in of_changed.items())
    definitions = (_defined(name, of, defining[name], outlined, show)[:_DEFINITIONS] for name, of in of_used.items())
    return Related(tuple(chain.from_iterable(callers)), tuple(chain.from_iterable(definitions)))


def _users(name: str, of: Sequence[Module], modules: Iterable[Module]) -> list[Module]:
    """The files that may use a name of these others, the likeliest first: code before tests, those that import it
    before others, the nearest before those far away."""
    families = {one.family for one in of}

    def rank(one: Module) -> tuple[bool, bool, int, str]:
        return is_test(one.path), not _knows(one, of, name), min(map(one.steps, of)), one.path

    return sorted((one for one in modules if name in one.names and one.family in families), key=rank)[:_EACH]


def _knows(one: Module, others: Iterable[Module], name: str) -> bool:
    """Whether it imports one of these, or the name from somewhere that may hand it on."""
    return name in one.imported or any(one.knows(other) for other in others)


def _callers(
    name: str, of: Sequence[Module], using: Iterable[Module], outlined: Mapping[str, Outline], read: Reader
) -> list[Caller]:
    callers: dict[tuple[str, str], Caller] = {}
    for user in using:
        outline, lines, known = outlined.get(user.path, Outline()), read(user.path), _knows(user, of, name)
        for use in outline.uses:
            # Of what is not imported a member may still be the one that is meant.
            meant = known or not (use.alone and user.imports_names)
            if use.name == name and meant and 0 < use.line <= len(lines):
                within = ".".join(one.name for one in outline.around(use.line))
                caller = Caller(name, user.path, use.line, within, lines[use.line - 1].strip()[:_LINE])
                callers.setdefault((user.path, within), caller)
    return list(callers.values())


def _definers(name: str, users: Sequence[Module], modules: Iterable[Module]) -> list[Module]:
    """The files that may define a name which these use, the likeliest first."""
    families = {one.family for one in users}

    def known(one: Module) -> bool:
        return any(user.knows(one) for user in users)

    def rank(one: Module) -> tuple[bool, bool, bool, int, str]:
        return not known(one), name not in one.defined, is_test(one.path), min(map(one.steps, users)), one.path

    likely = (one for one in modules if name in one.names and one.family in families)
    return sorted((one for one in likely if name in one.defined or known(one)), key=rank)[:_EACH]


def _defined(
    name: str,
    users: Sequence[Module],
    defining: Iterable[Module],
    outlined: Mapping[str, Outline],
    show: Callable[[str, Definition], tuple[str, ...]],
) -> list[Defined]:
    """The definitions of a name in files that its users import; where they import none, the only one that there is."""
    found = [
        (module, one)
        for module in defining
        for one in outlined.get(module.path, Outline()).definitions
        if one.name.split("::")[-1] == name
    ]
    by = [frozenset(user.path for user in users if user.knows(module)) for module, _ in found]
    if not any(by) and len(found) == 1:
        by = [frozenset(user.path for user in users)]
    return [
        Defined(name, module.path, one.first, show(module.path, one), known)
        for (module, one), known in zip(found, by, strict=True)
        if known
    ]


def _show(read: Reader, redact: Callable[[str], str], path: str, one: Definition) -> tuple[str, ...]:
    """Of a definition the first lines. A file is redacted as a whole, for half a secret is not recognised."""
    lines = whole_lines(read(path), redact)[one.first - 1 : min(one.last, one.first + _BODY - 1)]
    return tuple(visible(line)[:_LINE] for line in lines)
