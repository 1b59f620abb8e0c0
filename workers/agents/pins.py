"""Which version of a tool a repository pins: in its requirements, package.json, or hooks of pre-commit."""

from __future__ import annotations

import json
import re
from pathlib import Path

from workers.agent import Tool
from workers.agents import tree

_REQUIREMENTS = ("pyproject.toml", "requirements-dev.txt", "requirements.txt", "requirements/dev.txt")
_HOOKS = ".pre-commit-config.yaml"
# What follows a repository on its line is bounded, so that very many on one line take no time.
_HOOK = re.compile(
    r"repo:\s{0,9}[\"']?(?P<repo>[^\s\"'#]{1,300}+)[^\n]{0,300}+\n\s*+rev:\s{0,9}[\"']?v?(?P<rev>[\w.+-]{1,100})"
)
_FIRST = re.compile(r"\d+(\.\d+)*")


def other_version(tool: Tool, used: str, root: Path) -> str:
    """The version that the repository pins, where another one was used; empty else."""
    wanted = pinned(tool, root)
    return wanted if wanted and used and not _same(wanted, used) else ""


def pinned(tool: Tool, root: Path) -> str:
    """The version, or range of versions, that the repository names; empty where it names none."""
    names, read = {tool.name, *tool.known_as}, tree.reader(root)
    for path in _REQUIREMENTS:
        for line in read(path):
            match = re.search(rf"(?:^|[\s\"'])({'|'.join(map(re.escape, names))})\s*===?\s*([\w.+-]+)", line)
            if match:
                return match[2]
    for hook in _HOOK.finditer("\n".join(read(_HOOKS))):
        if hook["repo"].removesuffix(".git").rpartition("/")[2] in names:
            return hook["rev"]
    return _of_package("\n".join(read("package.json")), names)


def _of_package(text: str, names: set[str]) -> str:
    try:
        about = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return ""
    for key in ("devDependencies", "dependencies"):
        found = about.get(key) if isinstance(about, dict) else None
        for name in names:
            if isinstance(found, dict) and isinstance(version := found.get(name), str):
                return version[:40]
    return ""


def _same(wanted: str, used: str) -> bool:
    """Whether a version is the one that is asked for; of a range, the first number has to agree."""
    asked, have = (_FIRST.search(text) for text in (wanted, used))
    if not asked or not have:
        return True
    one, other = asked[0].split("."), have[0].split(".")
    length = 1 if wanted[0] in "^~>" else min(len(one), len(other), 3)
    return one[:length] == other[:length]
