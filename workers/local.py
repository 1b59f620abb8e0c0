"""`assay check`: the same agents, join and verdict on a repository on this machine, without GitHub or Redis.

The head is the working tree as it stands, uncommitted and new files included; nothing of the repository's git directory
or index is touched. Agents run in place, as the developer's own tools would.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bot.domain.diff import Diff
from bot.domain.effects import StartAgent
from bot.domain.events import AgentFinished, AgentProgressed, AgentStarted, CommitReceived, Event
from bot.domain.plan import AgentPlan, Plan
from bot.domain.reduce import reduce
from bot.domain.run import Run, RunKey
from bot.domain.triggers import Manual
from bot.errors import Gone, Theirs, ToolFailed
from workers.agent import Agent, Kit, Work
from workers.checkout import Trees
from workers.git import Git
from workers.run import base_files, look


@dataclass(frozen=True)
class Desk:
    """A repository on this machine: its top folder, what is looked at, and what it is compared with. `head` is the
    working tree as a git tree, `base` a commit (None: everything is new), `sha` the commit checked out."""

    root: Path
    sha: str
    head: str
    base: str | None
    trees: Trees
    diff: Diff
    scratch: Path


@contextmanager
def open_desk(path: Path, base: str | None, everything: bool) -> Iterator[Desk]:
    """Take stock of the repository that `path` lies in.

    `base` is what to compare with; by default where the history parted from the default branch. Raises Theirs for a
    path in no repository and for an unknown base.
    """
    git = _repository(path)
    root = Path(git.run("rev-parse", "--show-toplevel", cwd=path).rstrip("\n"))
    with tempfile.TemporaryDirectory(prefix="assay-") as folder:
        scratch = Path(folder)
        trees_git, head = _snapshot(git, root, scratch)
        sha = _commit(git, "HEAD") or head
        parent = None if everything else _base(git, base)
        trees = Trees(trees_git)
        diff = trees.diff(parent, head)
        yield Desk(root=root, sha=sha, head=head, base=parent, trees=trees, diff=diff, scratch=scratch)


class _LocalGit(Git):
    """Git on the developer's own repository: their configuration says what is ignored and who may read it."""

    def __init__(self, git_dir: Path, extra: dict[str, str] | None = None) -> None:
        super().__init__(git_dir)
        self._extra = extra or {}

    def _environment(self) -> dict[str, str]:
        keep = {name: value for name, value in os.environ.items() if name not in _FOREIGN}
        return keep | {"LC_ALL": "C.UTF-8", "GIT_OPTIONAL_LOCKS": "0"} | self._extra


# A hook of git's runs with these set; they would point this git elsewhere.
_FOREIGN = frozenset({"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_OBJECT_DIRECTORY"})


def _repository(path: Path) -> _LocalGit:
    if not path.is_dir():
        raise Theirs(f"{path} is no folder")
    for folder in (path.resolve(), *path.resolve().parents):
        if (folder / ".git").exists():
            found = _LocalGit(folder / ".git").run("rev-parse", "--absolute-git-dir", cwd=folder)
            return _LocalGit(Path(found.rstrip("\n")))
    raise Theirs(f"{path} is not in a git repository: run assay check inside one, or name its folder")


def _commit(git: Git, name: str) -> str | None:
    try:
        return git.run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}").strip()
    except (ToolFailed, Gone):
        return None


def _base(git: Git, wanted: str | None) -> str | None:
    if wanted is not None:
        commit = _commit(git, wanted)
        if commit is None:
            raise Theirs(f"--base {wanted}: this repository has no such commit, branch or tag (has it been fetched?)")
        return _merge_base(git, commit) or commit
    for name in _default_branches(git):
        commit = _commit(git, name)
        if commit is not None:
            return _merge_base(git, commit)
    # No default branch is known: what is not committed yet is what is new.
    return _commit(git, "HEAD")


def _default_branches(git: Git) -> Iterator[str]:
    try:
        yield git.run("symbolic-ref", "--quiet", "refs/remotes/origin/HEAD").strip()
    except (ToolFailed, Gone):
        pass
    yield from ("refs/remotes/origin/main", "refs/remotes/origin/master", "refs/heads/main", "refs/heads/master")


