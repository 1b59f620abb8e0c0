"""PHP, shell with Bats, and make."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from workers.agent import Case
from workers.agents.suites.python import pytest_options
from workers.agents.suites.suite import Kind, Place, Suite, Tree, Ways, below, folder_of, topmost

_MAKEFILES = ("GNUmakefile", "makefile", "Makefile")
_CONFIGURE = ("configure", "configure.ac")
_AUTOMAKE_TESTS = re.compile(r"^(?:check-local\s*:|TESTS\s*\+?=)", re.MULTILINE)
_SUBDIRS = re.compile(r"^SUBDIRS\s*\+?=", re.MULTILINE)


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
        named = {next((path for path, _ in case.frames), "") for case in cases}
        own = [f"./{path.removeprefix(place.folder).lstrip('/')}" for path in sorted(named) if path.endswith(".bats")]
        files = own if len(own) == len(named) else inside
        # What comes before or after a file's tests comes with these alone.
        if any(case.status == "error" for case in cases):
            return ["bats", "--tap", *files]
        names = sorted({re.sub(r"([\\^$.*+?()\[\]{}|])", r"\\\1", case.name) for case in cases})
        return ["bats", "--tap", "--filter", f"^({'|'.join(names)})$", *files]

    return Suite("bats", ["bats", "--tap", *inside], prints="tap", again=again)


# -- make


def _makefile(tree: Tree, target: str) -> str:
    """The root's file by which make knows a target, or will know it after `configure`; empty where there is none."""
    if there := [name for name in _MAKEFILES if tree.has(name)]:
        return next((name for name in there if re.search(rf"^{target}\s*::?(?!=)", tree.text(name), re.MULTILINE)), "")
    if not any(tree.has(name) for name in _CONFIGURE):
        return ""
    return next((name for name in tree.named("Makefile.am", "Makefile.in") if _will_have(tree, name, target)), "")


def _will_have(tree: Tree, name: str, target: str) -> bool:
    """Automake makes a target `check` for every Makefile.am, even where there are no tests."""
    text = tree.text(name)
    if name.endswith(".am") and target == "check" and _AUTOMAKE_TESTS.search(text):
        return True
    ours = name == "Makefile.am" or (name == "Makefile.in" and not tree.has("Makefile.am"))
    return ours and bool(re.search(rf"^{target}\s*::?(?!=)", text, re.MULTILINE))


def _find_make(tree: Tree) -> Iterator[Place]:
    if name := _makefile(tree, "test"):
        yield Place("", name)


def _find_make_check(tree: Tree) -> Iterator[Place]:
    if not _makefile(tree, "test") and (name := _makefile(tree, "check")):
        yield Place("", name)


def _make(tree: Tree, _place: Place, ways: Ways) -> Suite:
    return Suite("make test", ["make", "test"], pytest_options(ways.reports), build=_configure(tree), prints="any")


def _make_check(tree: Tree, _place: Place, ways: Ways) -> Suite:
    def again(cases: Sequence[Case]) -> Sequence[str] | None:
        """Automake's own, of one folder: make would look for them in every other one, too."""
        if _SUBDIRS.search(tree.text("Makefile.am")) or not all(case.path for case in cases):
            return None
        return ["make", "check", f"TESTS={' '.join(sorted({case.path for case in cases}))}"]

    # What failed tests printed stands in the output, too.
    env = {"VERBOSE": "1", **pytest_options(ways.reports)}
    return Suite("make check", ["make", "check"], env, build=_configure(tree), prints="any", again=again)


def _configure(tree: Tree) -> Sequence[Sequence[str]]:
    """What makes the Makefile."""
    if any(tree.has(name) for name in _MAKEFILES):
        return ()
    return [*([] if tree.has("configure") else [["autoreconf", "-i"]]), ["./configure"]]


KINDS = (
    Kind("phpunit", "PHP", "phpunit.xml, phpunit.xml.dist", _find_phpunit, _phpunit),
    Kind(
        "bats", "shell", "files like *.bats; not where the script `test` of a package.json starts it", _find_bats, _bats
    ),
)
COLLECTORS = (
    Kind(
        "make test",
        "any",
        "a target `test` in the Makefile, or in the one that `configure` or configure.ac makes",
        _find_make,
        _make,
        collector=True,
    ),
    Kind(
        "make check",
        "any",
        "the same with a target `check` or automake's TESTS, and no target `test`",
        _find_make_check,
        _make_check,
        collector=True,
    ),
)
