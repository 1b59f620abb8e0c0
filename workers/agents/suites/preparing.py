"""Setting up what suites need, or taking it from what is kept of an earlier time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from bot.errors import ToolFailed
from workers.agent import Prepared
from workers.agents.shell import Shell, how_it_ended, last_words
from workers.agents.suites.setups import INTO, Setup
from workers.agents.suites.suite import Tree, is_below


@dataclass(frozen=True)
class Ready:
    """What came of the set-ups, by the folder that each is for: variables, interpreters, and why one failed;
    and the `folders` that hold it."""

    env: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    python: Mapping[str, str] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)
    folders: Sequence[Path] = ()

    def env_for(self, folder: str) -> Mapping[str, str]:
        return {name: text for top, env in self.env.items() if is_below(folder, top) for name, text in env.items()}

    def why_not(self, folder: str) -> str:
        """Why nothing was set up for a suite there; empty where it was, or there was nothing to set up."""
        return next((why for top, why in self.failed.items() if is_below(folder, top)), "")


def prepare(setups: Sequence[Setup], shell: Shell, tree: Tree, prepared: Prepared, stack: ExitStack) -> Ready:
    """Set everything up. What is kept stays there until the stack is closed."""
    env: dict[str, Mapping[str, str]] = {}
    python: dict[str, str] = {}
    failed: dict[str, str] = {}
    folders: list[Path] = []
    for setup in setups:
        try:
            into = stack.enter_context(prepared(setup.key(tree), _Filling(setup, shell).fill))
            folders.append(into.parent)
            if setup.always:
                _run(setup, shell, into)
            _put(setup, replace(shell, reads=(*shell.reads, into.parent)), into)
        except ToolFailed as error:
            failed[setup.folder] = f"{setup.shown}: {error}"
            continue
        env[setup.folder] = {**env.get(setup.folder, {}), **_filled(setup.run_env, into)}
        if setup.python:
            python[setup.folder] = setup.python.replace(INTO, str(into))
    return Ready(env, python, failed, folders)


def _filled(env: Mapping[str, str], into: Path) -> Mapping[str, str]:
    return {name: text.replace(INTO, str(into)) for name, text in env.items()}


@dataclass(frozen=True)
class _Filling:
    setup: Setup
    shell: Shell

    def fill(self, into: Path) -> None:
        """Raises ToolFailed in the words of the command that failed."""
        if not self.setup.always:
            _run(self.setup, self.shell, into)
        for name in self.setup.moved:
            source = self.shell.work.root / self.setup.folder / name
            if source.exists():
                _copy(self.shell, source, into / name, writes=(into.parent,))


def _run(setup: Setup, shell: Shell, into: Path) -> None:
    shell.say(f"setup: {setup.shown}")
    for argv in setup.commands:
        words, env = [word.replace(INTO, str(into)) for word in argv], _filled(setup.env, into)
        completed = shell.run(words, env, setup.folder, writes=(into.parent,), network=True)
        if completed.exit_code != 0:
            raise ToolFailed(f"{Path(argv[0]).name} {how_it_ended(completed)}: {_words(shell.tail(completed))}")

    for argv in setup.tried:
        words, env = [word.replace(INTO, str(into)) for word in argv], _filled(setup.env, into)
        shell.run(words, env, setup.folder, writes=(into.parent,), network=True)


def _words(tail: str) -> str:
    """The last few lines: package managers say first what is wrong, and at the very end where their log lies."""
    lines = [line.strip() for line in tail.splitlines() if line.strip() and "complete log of this run" not in line]
    return " / ".join(lines[-4:])[-600:] or "it printed nothing"


def _put(setup: Setup, shell: Shell, into: Path) -> None:
    """Give the tree its own copy of what is kept: what a run changes there is no other run's."""
    for name in setup.moved:
        target = shell.work.root / setup.folder / name
        if (into / name).exists() and not target.exists():
            _copy(shell, into / name, target)


def _copy(shell: Shell, source: Path, target: Path, writes: Sequence[Path] = ()) -> None:
    argv = ["cp", "-R", "--reflink=auto", "--no-target-directory", "--", str(source), str(target)]
    completed = shell.run(argv, writes=writes)
    if completed.exit_code != 0:
        raise ToolFailed(f"{source.name} could not be copied: {last_words(shell.tail(completed))}")
