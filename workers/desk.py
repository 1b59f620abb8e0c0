"""A repository on a developer's machine, as `assay check` sees it.

The head is the working tree as it stands, uncommitted and new files included. It is written as a git tree to an index
and an object store that are thrown away: nothing in the repository's git directory is touched.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bot.domain.diff import Diff
from bot.errors import Gone, Theirs, ToolFailed
from workers.git import Git
from workers.trees import Trees

# Bytes. GitHub takes no larger file, so one that git does not know yet is data that lies about, no part of a change.
LARGEST_NEW_FILE = 100_000_000


@dataclass(frozen=True)
class Base:
    """What the working tree is compared with: a commit, None for nothing (everything is new), and that in words."""

    commit: str | None
    words: str


@dataclass(frozen=True)
class Desk:
    """A repository: its top folder, what is looked at, and what it is compared with. `head` is the working tree as a
    git tree, `sha` the commit checked out (the tree where there is none yet), `left_out` new files that are too large.
    """

    root: Path
    sha: str
    head: str
    base: Base
    trees: Trees
    diff: Diff
    left_out: tuple[str, ...]
    scratch: Path


@contextmanager
def open_desk(path: Path, base: str | None = None, *, everything: bool = False) -> Iterator[Desk]:
    """Take stock of the repository that `path` lies in.

    `base` is what to compare with; by default where the history parted from the default branch. Raises Theirs for a
    path in no repository, for an unknown base, and where no base can be found; ToolFailed with git's own words.
    """
    git, root = _repository(path)
    with tempfile.TemporaryDirectory(prefix="assay-") as folder:
        scratch = Path(folder)
        chosen = Base(None, "nothing: all of it is looked at") if everything else _base(git, base)
        borrowed, left_out = _Snapshot(git, root, scratch), _left_out(git, root)
        head = borrowed.write(left_out)
        trees = Trees(borrowed.git)
        yield Desk(
            root=root,
            sha=_commit(git, "HEAD") or head,
            head=head,
            base=chosen,
            trees=trees,
            diff=trees.diff(chosen.commit, head),
            left_out=tuple(path for path in left_out if not path.endswith("/")),
            scratch=scratch,
        )


# -- git on somebody's own repository

# What git sets for its hooks (`git rev-parse --local-env-vars`) would lead this git to another repository or index, and
# the others change what it prints.
_FOREIGN = frozenset(
    {
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_COMMON_DIR",
        "GIT_CONFIG",
        "GIT_CONFIG_PARAMETERS",
        "GIT_DIFF_OPTS",
        "GIT_DIR",
        "GIT_EXTERNAL_DIFF",
        "GIT_GLOB_PATHSPECS",
        "GIT_GRAFT_FILE",
        "GIT_ICASE_PATHSPECS",
        "GIT_IMPLICIT_WORK_TREE",
        "GIT_INDEX_FILE",
        "GIT_LITERAL_PATHSPECS",
        "GIT_NAMESPACE",
        "GIT_NOGLOB_PATHSPECS",
        "GIT_OBJECT_DIRECTORY",
        "GIT_PREFIX",
        "GIT_QUARANTINE_PATH",
        "GIT_REPLACE_REF_BASE",
        "GIT_SHALLOW_FILE",
        "GIT_WORK_TREE",
    }
)
# Against those settings of the developer's that would change how a diff reads, or have git write to their repository.
_OVERRIDDEN = {
    "core.fsmonitor": "false",
    "core.looseCompression": "0",
    "core.safecrlf": "false",
    "core.splitIndex": "false",
    "diff.interHunkContext": "0",
    "diff.relative": "false",
    "diff.submodule": "short",
    "submodule.recurse": "false",
}


class _LocalGit(Git):
    """Git as the developer has it: their configuration says what is ignored, and who may read what."""

    def __init__(self, git_dir: Path, extra: dict[str, str] | None = None) -> None:
        super().__init__(git_dir)
        self._extra = extra or {}

    def ask(self, *args: str, cwd: Path | None = None) -> str | None:
        """The answer without its newline; None where git has none."""
        try:
            return self.run(*args, cwd=cwd).rstrip("\n") or None
        except (ToolFailed, Gone):
            return None

    def _environment(self) -> dict[str, str]:
        env = {name: value for name, value in os.environ.items() if name not in _FOREIGN}
        env |= {"LC_ALL": "C.UTF-8", "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"}
        given = env.get("GIT_CONFIG_COUNT", "")
        count = int(given) if given.isdigit() else 0
        for index, (key, value) in enumerate(_OVERRIDDEN.items(), start=count):
            env |= {f"GIT_CONFIG_KEY_{index}": key, f"GIT_CONFIG_VALUE_{index}": value}
        return env | {"GIT_CONFIG_COUNT": str(count + len(_OVERRIDDEN))} | self._extra


def _repository(path: Path) -> tuple[_LocalGit, Path]:
    if not path.is_dir():
        raise Theirs(f"{path} is no folder")
    for folder in (path.resolve(), *path.resolve().parents):
        if (folder / ".git").exists():
            answer = _LocalGit(folder / ".git").run("rev-parse", "--absolute-git-dir", "--show-toplevel", cwd=folder)
            git_dir, root = answer.splitlines()
            return _LocalGit(Path(git_dir)), Path(root)
        if (folder / "HEAD").is_file() and (folder / "objects").is_dir():
            raise Theirs(f"{folder} is a bare repository: there is no working tree to look at")
    raise Theirs(f"{path} is not in a git repository: run assay check inside one, or name its folder")


def _commit(git: _LocalGit, name: str) -> str | None:
    return git.ask("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")


# -- what it is compared with


def _base(git: _LocalGit, wanted: str | None) -> Base:
    head = _commit(git, "HEAD")
    if wanted is not None:
        commit = _commit(git, wanted)
        if commit is None:
            raise Theirs(f"--base {wanted}: this repository has no such commit, branch or tag (has it been fetched?)")
        # Histories with nothing in common can be compared all the same, when somebody asks for it.
        return _told((_merge_base(git, commit) if head else None) or commit, wanted)
    if head is None:
        return Base(None, "nothing: there is no commit yet")
    for name in _default_branches(git):
        if commit := _commit(git, name):
            parted = _merge_base(git, commit)
            if parted is None:
                raise Theirs(_nothing_in_common(git, _short(name)))
            return _told(parted, _short(name))
    return _told(head, "the last commit, for no default branch is known")


def _default_branches(git: _LocalGit) -> Iterator[str]:
    """Names of what may be the default branch, the likeliest first."""
    heads = git.ask("for-each-ref", "--format=%(symref)", "refs/remotes/origin/HEAD", "refs/remotes/*/HEAD") or ""
    yield from sorted(filter(None, heads.splitlines()), key=lambda name: not name.startswith("refs/remotes/origin/"))
    yield from ("refs/remotes/origin/main", "refs/remotes/origin/master", "refs/heads/main", "refs/heads/master")
    if own := git.ask("config", "init.defaultBranch"):
        yield f"refs/heads/{own}"
    yield "@{upstream}"


def _merge_base(git: _LocalGit, commit: str) -> str | None:
    return git.ask("merge-base", commit, "HEAD")


def _nothing_in_common(git: _LocalGit, name: str) -> str:
    if git.ask("rev-parse", "--is-shallow-repository") == "true":
        return f"this clone is too shallow to find where it parted from {name}: git fetch --unshallow, or name a --base"
    return f"HEAD has no history in common with {name}: name what to compare with by --base"


def _told(commit: str, name: str) -> Base:
    short = commit[:7]
    return Base(commit, short if commit.startswith(name) else f"{name} ({short})")


def _short(name: str) -> str:
    return name.removeprefix("refs/heads/").removeprefix("refs/remotes/")


# -- the working tree as a git tree


def _left_out(git: _LocalGit, root: Path) -> list[str]:
    """New files that are too large, and (ending in a slash) repositories within this one, which are not part of it."""
    listed = git.run("ls-files", "-z", "--others", "--exclude-standard", cwd=root).split("\0")
    return [path for path in listed if path.endswith("/") or (path and _size(root / path) > LARGEST_NEW_FILE)]


def _size(file: Path) -> int:
    try:
        return file.lstat().st_size
    except OSError:
        # It is gone already.
        return 0


class _Snapshot:
    """The repository's git with an index and an object store of its own, which may read from the repository's."""

    def __init__(self, git: _LocalGit, root: Path, scratch: Path) -> None:
        self._root = root
        index, objects = scratch / "index", scratch / "objects"
        objects.mkdir()
        own_objects, own_index = (
            root / git.run("rev-parse", "--git-path", name, cwd=root).rstrip("\n") for name in ("objects", "index")
        )
        if own_index.exists():
            # With its times: git tells by them which files may have changed since it last looked.
            shutil.copy2(own_index, index)
        self.git = _LocalGit(
            git.git_dir,
            {
                "GIT_INDEX_FILE": str(index),
                "GIT_OBJECT_DIRECTORY": str(objects),
                "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(own_objects.resolve()),
                "GIT_WORK_TREE": str(root),
            },
        )

    def write(self, left_out: list[str]) -> str:
        """The tree's name. Raises ToolFailed for a file that cannot be read."""
        excluded = (f":(exclude,literal,top){path}" for path in left_out)
        self.git.run("add", "--all", "--", ".", *excluded, cwd=self._root)
        return self.git.run("write-tree", cwd=self._root).strip()
