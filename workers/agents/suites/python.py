"""Python: pytest, unittest, tox and nox."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

from workers.agent import Case
from workers.agents.suites.suite import Kind, Place, Suite, Tree, Ways, below, folder_of, is_below, topmost

# Where pytest's configuration may be, and what must stand there.
_PYTEST_CONFIG = {
    "pytest.ini": "",
    ".pytest.ini": "",
    "pyproject.toml": "[tool.pytest",
    "tox.ini": "[pytest]",
    "setup.cfg": "[tool:pytest]",
}
_PROJECT = ("pyproject.toml", "setup.py", "setup.cfg", "pytest.ini", ".pytest.ini", "tox.ini")
_TEST_FILE = re.compile(r"^(test_.*|.*_test)\.py$")
_UNITTEST_FILE = re.compile(r"^test.*\.py$")
# A script may be called test_something, too.
_TEST = re.compile(
    r"^[^\S\n]*(async )?def test|^class Test|^class \w+\(.*TestCase|^[^\S\n]*(import|from) (pytest|unittest)\b",
    re.MULTILINE,
)
_UNITTEST = re.compile(r"^class \w+\(.*TestCase|^[^\S\n]*(import|from) unittest\b", re.MULTILINE)
# What unittest could not run: functions on their own, and what speaks of pytest.
_PYTEST_ONLY = re.compile(r"^(async )?def test|^[^\S\n]*(import|from) pytest\b", re.MULTILINE)
_MOST_CANDIDATES = 200


def pytest_options(reports: Path) -> dict[str, str]:
    """Whatever runs pytest in the end, it leaves a report. xunit1, because it names file and line. pytest fills in the
    variables, so that environments of tox and sessions of nox do not overwrite each other's."""
    report = f"{reports}/pytest-${{TOX_ENV_NAME}}-${{NOX_CURRENT_SESSION}}.xml"
    return {"PYTEST_ADDOPTS": f"--junitxml={report} -o junit_family=xunit1"}


# -- finding


def _config(tree: Tree, folder: str) -> str:
    """The file that configures pytest in that folder; empty where none does."""
    names = (name for name, text in _PYTEST_CONFIG.items() if tree.has(below(folder, name)))
    return next((name for name in names if _PYTEST_CONFIG[name] in tree.text(below(folder, name))), "")


def _test_files(tree: Tree) -> Iterator[str]:
    """Files that are made for pytest or unittest, wherever they lie: in a folder of their own or beside the code."""
    named = (path for path in tree.files if path.endswith("conftest.py") or _TEST_FILE.match(path.rpartition("/")[2]))
    for path in islice(named, _MOST_CANDIDATES):
        if path.rpartition("/")[2] == "conftest.py" or _TEST.search(tree.text(path)):
            yield path


def _places(tree: Tree) -> Iterator[Place]:
    """The root, where it is configured or holds tests that are no nested project's; else every nested project."""
    if config := _config(tree, ""):
        yield Place("", config)
        return
    projects = {folder_of(path) for path in tree.named(*_PROJECT)} - {""}
    nested: dict[str, str] = {}
    for path in _test_files(tree):
        owner = next((folder for folder in sorted(projects, key=len) if is_below(path, folder)), "")
        if not owner:
            yield Place("", path)
            return
        nested.setdefault(owner, path)
    for folder in projects:
        if config := _config(tree, folder):
            nested[folder] = below(folder, config)
    yield from topmost(Place(folder, why) for folder, why in nested.items())


def _own(tree: Tree, place: Place) -> list[str]:
    return [path for path in _test_files(tree) if is_below(path, place.folder)]


def _is_unittests(tree: Tree, place: Place) -> bool:
    """Whether every test is unittest's, where its discovery finds it."""
    files = _own(tree, place)
    return (
        bool(files)
        and not _config(tree, place.folder)
        and all(_UNITTEST_FILE.match(path.rpartition("/")[2]) and _unittests(tree.text(path)) for path in files)
        and _start(tree, place, files) is not None
    )


def _unittests(text: str) -> bool:
    return bool(_UNITTEST.search(text)) and not _PYTEST_ONLY.search(text)


def _start(tree: Tree, place: Place, files: Sequence[str]) -> Sequence[str] | None:
    """Where discovery begins, as its arguments: a package is entered from the folder above, any other folder is one of
    its own. None where one beginning does not find all."""
    tops = {_top(tree, place, folder_of(path)) for path in files}
    if tops == {place.folder}:
        return ()
    top = min(tops, key=len)
    if len(tops) == 1 and top != place.folder:
        return ("-s", top.removeprefix(f"{place.folder}/"))
    return None


def _top(tree: Tree, place: Place, folder: str) -> str:
    while folder != place.folder and tree.has(below(folder, "__init__.py")):
        folder = folder_of(folder)
    return folder


