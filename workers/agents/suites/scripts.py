"""PHP, shell with Bats, and make."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from workers.agent import Case
from workers.agents.suites.python import pytest_options
from workers.agents.suites.suite import Kind, Place, Suite, Tree, Ways, below, folder_of, topmost

_MAKE_TEST = re.compile(r"^test\s*::?(?!=)", re.MULTILINE)
_MAKEFILES = ("GNUmakefile", "makefile", "Makefile")


def _find_phpunit(tree: Tree) -> Iterator[Place]:
    return topmost(
        Place(folder_of(path), path) for path in tree.named("phpunit.xml", "phpunit.xml.dist", "phpunit.dist.xml")
    )


def _phpunit(tree: Tree, place: Place, ways: Ways) -> Suite:
    own = "vendor/bin/phpunit"
    program = own if (tree.root / place.folder / own).exists() else "phpunit"
    argv = [program, "--log-junit", f"{ways.reports}/phpunit.xml"]

    def again(cases: Sequence[Case]) -> Sequence[str] | None:
        names = sorted({re.escape(case.name.partition(" with data set ")[0]) for case in cases})
        return [*argv, "--filter", f"/::({'|'.join(names)})( with data set .*)?$/"]

    return Suite("phpunit", argv, again=again)


# -- Bats

# Where tests lie below the folder that they are run from, and where libraries for them.
_TESTS = {"test", "tests", "spec", "bats"}
_LIBRARY = re.compile(r"(^|/)(test_helper|bats-(core|support|assert|file|mock))/")


def _bats_files(tree: Tree) -> Iterator[tuple[str, str]]:
    """The files of tests, each with the folder that they are run from."""
    for path in tree.files:
        if path.endswith(".bats") and not _LIBRARY.search(path):
            parts = path.split("/")[:-1]
            top = next((index for index, name in enumerate(parts) if name in _TESTS), len(parts))
            yield "/".join(parts[:top]), path


def _find_bats(tree: Tree) -> Iterator[Place]:
    """Not where a script `test` of a package.json starts it."""
    first: dict[str, str] = {}
    for folder, path in _bats_files(tree):
        first.setdefault(folder, path)
    for folder, path in first.items():
        scripts = tree.json(below(folder, "package.json")).get("scripts")
        if not (isinstance(scripts, dict) and re.search(r"\bbats\b", str(scripts.get("test")))):
            yield Place(folder, path)


def _bats(tree: Tree, place: Place, _ways: Ways) -> Suite:
    folders = {folder_of(path) for folder, path in _bats_files(tree) if folder == place.folder}
    inside = sorted(f"./{folder[len(place.folder) :].lstrip('/')}" for folder in folders)

    def again(cases: Sequence[Case]) -> Sequence[str] | None:
        names = sorted({re.sub(r"([\\^$.*+?()\[\]{}|])", r"\\\1", case.name) for case in cases})
        return ["bats", "--tap", "--filter", f"^({'|'.join(names)})$", *inside]

    return Suite("bats", ["bats", "--tap", *inside], prints="tap", again=again)


# -- make


def _find_make(tree: Tree) -> Iterator[Place]:
    found = (name for name in _MAKEFILES if _MAKE_TEST.search(tree.text(name)))
    yield from (Place("", name) for name in list(found)[:1])


def _make(_tree: Tree, _place: Place, ways: Ways) -> Suite:
    return Suite("make test", ["make", "test"], pytest_options(ways.reports), prints="any")


KINDS = (
    Kind("phpunit", "PHP", "phpunit.xml, phpunit.xml.dist", _find_phpunit, _phpunit),
    Kind(
        "bats", "shell", "files like *.bats; not where the script `test` of a package.json starts it", _find_bats, _bats
    ),
)
COLLECTORS = (Kind("make test", "any", "a target `test` in the Makefile", _find_make, _make, collector=True),)
