"""PHP, Ruby, and make."""

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


def _find_rspec(tree: Tree) -> Iterator[Place]:
    specs = (path for path in tree.files if path.endswith("_spec.rb") and "/spec/" in f"/{path}")
    return topmost(Place(f"/{path}".partition("/spec/")[0].lstrip("/"), path) for path in specs)


def _rspec(tree: Tree, place: Place, ways: Ways) -> Suite:
    bundle = ["bundle", "exec"] if tree.has(place.path("Gemfile.lock")) else []
    argv = [*bundle, "rspec", "--format", "progress", "--format", "json", "--out", f"{ways.reports}/rspec.json"]

    def again(cases: Sequence[Case]) -> Sequence[str] | None:
        return [*argv, *(case.id for case in cases)] if all(case.id for case in cases) else None

    return Suite("rspec", argv, format="rspec", again=again)


def _find_make(tree: Tree) -> Iterator[Place]:
    found = (name for name in _MAKEFILES if _MAKE_TEST.search(tree.text(name)))
    yield from (Place("", name) for name in list(found)[:1])


def _make(_tree: Tree, _place: Place, ways: Ways) -> Suite:
    return Suite("make test", ["make", "test"], pytest_options(ways.reports), prints="any")


KINDS = (
    Kind("phpunit", "PHP", "phpunit.xml, phpunit.xml.dist", _find_phpunit, _phpunit),
    Kind("rspec", "Ruby", "files like *_spec.rb below spec", _find_rspec, _rspec),
)
COLLECTORS = (Kind("make test", "any", "a target `test` in the Makefile", _find_make, _make, collector=True),)
