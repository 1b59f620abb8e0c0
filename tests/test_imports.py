"""Who may import whom (design, section 2), read off the source: imports inside functions and under TYPE_CHECKING count.

A rule of the table holds for the modules it names and all below them; the most special one counts.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("bot", "config", "workers")
CORE = ("bot.domain", "bot.errors", "config")
# What reaches out of the process, and what knows time or chance.
OUTSIDE = (
    "asyncio",
    "fastapi",
    "githubkit",
    "httpx",
    "httpx2",
    "openai",
    "redis",
    "rq",
    "socket",
    "subprocess",
    "uvicorn",
)
IMPURE = ("io", "logging", "os", "pathlib", "random", "secrets", "shutil", "tempfile", "threading", "time", "uuid")


@dataclass(frozen=True)
class Rule:
    """`may` are the modules of ours that may be imported, with all below them; `never` those of other people."""

    may: tuple[str, ...]
    never: tuple[str, ...] = ()


RULES: dict[str, Rule] = {
    "config": Rule(may=("config",)),
    "bot.errors": Rule(may=()),
    "bot.context": Rule(may=()),
    "bot.packing": Rule(may=()),
    "bot.domain": Rule(may=CORE, never=OUTSIDE + IMPURE),
    "bot.github": Rule(may=(*CORE, "bot.github")),
    "bot.jobs": Rule(may=(*CORE, "bot.context")),
    "bot.queues": Rule(may=(*CORE, "bot.jobs", "bot.turns")),
    "bot.saving": Rule(may=("bot.turns",)),
    "bot.locks": Rule(may=("bot.context",)),
    "bot.heads": Rule(may=("bot.domain",)),
    "bot.store": Rule(may=(*CORE, "bot.jobs", "bot.packing", "bot.queues", "bot.saving")),
    "bot": Rule(may=("bot", "config")),
    "bot.cli": Rule(may=PACKAGES),
    "bot.demo": Rule(may=PACKAGES),
    "workers.agent": Rule(may=CORE),
    "workers.agents": Rule(may=("bot.domain", "bot.errors", "workers.agent", "workers.agents"), never=OUTSIDE),
    "workers.tools": Rule(may=("bot.domain", "bot.errors", "workers.agent", "workers.tools"), never=OUTSIDE),
    "workers": Rule(may=PACKAGES),
}
# Only these may import the outermost modules.
OUTERMOST = ("bot.cli", "bot.demo")


@dataclass(frozen=True)
class Import:
    """`line` of the module `importer` imports `name`, `lazy` or not."""

    importer: str
    name: str
    line: int

    def __str__(self) -> str:
        return f"{self.importer}:{self.line} imports {self.name}"


def is_below(name: str, packages: tuple[str, ...]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def modules_of(root: Path) -> dict[str, Path]:
    """Every module of ours by its dotted name; a package goes by its own name."""
    found = {}
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports_of(name: str, path: Path, modules: dict[str, Path]) -> Iterator[Import]:
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text("utf-8"), str(path))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(name, alias.name, node.lineno)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            source = ".".join([*parents, *([node.module] if node.module else [])])
            for alias in node.names:
                whole = f"{source}.{alias.name}"
                yield Import(name, whole if whole in modules else source, node.lineno)


def rule_for(name: str) -> Rule:
    best = max((key for key in RULES if is_below(name, (key,))), key=len)
    return RULES[best]


def complaint(found: Import) -> str:
    """What is wrong with an import; empty when nothing is."""
    rule = rule_for(found.importer)
    if is_below(found.name, rule.never):
        return f"{found}, which {found.importer} must never know"
    if not is_below(found.name, PACKAGES):
        return ""
    if is_below(found.name, OUTERMOST) and not is_below(found.importer, OUTERMOST):
        return f"{found}, but nothing imports the outermost modules"
    if not is_below(found.name, rule.may):
        return f"{found}, but may import of ours only: {', '.join(rule.may) or 'nothing'}"
    return ""


def complaints(root: Path) -> list[str]:
    modules = modules_of(root)
    every = (found for name, path in modules.items() for found in imports_of(name, path, modules))
    return sorted(filter(None, map(complaint, every)))


def cycle(root: Path) -> list[str]:
    """Modules that import one another in a circle, the first again at the end; empty if there is no circle."""
    modules = modules_of(root)
    graph = {name: {found.name for found in imports_of(name, path, modules)} for name, path in modules.items()}
    try:
        TopologicalSorter({name: (names & graph.keys()) - {name} for name, names in graph.items()}).prepare()
    except CycleError as error:
        return list(reversed(error.args[1]))
    return []


def test_every_import_keeps_the_rules() -> None:
    assert len(modules_of(ROOT)) > 50
    assert "\n".join(complaints(ROOT)) == ""


def test_no_modules_import_one_another_in_a_circle() -> None:
    assert " -> ".join(cycle(ROOT)) == ""


# -- the test of the test


def write(root: Path, files: dict[str, str]) -> Path:
    for package in PACKAGES:
        (root / package).mkdir(exist_ok=True)
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("config/a.py", "import bot.errors", "config.a:1 imports bot.errors, but may import of ours only: config"),
        ("bot/errors.py", "from config import a", "bot.errors:1 imports config, but may import of ours only: nothing"),
        ("bot/domain/a.py", "from bot.store import Store", "bot.domain.a:1 imports bot.store"),
        ("bot/domain/a.py", "import time", "bot.domain.a:1 imports time, which bot.domain.a must never know"),
        ("bot/domain/a.py", "from os.path import join", "bot.domain.a:1 imports os.path, which"),
        ("bot/github/a.py", "import bot.store", "bot.github.a:1 imports bot.store"),
        ("bot/queues.py", "import bot.store", "bot.queues:1 imports bot.store"),
        ("bot/store.py", "import bot.github.client", "bot.store:1 imports bot.github.client"),
        ("bot/web.py", "def f():\n    from workers import run", "bot.web:2 imports workers"),
        ("bot/web.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import workers.run", "bot.web:3"),
        ("bot/web.py", "from bot import cli", "but nothing imports the outermost modules"),
        ("workers/agents/lint.py", "import workers.run", "workers.agents.lint:1 imports workers.run"),
        ("workers/agents/lint.py", "from .. import checkout", "workers.agents.lint:1 imports workers.checkout"),
        ("workers/agents/lint.py", "from ..tools.ruff import RUFF", "workers.agents.lint:1 imports workers.tools.ruff"),
        ("workers/agents/lint.py", "import openai", "workers.agents.lint:1 imports openai, which"),
        ("workers/agents/lint.py", "import config", "workers.agents.lint:1 imports config"),
        ("workers/tools/a.py", "import workers.agents", "workers.tools.a:1 imports workers.agents"),
    ],
)
def test_forbidden_import_is_told(tmp_path: Path, file: str, text: str, words: str) -> None:
    root = write(tmp_path, {"bot/cli/__init__.py": "", "workers/checkout.py": "", "workers/tools/ruff.py": ""})
    (told,) = complaints(write(root, {file: text}))
    assert words in told


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("bot/domain/a.py", "import json\nfrom bot.errors import Gone\nfrom config.repository import Report"),
        ("bot/store.py", "from bot.queues import Queues\nimport redis"),
        ("bot/cli/main.py", "import workers.run\nfrom bot.demo import story"),
        ("workers/agents/lint.py", "from workers.agent import Work\nfrom . import tree\nimport bot.domain.diff"),
        ("workers/agents/lint.py", "import workers.agent\nimport osprey"),
        ("workers/wiring.py", "import workers.run\nimport bot.wiring\nimport openai"),
    ],
)
def test_allowed_import_is_not_told(tmp_path: Path, file: str, text: str) -> None:
    assert complaints(write(tmp_path, {file: text})) == []


def test_circle_is_told_even_if_an_import_is_lazy(tmp_path: Path) -> None:
    files = {"bot/a.py": "from bot import b", "bot/b.py": "import bot.c", "bot/c.py": "def f():\n    import bot.a"}
    assert set(cycle(write(tmp_path, files))) == {"bot.a", "bot.b", "bot.c"}
    assert cycle(write(tmp_path, {"bot/c.py": ""})) == []
