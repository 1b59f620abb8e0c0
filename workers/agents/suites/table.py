"""The table of test suites, and detection by it."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

from bot.errors import ToolFailed
from workers.agents.shell import Shell
from workers.agents.suites import compiled, node, python, ruby, scripts
from workers.agents.suites.preparing import Ready
from workers.agents.suites.python import pytest_options
from workers.agents.suites.suite import Kind, Left, Place, Suite, Tree, Ways

# Collectors come last: they are run only where nothing else was found.
KINDS: tuple[Kind, ...] = (
    *python.KINDS,
    *node.KINDS,
    *compiled.KINDS,
    *scripts.KINDS,
    *ruby.KINDS,
    *scripts.COLLECTORS,
)

# More suites than that are not run by themselves.
_MOST_SUITES = 20
# Looked for, not imported: that takes a tenth of a second.
_HAS_PYTEST = "import importlib.util, sys; sys.exit(importlib.util.find_spec('pytest') is None)"


@dataclass(frozen=True)
class Detection:
    """The suites of a tree, and what looks like tests but is `left` out."""

    suites: Sequence[Suite]
    left: Sequence[Left] = ()


@dataclass(frozen=True)
class Found:
    """The rows of the table that found something, and where; and what is left out."""

    rows: Sequence[tuple[Kind, Place]]
    left: Sequence[Left] = ()

    @property
    def setups(self) -> Sequence[tuple[str, Place]]:
        return [(kind.name, place) for kind, place in self.rows]


def look(tree: Tree) -> Found:
    """Find what tests a tree has, by the table and by its files alone."""
    rows: list[tuple[Kind, Place]] = []
    left: list[Left] = []
    for kind in sorted(KINDS, key=lambda kind: kind.collector):
        for place in kind.find(tree):
            if kind.collector and rows:
                others = ", ".join(dict.fromkeys(_named(one.name, where) for one, where in rows))
                why = f"{place.why} is there, but {others} was found: most often it runs just that"
                left.append(Left(kind.name, why))
            elif len(rows) >= _MOST_SUITES:
                left.append(Left(_named(kind.name, place), f"more than {_MOST_SUITES} suites", counts=True))
            else:
                rows.append((kind, place))
    return Found(rows, left)


def detect(shell: Shell, scratch: Path, found: Found | None = None, ready: Ready | None = None) -> Detection:
    """The suites of the work's tree. Nothing of it is executed but its own Python, which is asked whether it has
    pytest; `ready` is what was set up for what was `found`."""
    tree, ready = Tree(shell.work.root), ready or Ready()
    found = found or look(tree)
    ways = _ways(shell, scratch)
    suites: list[Suite] = []
    for kind, place in found.rows:
        own = ready.python.get(place.folder)
        here = replace(ways, python=partial(str, own)) if own else ways
        first, env = kind.suite(tree, place, here), ready.env_for(place.folder)
        suites += [replace(_at(place, suite), env={**env, **suite.env}) for suite in (first, *first.also)]
    return Detection(suites, found.left)


def _named(name: str, place: Place) -> str:
    return f"{name} in {place.folder}" if place.folder else name


def _at(place: Place, suite: Suite) -> Suite:
    return replace(suite, name=_named(suite.name, place), folder=place.folder, why=place.why)


def described() -> str:
    """The table for people, as Markdown."""
    rows = [("suite", "languages", "found by"), ("---",) * 3]
    rows += [
        (kind.name, kind.languages, kind.signs + ("; not where anything else was found" if kind.collector else ""))
        for kind in KINDS
    ]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def configured(command: str, scratch: Path) -> Suite:
    """The suite of the setting `run`."""
    argv = ["/bin/sh", "-c", command]
    return Suite("the test command", argv, pytest_options(reports_folder(scratch)), why="agents.test.run", prints="any")


def reports_folder(scratch: Path) -> Path:
    return scratch / "reports"


def build_folder(scratch: Path) -> Path:
    return scratch / "build"


def _ways(shell: Shell, scratch: Path) -> Ways:
    def node_starts(env: Mapping[str, str]) -> bool:
        try:
            return shell.run(["node", "-e", ""], env).exit_code == 0
        except ToolFailed:
            return False

    return Ways(
        reports_folder(scratch),
        build_folder(scratch),
        cache(lambda: _python(shell)),
        node_starts,
        shell.kit.sandbox.which,
    )


def _python(shell: Shell) -> str:
    """The repository's own interpreter, else the first that has pytest, else Assay's, which has."""
    for candidate in (".venv/bin/python", "venv/bin/python", "python", "python3"):
        try:
            if shell.run([candidate, "-c", _HAS_PYTEST]).exit_code == 0:
                # From a folder of a package, too.
                return str(shell.work.root / candidate) if "/" in candidate else candidate
        except ToolFailed:
            continue
    return sys.executable
