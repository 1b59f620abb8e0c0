"""PHP, and make."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from workers.agent import Case
from workers.agents.suites.python import pytest_options
from workers.agents.suites.suite import Kind, Place, Suite, Tree, Ways, folder_of, topmost

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


def _find_make(tree: Tree) -> Iterator[Place]:
    found = (name for name in _MAKEFILES if _MAKE_TEST.search(tree.text(name)))
    yield from (Place("", name) for name in list(found)[:1])


def _make(_tree: Tree, _place: Place, ways: Ways) -> Suite:
    return Suite("make test", ["make", "test"], pytest_options(ways.reports), prints="any")


KINDS = (Kind("phpunit", "PHP", "phpunit.xml, phpunit.xml.dist", _find_phpunit, _phpunit),)
COLLECTORS = (Kind("make test", "any", "a target `test` in the Makefile", _find_make, _make, collector=True),)
