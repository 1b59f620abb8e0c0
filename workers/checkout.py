"""From a commit's name to files on disk.

One bare mirror a repository, into which just the commits needed are fetched; from there each agent gets files of its
own, without a `.git`, to do with as it likes.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bot.domain.diff import Diff, parse_diff
from bot.errors import Gone, ToolFailed
from workers.git import Git

EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
_DIFF = ("diff", "--no-color", "--no-ext-diff", "--no-textconv", "--find-renames", "--src-prefix=a/", "--dst-prefix=b/")
_EVERY_HEAD = ("+refs/heads/*:refs/assay/heads/*", "+refs/pull/*/head:refs/assay/pull/*")
PATCH_LIMIT = 20_000_000


class Trees:
    """Trees of one git directory: their files, and what lies between two of them."""

    def __init__(self, git: Git) -> None:
        self._git = git

    def diff(self, base: str | None, head: str) -> Diff:
        """The change from `base` to `head`, both commits or trees; from nothing where base is None."""
        with self._git.lines(*_DIFF, "--unified=3", base or EMPTY_TREE, head, "--") as lines:
            return parse_diff(lines)

    def patch(self, base: str | None, head: str) -> str:
        """The same as text, cut at `PATCH_LIMIT` characters."""
        kept, size = [], 0
        with self._git.lines(*_DIFF, "--unified=3", base or EMPTY_TREE, head, "--") as lines:
            for line in lines:
                size += len(line) + 1
                if size <= PATCH_LIMIT:
                    kept.append(line)
        return "\n".join(kept) + "\n"

    def files(self, tree: str) -> tuple[str, ...]:
        """Every file of a tree; links and submodules are left out."""
        entries = self._git.run("ls-tree", "-r", "-z", "--full-tree", tree).split("\0")
        fields = (entry.partition("\t") for entry in entries if entry)
        return tuple(path for about, _, path in fields if about.startswith("100"))

    def write(self, tree: str, folder: Path) -> None:
        """Write a tree's files into a folder. Links become plain files that hold their target."""
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="index-", dir=folder.parent) as scratch:
            env = {"GIT_INDEX_FILE": str(Path(scratch) / "index"), "GIT_WORK_TREE": str(folder)}
            self._git.run("read-tree", tree, env=env, cwd=folder)
            self._git.run("checkout-index", "--all", "--force", env=env, cwd=folder)


class Mirrors:
    """The bare mirrors below a folder."""

    def __init__(self, folder: Path, git_url: str) -> None:
        self._folder = folder
        self._git_url = git_url.rstrip("/")

    def fetch(self, repository: str, commits: tuple[str, ...], token: str | None) -> Trees:
        """Make sure that the commits are there, without their history.

        Raises Gone for a commit or repository that does not exist, Unavailable when the server is away.
        """
        mirror = self._folder / "mirrors" / f"{repository}.git"
        git = Git(mirror, token=token)
        with _locked(mirror.with_suffix(".lock")):
            if not (mirror / "HEAD").exists():
                shutil.rmtree(mirror, ignore_errors=True)
                mirror.mkdir(parents=True)
                git.run("init", "--quiet", "--bare", "--template=")
            # Whoever held them died: we have the mirror to ourselves.
            for stale in mirror.glob("*.lock"):
                stale.unlink()
            missing = [sha for sha in commits if not _has(git, sha)]
            if missing:
                self._fetch(git, f"{self._git_url}/{repository}.git", missing)
        return Trees(git)

    def _fetch(self, git: Git, url: str, commits: list[str]) -> None:
        options = ("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance")
        try:
            git.run(*options, "--depth=1", "--end-of-options", url, *commits)
        except Gone:
            # A server that gives commits only by the names of branches and pull requests: GitHub is none.
            git.run(*options, "--end-of-options", url, *_EVERY_HEAD)
            if not all(_has(git, sha) for sha in commits):
                raise


def _has(git: Git, sha: str) -> bool:
    try:
        # A commit whose fetch was cut off has no tree yet.
        git.run("cat-file", "-e", f"{sha}^{{tree}}")
    except (Gone, ToolFailed):
        return False
    return True


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """A folder that is gone afterwards, whatever an agent did to its permissions."""
    folder.mkdir(parents=True, exist_ok=True)
    path = Path(tempfile.mkdtemp(prefix="run-", dir=folder))
    try:
        yield path
    finally:
        remove(path)


def remove(path: Path) -> None:
    """Remove a tree in which a stranger's code may have changed the permissions."""
    with suppress(OSError):
        path.chmod(0o700)
    for parent, folders, _ in os.walk(path):
        for name in folders:
            child = Path(parent) / name
            # What cannot be changed or is gone by now does not keep the rest from going.
            with suppress(OSError):
                if not child.is_symlink():
                    child.chmod(0o700)
    shutil.rmtree(path, ignore_errors=True)
