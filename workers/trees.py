"""What git knows of trees: their files, what lies between two of them, and how they are written to disk."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bot.domain.diff import Diff, parse_diff
from bot.errors import Theirs
from workers.agent import History, Sandbox
from workers.git import Git
from workers.history import read_history, read_messages

EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
_DIFF = ("diff", "--no-color", "--no-ext-diff", "--no-textconv", "--find-renames", "--src-prefix=a/", "--dst-prefix=b/")
_CHANGED = ("diff-tree", "-r", "--name-only", "--no-renames")
_ATTRIBUTES = ".gitattributes"
_WRITE = ("read-tree", "--reset", "-u")
PATCH_LIMIT = 20_000_000
# What a tree may hold: a few kilobytes of nested trees can stand for billions of files, or for petabytes. No more than
# the sandbox lets git leave on the disk (workers/sandbox/limits.py).
MOST_FILES, LARGEST_TREE = 1_000_000, 8 * 2**30
# Bytes of a file whose text is given. A longer one is none of those that are meant to be read.
_LARGEST_TEXT = 1_000_000
# Paths that are named to git one by one.
_FEW = 200


class _Many(Exception):
    """More than is worth naming."""


@dataclass(frozen=True)
class Scribe:
    """How files are written: by git in the `sandbox`, which leaves its `index` there, in a folder that holds nothing
    else."""

    sandbox: Sandbox
    index: Path


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

    def history(self, base: str | None, head: str) -> History:
        """What each commit between the two added, as far as it is there."""
        return read_history(self._git, base, head)

    def messages(self, base: str | None, head: str) -> tuple[str, ...]:
        """What the commits between the two say of themselves, the newest first, as far as they are there."""
        return read_messages(self._git, base, head)

    def texts(self, commit: str, paths: Sequence[str]) -> dict[str, str]:
        """The texts of files of a commit, by their paths, in the order of `paths`. Left out is what is not there, a
        link or a folder, or larger than `_LARGEST_TEXT` bytes."""
        entries = self._git.run("ls-tree", "-z", "-l", "--full-tree", commit, "--", *paths).split("\0")
        fields = (entry.partition("\t") for entry in entries if entry)
        known = {path: about.split() for about, _, path in fields}
        return {
            path: self._git.run("cat-file", "blob", known[path][2])
            for path in paths
            if path in known and known[path][0].startswith("100") and int(known[path][3]) <= _LARGEST_TEXT
        }

    def trees(self, base: str | None, head: str) -> tuple[str, str]:
        """The names of two commits' trees; the empty tree's where base is None."""
        first, second = self._git.run("rev-parse", f"{base or EMPTY_TREE}^{{tree}}", f"{head}^{{tree}}").split()
        return first, second

    def files(self, tree: str) -> tuple[str, ...]:
        """Every file of a tree; links and submodules are left out. Raises Theirs for more than a tree may hold."""
        self._weigh(tree)
        entries = self._git.run("ls-tree", "-r", "-z", "--full-tree", tree).split("\0")
        fields = (entry.partition("\t") for entry in entries if entry)
        return tuple(path for about, _, path in fields if about.startswith("100"))

    def write(self, tree: str, folder: Path, scribe: Scribe | None = None) -> None:
        """Write a tree's files into a folder. Links become plain files that hold their target. Without a scribe git
        writes in place, which is for a person's own repository.

        Raises Theirs for more than a tree may hold.
        """
        self._weigh(tree)
        folder.mkdir(parents=True)
        if scribe is not None:
            scribe.index.parent.mkdir(exist_ok=True)
            self._have_written(scribe, folder, tree)
            return
        with tempfile.TemporaryDirectory(prefix="index-", dir=folder.parent) as scratch:
            self._git.run(*_WRITE, tree, env=_places(folder, Path(scratch, "index")), cwd=folder)

    def turn(self, old: str, new: str, folder: Path, scribe: Scribe) -> bool:
        """Make a folder and an index of one tree, as `write` left them, those of another. False where files that are
        the same in both may have to look different all the same."""
        try:
            few = self._few_changed(old, new)
            odd = any(path.rpartition("/")[2] == _ATTRIBUTES for path in few)
        except _Many:
            few, odd = [], bool(self._git.run(*_CHANGED, old, new, "--", f":(top,glob)**/{_ATTRIBUTES}"))
        if odd:
            return False
        # Where little changed, only that is weighed: the rest is on the disk already.
        self._weigh(new, *few)
        self._have_written(scribe, folder, old, new)
        return True

    def _weigh(self, tree: str, *paths: str) -> None:
        size = 0
        with self._git.lines("ls-tree", "-r", "-l", "--full-tree", tree, "--", *paths) as entries:
            for number, entry in enumerate(entries, start=1):
                # mode, type, name, size
                own = entry.partition("\t")[0].split()[3]
                size += int(own) if own.isdigit() else 0
                if number > MOST_FILES or size > LARGEST_TREE:
                    limits = f"{MOST_FILES:,} files or {LARGEST_TREE // 2**30} GB"
                    raise Theirs(f"the commit holds more than {limits}, and is not checked out")

    def _few_changed(self, old: str, new: str) -> list[str]:
        """Raises _Many for more than a few, which there may be without end, and for names that git has to quote."""
        few = list[str]()
        with self._git.lines(*_CHANGED, old, new) as paths:
            for path in paths:
                few.append(path)
                if len(few) > _FEW or path.startswith('"'):
                    raise _Many
        return few

    def _have_written(self, scribe: Scribe, folder: Path, *trees: str) -> None:
        places, writes = _places(folder, scribe.index), (folder, scribe.index.parent)
        self._git.run_inside(scribe.sandbox, *_WRITE, *trees, env=places, cwd=folder, writes=writes)


def _places(folder: Path, index: Path) -> dict[str, str]:
    return {"GIT_INDEX_FILE": str(index), "GIT_WORK_TREE": str(folder)}
