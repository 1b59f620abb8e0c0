"""Where tools run that may execute what they find: a copy of the tree, with the packages that its lock files name."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from bot.errors import ToolFailed
from workers.agent import Kit, Tool, Work
from workers.agents.shell import Shell
from workers.agents.suites.preparing import Ready, prepare
from workers.agents.suites.setups import needed
from workers.agents.suites.suite import Place, Tree


@dataclass(frozen=True)
class Room:
    """`root` is the tree, `home` a folder for what tools keep, `ready` what was set up."""

    root: Path
    home: Path | None = None
    ready: Ready = field(default_factory=Ready)

    def program(self, tool: Tool, folder: str) -> str | None:
        """The repository's own copy of a tool that is `local`, by its whole path, the nearest to a folder."""
        if not tool.local:
            return None
        for top in (Path(folder), *Path(folder).parents):
            file = self.root / top / "node_modules" / ".bin" / tool.version[0]
            if file.exists():
                return str(file)
        return None

    def env(self, folder: str) -> Mapping[str, str]:
        return self.ready.env_for(folder)


class Rooms:
    """The copies of an agent, one of each tree, made when they are asked for. They last as long as the stack."""

    def __init__(self, work: Work, kit: Kit, stack: ExitStack, home: Path) -> None:
        self._work, self._kit, self._stack, self._home = work, kit, stack, home
        self._rooms: dict[Path, tuple[Path, dict[tuple[str, str], Ready]]] = {}
        self._lock = threading.Lock()

    def room(self, root: Path, tool: Tool, folders: Sequence[str]) -> Room:
        """The copy of a tree, with what a tool needs in these folders. Raises ToolFailed where that cannot be had."""
        with self._lock:
            if root not in self._rooms:
                self._rooms[root] = self._work.own(root), {}
            own, done = self._rooms[root]
            ready = Ready()
            for folder in folders if tool.setup else ():
                key = tool.setup, folder
                if key not in done:
                    done[key] = self._set_up(own, *key)
                if why := done[key].why_not(folder):
                    raise ToolFailed(f"{tool.name} was not run: its packages could not be set up: {why}")
                ready = _joined(ready, done[key])
            return Room(own, self._home, ready)

    def _set_up(self, own: Path, kind: str, folder: str) -> Ready:
        if self._kit.prepared is None:
            return Ready()
        tree = Tree(own)
        shell = Shell.begin(replace(self._work, checkout=lambda: own), self._kit, self._home)
        return prepare(needed(tree, [(kind, Place(folder, ""))]), shell, tree, self._kit.prepared, self._stack)


def _joined(one: Ready, other: Ready) -> Ready:
    return Ready(
        env={**one.env, **other.env},
        python={**one.python, **other.python},
        failed={**one.failed, **other.failed},
        folders=tuple(dict.fromkeys((*one.folders, *other.folders))),
    )
