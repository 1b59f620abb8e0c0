"""Changes with known faults, in the format of Code Review Bench's golden comments."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

CASES = Path(__file__).with_name("cases")
_GIT = ("git", "-c", "user.name=bench", "-c", "user.email=bench@example.com", "-c", "core.hooksPath=/dev/null")


@dataclass(frozen=True)
class Golden:
    """A fault that a reviewer should find. `path` and `line` are known of planted ones."""

    comment: str
    severity: str
    path: str = ""
    line: int = 0


@dataclass(frozen=True)
class Case:
    """A change and its faults. Planted ones have their files, `before` and `after`; others are a pull request of a
    clone."""

    url: str
    title: str
    golden: tuple[Golden, ...]
    path: str = ""
    before: str = ""
    after: str = ""

    @property
    def planted(self) -> bool:
        return bool(self.path)


def planted(folder: Path = CASES) -> list[Case]:
    """The cases of a folder, by file and in its order. Raises ValueError for one that is not sound."""
    return [
        _planted(f"planted:{file.stem}/{number}", entry)
        for file in sorted(folder.glob("*.yml"))
        for number, entry in enumerate(yaml.safe_load(file.read_text("utf-8")), 1)
    ]


def _planted(url: str, entry: dict[str, Any]) -> Case:
    path, after = str(entry["path"]), str(entry["after"])
    golden = []
    for comment in entry["comments"]:
        lines = [number for number, line in enumerate(after.split("\n"), 1) if comment["at"] in line]
        if len(lines) != 1:
            raise ValueError(f"{url}: {comment['at']!r} stands on {len(lines)} lines of {path}, not on one")
        golden.append(Golden(str(comment["comment"]), str(comment["severity"]), path, lines[0]))
    return Case(url, str(entry["pr_title"]), tuple(golden), path, str(entry["before"]), after)


def golden_comments(file: Path) -> list[Case]:
    """The pull requests of one of Code Review Bench's files."""
    return [
        Case(
            str(entry["url"]),
            str(entry["pr_title"]),
            tuple(Golden(str(one["comment"]), str(one["severity"])) for one in entry["comments"]),
        )
        for entry in json.loads(file.read_text("utf-8"))
    ]


@contextmanager
def work_tree(case: Case, clones: Path | None) -> Iterator[tuple[Path, str]]:
    """The change as a working tree, and the commit it is compared with."""
    with tempfile.TemporaryDirectory(prefix="assay-review-") as folder:
        root = Path(folder, "tree")
        if case.planted:
            yield root, _plant(case, root)
            return
        if clones is None:
            raise ValueError(f"{case.url} is a pull request: --clones names the folder with its repository")
        owner, name, _, number = urlsplit(case.url).path.strip("/").split("/")[:4]
        clone, head = clones / owner / name, f"refs/pull/{number}/head"
        base = _git(clone, "merge-base", "HEAD", head)
        _git(clone, "worktree", "add", "--quiet", "--detach", str(root), head)
        try:
            yield root, base
        finally:
            _git(clone, "worktree", "remove", "--force", str(root))


def _plant(case: Case, root: Path) -> str:
    file = root / case.path
    file.parent.mkdir(parents=True)
    file.write_text(case.before, "utf-8")
    _git(root, "init", "--quiet")
    _git(root, "add", "--all")
    _git(root, "commit", "--quiet", "--message", "Before")
    file.write_text(case.after, "utf-8")
    return "HEAD"


def _git(folder: Path, *arguments: Sequence[str] | str) -> str:
    done = subprocess.run([*_GIT, *map(str, arguments)], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()
