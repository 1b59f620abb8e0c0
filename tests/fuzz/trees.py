"""What is read of a repository's own files without anything being run: which suites it has, what they need, what its
tools are told, and which versions it pins. Each target takes one file's text, amid a repository that has a bit of all.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from itertools import islice
from pathlib import Path

from workers.agent import Tool
from workers.agents import tree
from workers.agents.base_configs import changes
from workers.agents.configs import find_config, is_configured, project_of
from workers.agents.pins import other_version
from workers.agents.suites.setups import needed
from workers.agents.suites.suite import Tree, Ways
from workers.agents.suites.table import look
from workers.registry import TOOLS

_PYPROJECT = """[project]
name = "a"
dependencies = ["b>=1"]
optional-dependencies = {test = ["pytest"]}
[dependency-groups]
dev = ["ruff==0.4.1"]
[tool.pytest.ini_options]
testpaths = ["tests"]
[tool.ruff.lint]
select = ["E", "F"]
"""
_PACKAGE = (
    '{"name": "a", "packageManager": "pnpm@9", "scripts": {"test": "node --test && jest"}, "workspaces": ["x"],'
    '"devDependencies": {"eslint": "^9.1.0", "jest": "29"}, "eslintConfig": {"extends": "./a.js"}, "type": "module"}'
)
_HOOKS = "repos:\n- repo: https://github.com/astral-sh/ruff-pre-commit\n  rev: v0.4.1\n  hooks:\n  - id: ruff\n"
_RAKE = 'require "rake/testtask"\nRake::TestTask.new(:spec) do |t|\n  t.pattern = "test/**"\nend\ntask default: :test\n'
# The files of the repository that each text takes a turn as one of.
FILES: Mapping[str, str] = {
    "pyproject.toml": _PYPROJECT,
    "setup.cfg": "[options]\ninstall_requires =\n  b\n[tool:pytest]\n[options.extras_require]\ntest =\n  c\n",
    "tox.ini": "[tox]\nenvlist = py\n[testenv]\ncommands = pytest\n[pytest]\n",
    "requirements.txt": "ruff==0.4.1\n-r other.txt\n",
    "tests/test_a.py": "import unittest\n\n\nclass A(unittest.TestCase):\n    def test_a(self):\n        pass\n",
    "package.json": _PACKAGE,
    "a.test.js": "#!/usr/bin/env -S node --test\ntest('a', () => {})\n",
    ".pre-commit-config.yaml": _HOOKS,
    "Makefile": "all: a\ntest:\n\tpytest\n",
    "Rakefile": _RAKE,
    "spec/spec_helper.rb": 'require "minitest/autorun"\n',
    "test/a_test.rb": "x = 1\n",
    "CMakeLists.txt": "project(a)\nenable_testing()\nadd_test(NAME a COMMAND a)\ninclude(CTest)\n",
    "Cargo.toml": '[workspace]\nmembers = ["a"]\n[package]\nname = "a"\nedition = "2021"\n',
    "src/lib.rs": "fn main() {}\n",
    "rustfmt.toml": "max_width = 80\ndisable_all_formatting = true\n",
    "go.mod": "module a\n\ngo 1.22\n",
    "a_test.go": "package a\n",
    "phpunit.xml": "<phpunit/>\n",
    "pom.xml": "<project/>\n",
    "src/test/A.java": "class A {}\n",
    ".clang-format": "BasedOnStyle: LLVM\nDisableFormat: true\n",
    "a.c": "int a;\n",
    "tsconfig.json": '{"extends": "./b.json", "compilerOptions": {}}\n',
    "a.ts": "let a = 1\n",
    ".eslintrc.json": '{"extends": ["./a.js"], "plugins": ["b"]}\n',
    ".yamllint": "extends: default\n",
    "a.yaml": "a: 1\n",
    "run": "#!/usr/bin/env python3\n",
}


def read(name: str, text: str) -> None:
    """Everything that reads files looks at a repository whose file of that name holds that text."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "tree")
        for path, usual in FILES.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes((text if path == name else usual).encode("utf-8", "surrogatepass"))
        _suites(root, Path(folder))
        tree.interpreter(root, name)
        tree.kind(root, name)
        for tool in TOOLS:
            _tool(tool, root, name)


def _suites(root: Path, scratch: Path) -> None:
    seen = Tree(root)
    found = look(seen)
    needed(seen, found.setups)
    (scratch / "reports").mkdir()
    ways = Ways(
        scratch / "reports", scratch / "build", lambda: "python3", lambda _env: True, lambda name: f"/bin/{name}"
    )
    for kind, place in found.rows:
        suite = kind.suite(seen, place, ways)
        suite.affected(tuple(FILES))


def _tool(tool: Tool, root: Path, name: str) -> None:
    other_version(tool, "0.4.2", root)
    for path in islice(filter(tool.applies, (name, *FILES)), 1):
        project = project_of(tool, path, root) if tool.projects else ""
        is_configured(tool, path, root)
        changes(tool, [name], [path], root)
        tool.argv([f"./{path}"], find_config(tool, [path], root))
        tool.options(tree.reader(root), os.fspath(project or ""))