def _merge_base(git: Git, commit: str) -> str | None:
    if _commit(git, "HEAD") is None:
        return None
    try:
        return git.run("merge-base", commit, "HEAD").strip() or None
    except (ToolFailed, Gone):
        return None


def _snapshot(git: _LocalGit, root: Path, scratch: Path) -> tuple[_LocalGit, str]:
    """The working tree as a tree object, written to an index and an object store that are thrown away."""
    index, objects = scratch / "index", scratch / "objects"
    objects.mkdir()
    theirs = git.run("rev-parse", "--git-path", "objects", cwd=root).strip()
    own_index = root / git.run("rev-parse", "--git-path", "index", cwd=root).strip()
    if own_index.exists():
        shutil.copyfile(own_index, index)
    borrowed = _LocalGit(
        git.git_dir,
        {
            "GIT_INDEX_FILE": str(index),
            "GIT_OBJECT_DIRECTORY": str(objects),
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": str((root / theirs).resolve()),
            "GIT_WORK_TREE": str(root),
        },
    )
    borrowed.run("add", "--all", "--ignore-errors", "--", ".", cwd=root)
    return borrowed, borrowed.run("write-tree", cwd=root).strip()


def check(
    desk: Desk,
    plan: Plan,
    agent_for: Callable[[AgentPlan], Agent],
    kit: Callable[[Callable[[str], None]], Kit],
    clock: Callable[[], float],
    watch: Callable[[Event, Run], None],
) -> Run:
    """Run a plan's agents side by side and join what they say. `watch` hears every event, from one thread."""
    return _Check(desk, agent_for, kit, clock, watch).run(plan)


class _Check:
    def __init__(
        self,
        desk: Desk,
        agent_for: Callable[[AgentPlan], Agent],
        kit: Callable[[Callable[[str], None]], Kit],
        clock: Callable[[], float],
        watch: Callable[[Event, Run], None],
    ) -> None:
        self._desk = desk
        self._agent_for = agent_for
        self._kit = kit
        self._clock = clock
        self._watch = watch
        self._key = RunKey(repository=f"local/{desk.root.name}", sha=desk.sha)
        self._run: Run | None = None
        self._lock = threading.Lock()
        self._base_lock = threading.Lock()
        self._pending: set[Future[None]] = set()

    def run(self, plan: Plan) -> Run:
        trigger = Manual(base_sha=self._desk.base)
        with ThreadPoolExecutor(max_workers=max(1, len(plan.agents)), thread_name_prefix="agent") as pool:
            self._pool = pool
            self._on(CommitReceived(at=self._clock(), installation=0, trigger=trigger, plan=plan))
            while self._pending:
                done, _ = wait(self._pending, return_when=FIRST_COMPLETED)
                for future in done:
                    future.result()
                    self._pending.discard(future)
        assert self._run is not None
        return self._run

    def _on(self, event: Event) -> None:
        with self._lock:
            step = reduce(self._run, event, self._key)
            assert step.run is not None
            self._run = step.run
            for effect in step.effects:
                if isinstance(effect, StartAgent):
                    self._pending.add(self._pool.submit(self._look, effect, step.run))
            self._watch(event, step.run)

    def _look(self, start: StartAgent, run: Run) -> None:
        agent = run.agent(start.agent)
        assert agent is not None
        name, attempt = start.agent, start.attempt
        self._on(AgentStarted(at=self._clock(), agent=name, attempt=attempt))

        def progress(message: str) -> None:
            self._on(AgentProgressed(at=self._clock(), agent=name, attempt=attempt, message=message))

        result = look(agent.plan, self._work(agent.plan), self._kit(progress), self._agent_for)
        self._on(AgentFinished(at=self._clock(), agent=name, attempt=attempt, result=result))

    def _work(self, plan: AgentPlan) -> Work:
        desk = self._desk
        return Work(
            repository=self._key.repository,
            sha=desk.sha,
            root=desk.root,
            base=self._base,
            diff=desk.diff,
            patch=partial(desk.trees.patch, desk.base, desk.head),
            files=desk.diff.paths,
            settings=plan.settings,
            timeout=plan.timeout,
        )

    def _base(self) -> Path | None:
        with self._base_lock:
            return base_files(self._desk.trees, self._desk.base, self._desk.scratch / "base")
