"""Which test suites a repository has, by the files it is known by."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from bot.errors import ToolFailed
from workers.agents import tree
from workers.agents.shell import Shell

# Where pytest's configuration may be, and what must stand there.
_PYTEST_CONFIG = {
    "pytest.ini": "",
    ".pytest.ini": "",
    "pyproject.toml": "[tool.pytest",
    "tox.ini": "[pytest]",
    "setup.cfg": "[tool:pytest]",
}
_TEST_FILE = re.compile(r"^(test_.*|.*_test)\.py$")
# A script may be called test_something, too.
_TEST = re.compile(
    r"^\s*(async )?def test|^class Test|^class \w+\(.*TestCase|^\s*(import|from) (pytest|unittest)\b", re.MULTILINE
)
# Where other people's tests lie, and how much of a tree is looked at.
_NOT_OURS = {"node_modules", "site-packages", "venv", "vendor", "third_party", "build", "dist"}
_MOST_FOLDERS = 10_000
_MOST_CANDIDATES = 200
# Looked for, not imported: that takes a tenth of a second.
_HAS_PYTEST = "import importlib.util, sys; sys.exit(importlib.util.find_spec('pytest') is None)"
_NPM_PLACEHOLDER = "no test specified"
_NODE_TEST = re.compile(r"\bnode\b.*\s--test\b")
_MAKE_TEST = re.compile(r"^test\s*:(?!=)", re.MULTILINE)
_MAKEFILES = ("GNUmakefile", "makefile", "Makefile")


@dataclass(frozen=True)
class Suite:
    """A way to run tests. `argv` is an argument list; `env` is added to the environment."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)


def detect(shell: Shell, junit: Path) -> list[Suite]:
    """The suites of the work's tree. make only where nothing else was found: its `test` is most often one of them."""
    root = shell.work.root
    suites = []
    if has_pytest(root):
        suites.append(_pytest(shell, junit))
    if script := _npm_script(root):
        suites.append(Suite("npm test", ["npm", "test", "--silent"], _node_reporter(shell, script, junit)))
    if not suites and any(_MAKE_TEST.search(_text(root, name)) for name in _MAKEFILES):
        suites.append(Suite("make test", ["make", "test"], pytest_options(junit)))
    return suites


def configured(command: str, junit: Path) -> Suite:
    return Suite("the test command", ["/bin/sh", "-c", command], pytest_options(junit))


def pytest_options(junit: Path) -> dict[str, str]:
    """Whatever runs pytest in the end, it leaves a report. xunit1, because it names file and line."""
    return {"PYTEST_ADDOPTS": f"--junitxml={junit} -o junit_family=xunit1"}


def _text(root: Path, path: str) -> str:
    return "\n".join(tree.reader(root)(path))


def _pytest_is_configured(root: Path) -> bool:
    return any(
        tree.within(root, name) and (not text or text in _text(root, name)) for name, text in _PYTEST_CONFIG.items()
    )


def has_pytest(root: Path) -> bool:
    """Whether something in the tree is made for pytest, wherever it lies: in a folder of its own or beside the code."""
    return _pytest_is_configured(root) or any(
        path.name == "conftest.py" or _TEST.search(_text(root, str(path)))
        for path in islice(_test_files(root), _MOST_CANDIDATES)
    )


def _test_files(root: Path) -> Iterator[Path]:
    for folder, folders, files in islice(os.walk(root), _MOST_FOLDERS):
        folders[:] = sorted(name for name in folders if name not in _NOT_OURS and not name.startswith("."))
        place = Path(folder).relative_to(root)
        yield from (place / name for name in sorted(files) if name == "conftest.py" or _TEST_FILE.match(name))


def _npm_script(root: Path) -> str:
    try:
        package = json.loads(_text(root, "package.json") or "{}")
        script = package["scripts"]["test"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    return script.strip() if isinstance(script, str) and _NPM_PLACEHOLDER not in script else ""


def _node_reporter(shell: Shell, script: str, junit: Path) -> Mapping[str, str]:
    """Has Node's own test runner leave a report beside what it prints. Other runners take no such hint, and a Node that
    knows no reporters (before 18.15) would refuse to start."""
    words = ("--test-reporter=junit", f"--test-reporter-destination={junit}")
    env = {"NODE_OPTIONS": " ".join((*words, "--test-reporter=spec", "--test-reporter-destination=stdout"))}
    if not _NODE_TEST.search(script):
        return {}
    try:
        return env if shell.run(["node", "-e", ""], env).exit_code == 0 else {}
    except ToolFailed:
        return {}


def _pytest(shell: Shell, junit: Path) -> Suite:
    root = shell.work.root
    argv = [_python(shell), "-m", "pytest", "-p", "no:cacheprovider", "--rootdir=.", f"--junitxml={junit}"]
    # Without a configuration of its own pytest would look for one above the tree.
    own = [] if _pytest_is_configured(root) else ["-c", "/dev/null"]
    # A package below `src` that nobody installed can be imported all the same.
    env = {"PYTHONPATH": str(root / "src")} if (root / "src").is_dir() else {}
    return Suite("pytest", [*argv, "-o", "junit_family=xunit1", *own], env)


def _python(shell: Shell) -> str:
    """The repository's own interpreter, else the first that has pytest, else Assay's, which has."""
    for candidate in (".venv/bin/python", "venv/bin/python", "python", "python3"):
        try:
            if shell.run([candidate, "-c", _HAS_PYTEST]).exit_code == 0:
                return candidate
        except ToolFailed:
            continue
    return sys.executable
