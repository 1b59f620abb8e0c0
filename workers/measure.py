"""What a change is like, by its diff and by what was found in its files before."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import PurePosixPath

from bot.domain.diff import Diff
from bot.domain.findings import AgentResult, Measure
from workers.agent import Memory
from workers.agents.kinds import is_code, is_test

# Seconds for which it is remembered that something was found in a file, and how many commits of that.
_HISTORY = 90 * 86_400
_REMEMBERED = 20
# Files of a change of which the history is looked up.
_FILES = 500


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_DEPENDENCIES = _words(
    "requirements.txt pyproject.toml setup.py setup.cfg Pipfile Pipfile.lock poetry.lock uv.lock package.json "
    "package-lock.json npm-shrinkwrap.json yarn.lock pnpm-lock.yaml bun.lock bun.lockb go.mod go.sum Cargo.toml "
    "Cargo.lock pom.xml build.gradle build.gradle.kts gradle.lockfile Gemfile Gemfile.lock composer.json composer.lock "
    "packages.lock.json mix.exs mix.lock pubspec.yaml pubspec.lock Package.swift Package.resolved"
)


def measure(diff: Diff, troubled: int = 0) -> Measure:
    """What a diff tells of its change."""
    names = tuple(diff.files)
    tests = [name for name in names if is_test(name)]
    code = [name for name in names if is_code(name) and not is_test(name)]
    return Measure(
        files=len(diff.paths),
        added=sum(file.added_lines for file in diff.files.values()),
        removed=sum(file.removed for file in diff.files.values()),
        code=len(code),
        tests=len(tests),
        dependencies=tuple(name for name in names if PurePosixPath(name).name in _DEPENDENCIES)[:20],
        troubled=troubled,
    )


class History:
    """At which commits something was found in a file, as the agents remember it."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def troubled(self, sha: str, paths: Iterable[str]) -> int:
        """At how many other commits something was found in these files."""
        return len({commit for known in self._known(list(paths)[:_FILES]).values() for commit in known} - {sha})

    def note(self, sha: str, result: AgentResult) -> None:
        """Remember in which files an agent found something at a commit."""
        paths = list(dict.fromkeys(finding.path for finding in result.findings if finding.counts and finding.path))
        known = self._known(paths[:_FILES])
        texts = {
            _key(path): json.dumps([*commits, sha][-_REMEMBERED:])
            for path, commits in known.items()
            if sha not in commits
        }
        if texts:
            self._memory.note(texts, _HISTORY)

    def _known(self, paths: list[str]) -> dict[str, list[str]]:
        texts = self._memory.recall([_key(path) for path in paths])
        return {path: json.loads(text) if text else [] for path, text in zip(paths, texts, strict=True)}


def _key(path: str) -> str:
    return f"troubled\n{path}"