def _find_pytest(tree: Tree) -> Iterator[Place]:
    return (place for place in _places(tree) if not _is_unittests(tree, place))


def _find_unittest(tree: Tree) -> Iterator[Place]:
    return (place for place in _places(tree) if _is_unittests(tree, place))


def _find_tox(tree: Tree) -> Iterator[Place]:
    if "[tox]" in tree.text("tox.ini") or "[testenv" in tree.text("tox.ini"):
        yield Place("", "tox.ini")
    elif "[tool.tox" in tree.text("pyproject.toml"):
        yield Place("", "pyproject.toml")
    elif tree.has("tox.toml"):
        yield Place("", "tox.toml")


def _find_nox(tree: Tree) -> Iterator[Place]:
    if tree.has("noxfile.py"):
        yield Place("", "noxfile.py")


# -- running


def _path(tree: Tree, place: Place) -> Mapping[str, str]:
    """A package below `src` that nobody installed can be imported all the same."""
    source = tree.root / place.folder / "src"
    return {"PYTHONPATH": str(source)} if source.is_dir() else {}


def _pytest(tree: Tree, place: Place, ways: Ways) -> Suite:
    # Without a configuration of its own pytest would look for one above the tree.
    own = [] if _config(tree, place.folder) else ["-c", "/dev/null"]
    fixed = ["-m", "pytest", "-p", "no:cacheprovider", "--rootdir=.", f"--junitxml={ways.reports}/pytest.xml"]
    argv = [ways.python(), *fixed, "-o", "junit_family=xunit1", *own]

    def again(cases: Sequence[Case]) -> Sequence[str] | None:
        ids = [_node_id(case) for case in cases]
        return [*argv, *ids] if all(ids) else None

    def affected(paths: Sequence[str]) -> Sequence[str] | None:
        changed = [path for path in paths if _TEST_FILE.match(path.rpartition("/")[2]) and tree.has(path)]
        inside = [path.removeprefix(f"{place.folder}/") for path in changed if is_below(path, place.folder)]
        return [*argv, *(f"./{path}" for path in inside)] if inside else None

    return Suite("pytest", argv, _path(tree, place), again=again, affected=affected, failing=(1,))


def _node_id(case: Case) -> str:
    """As pytest names a test on its command line: the file, then its class, then itself. `classname` is the module's
    dotted path, and then the class."""
    module = case.path.removesuffix(".py").replace("/", ".")
    if not case.path or not f"{case.classname}.".startswith(f"{module}."):
        return ""
    inner = case.classname[len(module) + 1 :].replace(".", "::")
    return "::".join(filter(None, (f"./{case.path}", inner, case.name)))


def _unittest(tree: Tree, place: Place, ways: Ways) -> Suite:
    start = list(_start(tree, place, _own(tree, place)) or ())
    python = ways.python()
    below_start = start[1] if start else ""

    def again(cases: Sequence[Case]) -> Sequence[str] | None:
        # A test that could not be loaded has no name to be called by, and one below `-s` is named from there.
        if below_start or not all(case.id and "_FailedTest" not in case.id for case in cases):
            return None
        return [python, "-m", "unittest", "-v", *(case.id for case in cases)]

    argv = [python, "-m", "unittest", "discover", "-v", *start]
    return Suite("unittest", argv, _path(tree, place), prints="unittest", again=again, failing=(1,))


def _tox(_tree: Tree, _place: Place, ways: Ways) -> Suite:
    # Each version of tox has a variable of its own to let another one through.
    let_through = {"TOX_OVERRIDE": "testenv.pass_env+=PYTEST_ADDOPTS", "TOX_TESTENV_PASSENV": "PYTEST_ADDOPTS"}
    env = {**pytest_options(ways.reports), **let_through}
    return Suite("tox", ["tox", "--skip-missing-interpreters=true"], env, prints="any")


def _nox(_tree: Tree, _place: Place, ways: Ways) -> Suite:
    argv = ["nox", "--error-on-missing-interpreters"]
    return Suite("nox", argv, pytest_options(ways.reports), prints="any")


KINDS = (
    Kind(
        "pytest",
        "Python",
        "its configuration (pytest.ini, pyproject.toml, tox.ini, setup.cfg), a conftest.py, or files like "
        "test_*.py and *_test.py that hold tests",
        _find_pytest,
        _pytest,
    ),
    Kind("unittest", "Python", "files like test*.py in which all tests are unittest's", _find_unittest, _unittest),
    Kind("tox", "Python", "tox.ini, tox.toml, [tool.tox] in pyproject.toml", _find_tox, _tox, collector=True),
    Kind("nox", "Python", "noxfile.py", _find_nox, _nox, collector=True),
)
