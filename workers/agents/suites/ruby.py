"""Ruby: RSpec, and minitest behind Rake."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from workers.agent import Case
from workers.agents.suites.suite import Kind, Place, Suite, Tree, Ways, below, folder_of, is_below, topmost

_RAKEFILES = ("Rakefile", "rakefile", "Rakefile.rb", "rakefile.rb")
# A task as Rake's, minitest's, or nobody's class names it; without a name it is `test`.
_TASK = re.compile(
    r"^[^#\n]*?\b(?:(?P<made>(?:Rake|Minitest)::TestTask\.(?:new|create)\b)|(?:multi)?task\b)"
    r"(?:\s*+(?:\(\s*+)?:?[\"']?(?P<name>[\w:]+))?",
    re.MULTILINE,
)
# Rails and Hoe define a task `test`.
_DEFINED = re.compile(r"^[^#\n]*\b(?:load_tasks|Hoe\.spec)\b", re.MULTILINE)
_TEST_FILE = re.compile(r"^(?:test|spec)_.+\.rb$|_(?:test|spec)\.rb$")
_MINITEST = re.compile(r"^[^\S\n]*require\s*+(?:\(\s*+)?[\"']minitest\b", re.MULTILINE)
# Minitest loads what is called so from the load path, before the first test.
_PLUGIN = Path("minitest", "assay_plugin.rb")
_REPORTING = Path(__file__).with_name("assay_plugin.rb")


def _bundle(tree: Tree, place: Place) -> list[str]:
    return ["bundle", "exec"] if tree.has(place.path("Gemfile.lock")) else []


# -- RSpec


def _specs(tree: Tree) -> Iterator[Place]:
    specs = (path for path in tree.files if path.endswith("_spec.rb") and "/spec/" in f"/{path}")
    return (Place(f"/{path}".partition("/spec/")[0].lstrip("/"), path) for path in specs)


def _is_minitests(tree: Tree, folder: str) -> bool:
    """Whether the helper of a folder's specs is one of minitest's."""
    helpers = (below(folder, f"spec/{name}_helper.rb") for name in ("minitest", "spec", "test"))
    return any(_MINITEST.search(tree.text(path)) for path in helpers)


def _find_rspec(tree: Tree) -> Iterator[Place]:
    return (place for place in topmost(_specs(tree)) if not _is_minitests(tree, place.folder))


def _rspec(tree: Tree, place: Place, ways: Ways) -> Suite:
    argv = [*_bundle(tree, place), "rspec", "--format", "progress", "--format", "json"]
    argv += ["--out", f"{ways.reports}/rspec.json"]

    def again(cases: Sequence[Case]) -> Sequence[str] | None:
        return [*argv, *(case.id for case in cases)] if all(case.id for case in cases) else None

    return Suite("rspec", argv, format="rspec", again=again)


# -- minitest


def _find_minitest(tree: Tree) -> Iterator[Place]:
    """A Rakefile with a task for tests, beside a folder with some."""
    found = (Place(folder_of(path), path) for path in tree.named(*_RAKEFILES) if _task(tree.text(path)))
    return topmost(place for place in found if _has_tests(tree, place.folder))


def _has_tests(tree: Tree, folder: str) -> bool:
    tops = [below(folder, "test"), *([below(folder, "spec")] if _is_minitests(tree, folder) else [])]
    paths = (path for path in tree.files if any(is_below(path, top) for top in tops))
    return any(_TEST_FILE.search(path.rpartition("/")[2]) for path in paths)


def _task(text: str) -> str:
    """The task that runs the tests: `test`, else the first one that a class for tests makes; empty without either."""
    tasks = list(_TASK.finditer(text))
    names = [_name(task) for task in tasks]
    if "test" in names or _DEFINED.search(text):
        return "test"
    return next((name for task, name in zip(tasks, names, strict=True) if task["made"]), "")


def _name(task: re.Match[str]) -> str:
    name = (task["name"] or "").strip(":")
    return name if name not in ("", "do") else "test" if task["made"] else ""


def _minitest(tree: Tree, place: Place, ways: Ways) -> Suite:
    plugin = ways.reports.parent / "ruby" / _PLUGIN
    plugin.parent.mkdir(parents=True, exist_ok=True)
    plugin.write_text(_REPORTING.read_text("utf-8"), "utf-8")
    env = {"RUBYLIB": str(plugin.parent.parent), "ASSAY_MINITEST": str(ways.reports)}
    argv = [*_bundle(tree, place), "rake", _task(tree.text(place.why))]

    def again(cases: Sequence[Case]) -> Sequence[str] | None:
        names = "|".join(sorted({re.escape(f"{case.classname}#{case.name}") for case in cases}))
        # Rake has a shell read it.
        return [*argv, "TESTOPTS=" + shlex.quote(rf"--name=/\A(?:{names})\z/")]

    return Suite(f"rake {argv[-1]}", argv, env, prints="any", again=again)


KINDS = (
    Kind("rspec", "Ruby", "files like *_spec.rb below spec", _find_rspec, _rspec),
    Kind(
        "rake test",
        "Ruby",
        "a Rakefile with a task for tests, and files like *_test.rb, test_*.rb or spec_*.rb below test (reports of "
        "minitest)",
        _find_minitest,
        _minitest,
    ),
)
