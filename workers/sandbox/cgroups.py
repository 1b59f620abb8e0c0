"""Limits for all processes of a command together, by control groups of either version, where Assay may make some.

https://docs.kernel.org/admin-guide/cgroup-v2.html, https://docs.kernel.org/admin-guide/cgroup-v1/
"""

from __future__ import annotations

import contextlib
import itertools
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

# Where the limits are written, by version: memory in bytes, a number of processes.
_V2 = {"memory.max": "memory", "memory.swap.max": "swap", "pids.max": "processes"}
_V1 = {"memory": {"memory.limit_in_bytes": "memory"}, "pids": {"pids.max": "processes"}}
_OPTIONAL = ("memory.swap.max",)
_NUMBERS = itertools.count()
# Seconds that the kernel may take to empty a group whose processes were killed.
_PATIENCE = 1.0


@dataclass(frozen=True)
class Group:
    """A group in each of `folders`, for the processes of one command; `above` is where Assay is itself. `of_threads`:
    threads of a process may be in different groups.

    A thread that moves itself waits for nobody. To move another process, or all of one, is to wait until every
    processor has been elsewhere (`cgroup_procs_write_start`, kernel/cgroup/cgroup.c), for 10 ms where that is rare.
    """

    folders: Sequence[Path]
    above: Sequence[Path]
    of_threads: bool

    @contextmanager
    def entered(self) -> Iterator[None]:
        """What this thread starts meanwhile is in the group, where groups are of threads. Raises OSError."""
        if not self.of_threads:
            yield
            return
        try:
            _move_thread(self.folders)
            yield
        finally:
            _move_thread(self.above)

    def add(self, pid: int) -> None:
        """Put a process in, where it is not in it from its start. Raises OSError, ProcessLookupError."""
        if not self.of_threads:
            for folder in self.folders:
                (folder / "cgroup.procs").write_text(str(pid))


def _move_thread(folders: Sequence[Path]) -> None:
    for folder in folders:
        (folder / "tasks").write_text("0")


@dataclass(frozen=True)
class Groups:
    """Where groups can be made: for each folder the files that limit it. `level` is for people."""

    level: str
    folders: Mapping[Path, Mapping[str, str]]
    of_threads: bool = False

    @contextmanager
    def group(self, memory: int, processes: int) -> Iterator[Group]:
        """A new one with these limits, until the end. Raises OSError when it cannot be made."""
        values = {"memory": memory, "swap": 0, "processes": processes}
        made: list[Path] = []
        try:
            for folder, files in self.folders.items():
                own = folder / f"assay-{os.getpid()}-{next(_NUMBERS)}"
                own.mkdir()
                made.append(own)
                for name, what in files.items():
                    if name in _OPTIONAL and not (own / name).exists():
                        continue
                    (own / name).write_text(str(values[what]))
            yield Group(made, list(self.folders), self.of_threads)
        finally:
            for own in made:
                _remove(own)


def _remove(folder: Path) -> None:
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            folder.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            # A process of it is still on its way out.
            if time.monotonic() > until:
                return
            time.sleep(0.002)
        else:
            return


def find_groups(root: Path = Path("/sys/fs/cgroup"), own: str | None = None) -> Groups | None:
    """Where this process may make groups, the newer version first; None where it may not. `own` is what
    `/proc/self/cgroup` holds."""
    if own is None:
        try:
            own = Path("/proc/self/cgroup").read_text()
        except OSError:
            return None
    mine = {names: path for _, names, path in (line.split(":", 2) for line in own.splitlines() if line.count(":") >= 2)}
    return _find_v2(root, mine) or _find_v1(root, mine)


def _find_v2(root: Path, mine: Mapping[str, str]) -> Groups | None:
    folder = root / mine.get("", "/").lstrip("/")
    if not (root / "cgroup.controllers").exists():
        return None
    groups = Groups("cgroup v2", {folder: _V2})
    return groups if _works(groups) else None


def _find_v1(root: Path, mine: Mapping[str, str]) -> Groups | None:
    folders = {}
    for controller, files in _V1.items():
        path = next((path for names, path in mine.items() if controller in names.split(",")), None)
        if path is None:
            return None
        folders[root / controller / path.lstrip("/")] = files
    groups = Groups("cgroup v1", folders, of_threads=True)
    return groups if _works(groups) else None


def _works(groups: Groups) -> bool:
    """Whether a group can be made, with its limits."""
    with contextlib.suppress(OSError), groups.group(2**30, 100) as group:
        entrance = "tasks" if groups.of_threads else "cgroup.procs"
        return all(os.access(folder / entrance, os.W_OK) for folder in group.folders)
    return False
