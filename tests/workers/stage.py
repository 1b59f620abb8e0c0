"""Sets the stage for an agent: a small tree without git, the diff to it, a kit with the real process runner."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bot.domain.diff import Diff, FileDiff, parse_diff
from bot.domain.findings import AgentResult
from bot.domain.plan import AgentPlan
from workers.agent import Agent, Command, Completed, History, Kit, Memory, NoMemory, Sandbox, Work
from workers.sandbox.process import ProcessSandbox

from .agents.changes import patch_of

SANDBOX = ProcessSandbox(os.environ["PATH"])
Files = Mapping[str, str | bytes]


@dataclass
class Stage:
    """A change from `base` to `head`. `said` collects the agent's progress."""

    root: Path
    head: Files
    base: Files | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    trusted: bool = True
    approved: bool = False
    timeout: float = 60
    diff: Diff | None = None
    sandbox: Sandbox = SANDBOX
    secret: str = "never-to-be-shown"
    said: list[str] = field(default_factory=list)
    history: History = field(default_factory=History)
    memory: Memory = field(default_factory=NoMemory)
    trees: tuple[str, str] = ("", "")

    def run(self, agent: Agent) -> AgentResult:
        return agent.run(self.work(), self.kit())

    def kit(self) -> Kit:
        return Kit(self.sandbox, None, self.said.append, lambda text: text.replace(self.secret, "***"), self.memory)

    def work(self) -> Work:
        head, base = self.root / "head", self.root / "base"
        plant(head, self.head)
        if self.base is not None:
            plant(base, self.base)
        patch = patch_of(_texts(self.base or {}), _texts(self.head))
        diff = self.diff or parse_diff(patch.split("\n"))
        return Work(
            repository="octo/shop",
            sha="0" * 40,
            checkout=lambda: head,
            base=lambda: None if self.base is None else base,
            compare=lambda: diff,
            patch=lambda: patch,
            settings=self.settings,
            timeout=self.timeout,
            trusted=self.trusted,
            approved=self.approved,
            history=lambda: self.history,
            trees=lambda: self.trees,
            own=self._copy,
        )

    def _copy(self, tree: Path) -> Path:
        copy = Path(tempfile.mkdtemp(prefix="own-", dir=self.root))
        return shutil.copytree(tree, copy, symlinks=True, dirs_exist_ok=True)


def all_new(*paths: str) -> Diff:
    """A change that added every line of these files."""
    lines = ((1, 10_000),)
    return Diff(files={path: FileDiff(path=path, status="added", added=lines, hunks=lines) for path in paths})


def plant(root: Path, files: Files) -> None:
    root.mkdir(parents=True, exist_ok=True)
    for path, content in files.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)


def _texts(files: Files) -> dict[str, str]:
    return {path: text if isinstance(text, str) else text.decode("latin-1") for path, text in files.items()}


class Watching:
    """A sandbox that runs commands for real and remembers them; `missing` programs are not installed."""

    def __init__(self, *missing: str) -> None:
        self._inner = ProcessSandbox(os.environ["PATH"])
        self._missing = missing
        self.commands: list[Command] = []

    @property
    def level(self) -> str:
        return self._inner.level

    @property
    def isolates(self) -> bool:
        return True

    def which(self, program: str) -> str | None:
        return None if program in self._missing else self._inner.which(program)

    def run(self, command: Command) -> Completed:
        self.commands.append(command)
        if command.argv[0] in self._missing:
            return self._inner.run(Command([f"{command.argv[0]}-is-missing"], command.cwd, 5))
        return self._inner.run(command)

    def argv_of(self, program: str) -> list[list[str]]:
        """The command lines of a program that named files."""
        return [list(one.argv) for one in self.commands if one.argv[0] == program and "--" in one.argv]


def says(result: AgentResult) -> Callable[[AgentPlan], Agent]:
    """An agent that has nothing else to say."""
    return does(lambda _work, _kit: result)


def does(run: Callable[[Work, Kit], AgentResult]) -> Callable[[AgentPlan], Agent]:
    @dataclass(frozen=True)
    class Doing:
        def run(self, work: Work, kit: Kit) -> AgentResult:
            return run(work, kit)

    return lambda _plan: Doing()


def raises(error: BaseException) -> Callable[[AgentPlan], Agent]:
    def run(_work: Work, _kit: Kit) -> AgentResult:
        raise error

    return does(run)
