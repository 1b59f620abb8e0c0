"""The values of detection: a suite, a row of the table that finds it, and the tree that is looked at."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from workers.agent import Case
from workers.agents import tree

# Where other people's code lies, and how much of a tree is looked at.
_NOT_OURS = {
    *("node_modules", "bower_components", "site-packages", "venv", "env", "vendor", "third_party", "build", "dist"),
    *("target", "testdata", "fixtures", "__fixtures__", "examples", "templates"),
}
_MOST_FOLDERS = 10_000

Again = Callable[[Sequence[Case]], Sequence[str] | None]
Affected = Callable[[Sequence[str]], Sequence[str] | None]


@dataclass(frozen=True)
class Suite:
    """A way to run tests.

    `argv` is an argument list, to run in `folder` (relative, empty for the repository's own), `env` is added to the
    environment, and `build` are commands that come before. `why` names what it was found by. Its results are in the
    `format` of a registered parser: in files that it leaves in the scratch folder or, by globs, in the tree
    (`reports`, JUnit), or, where `prints` names a format, in what it prints. `again` gives the command that runs these
    tests alone, `affected` the one that runs only what a change to these files concerns; both None where it cannot be.
    `failing` are the exit codes of a run in which tests failed, where others mean that the runner itself did. `also`
    are suites of the same folder for what this one leaves out.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    folder: str = ""
    why: str = ""
    build: Sequence[Sequence[str]] = ()
    format: str = "junit"
    reports: Sequence[str] = ()
    prints: str = ""
    again: Again = lambda _cases: None
    affected: Affected = lambda _paths: None
    failing: Sequence[int] = ()
    also: Sequence[Suite] = ()


@dataclass(frozen=True)
class Left:
    """Something that looks like tests and is not run, and why. It `counts` where nothing else runs it."""

    what: str
    why: str
    counts: bool = False


class Tree:
    """The files of a repository that may be its own tests: nothing of other people's, bounded."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._read = tree.reader(root)

    @cached_property
    def files(self) -> Sequence[str]:
        """All of them, `/`-separated, those nearer to the root first."""
        return sorted(self._walk(), key=lambda path: (path.count("/"), path))

    def _walk(self) -> Iterator[str]:
        for seen, (folder, folders, files) in enumerate(os.walk(self.root)):
            if seen >= _MOST_FOLDERS:
                return
            folders[:] = sorted(name for name in folders if name not in _NOT_OURS and not name.startswith("."))
            place = PurePosixPath(Path(folder).relative_to(self.root).as_posix())
            yield from (str(place / name) for name in files)

    def named(self, *names: str) -> Iterator[str]:
        """The files of these names, anywhere."""
        return (path for path in self.files if path.rpartition("/")[2] in names)

    def has(self, path: str) -> bool:
        return tree.within(self.root, path) is not None

    def text(self, path: str) -> str:
        return "\n".join(self._read(path))

    def json(self, path: str) -> Mapping[str, Any]:
        """The mapping that a file holds; empty for anything else."""
        try:
            value = json.loads(self.text(path) or "{}")
        except (ValueError, RecursionError):
            return {}
        return value if isinstance(value, dict) else {}


@dataclass(frozen=True)
class Place:
    """A folder of a tree (relative, empty for the root) in which a kind of suite was found, by `why`."""

    folder: str
    why: str

    def path(self, name: str) -> str:
        return below(self.folder, name)


def below(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def folder_of(path: str) -> str:
    return path.rpartition("/")[0]


def is_below(path: str, folder: str) -> bool:
    return not folder or path == folder or path.startswith(f"{folder}/")


def topmost(places: Iterable[Place]) -> Iterator[Place]:
    """Those that lie in no folder of another."""
    kept: list[str] = []
    for place in sorted(places, key=lambda place: place.folder.count("/") + bool(place.folder)):
        if not any(is_below(place.folder, folder) for folder in kept):
            kept.append(place.folder)
            yield place


@dataclass(frozen=True)
class Ways:
    """What is needed to make a command line: `reports` is the folder that takes reports, `build` one that takes what
    is built, `python(places)` the interpreter to run tests with, `node(env)` whether a Node starts with that
    environment, `where(program)` its path, None where it is not installed."""

    reports: Path
    build: Path
    python: Callable[[], str]
    node: Callable[[Mapping[str, str]], bool]
    where: Callable[[str], str | None]


@dataclass(frozen=True)
class Kind:
    """A row of the table: how a kind of suite is called, its languages, what it is found by in words and by looking,
    and how it is run. A `collector` is not run where something else was found in its folder, for it calls most often
    just that."""

    name: str
    languages: str
    signs: str
    find: Callable[[Tree], Iterator[Place]]
    suite: Callable[[Tree, Place, Ways], Suite]
    collector: bool = False
