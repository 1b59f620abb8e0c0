"""What is kept on disk between jobs, shared by all workers of a machine, until it is old or too much."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

from bot.errors import NoSpace
from workers.entry import Entry
from workers.locks import flock

log = logging.getLogger(__name__)

T = TypeVar("T")

# Seconds between two looks at what could go.
_PAUSE = 60.0
# What is left free of a disk, in bytes and as a part of it, whichever is less: others have to live on it too.
_RESERVE = 1_000_000_000
_RESERVED_PART = 0.05
_SCRATCH = "runs"


@dataclass(frozen=True)
class Limits:
    """`size` is what may be kept, in bytes; `age` is how long something unused is kept, in seconds."""

    size: int
    age: float


class Cache:
    """The entries below a folder, on shelves."""

    def __init__(self, folder: Path, limits: Limits) -> None:
        self.folder = folder
        self._limits = limits

    def entry(self, shelf: str, name: str) -> Entry:
        return Entry(self.folder / shelf / name)

    def entries(self, shelf: str, prefix: str = "") -> list[Entry]:
        """Those of a shelf, the last used first. Some may have gone by the time one looks."""
        found = [Entry(path) for path in _folders(self.folder / shelf) if path.name.startswith(prefix)]
        return sorted(found, key=Entry.last_use, reverse=True)

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A folder that is gone afterwards, whatever an agent did to its permissions, and whoever was killed."""
        with ExitStack() as stack:
            entry = self.with_room(lambda: self._scratch(stack))
            try:
                yield entry.kept
            finally:
                entry.clear()

    def _scratch(self, stack: ExitStack) -> Entry:
        entry = self.entry(_SCRATCH, f"run-{uuid4().hex}")
        stack.enter_context(entry.used())
        entry.kept.mkdir()
        return entry

    def with_room(self, act: Callable[[], T]) -> T:
        """What `act()` returns. Where the disk is full, half of what is kept goes and it is tried again, and then all.

        Raises NoSpace when that is not enough.
        """
        if self._free() < 0:
            self.shrink(self._limits.size)
        for part in (0.5, 0.0):
            try:
                return _attempt(act)
            except NoSpace as error:
                log.warning("%s: making room", error)
                self.shrink(int(part * sum(entry.size() for entry in self._all())))
        try:
            return _attempt(act)
        except NoSpace as error:
            raise NoSpace(
                f"no space in ASSAY_WORK_DIR ({self.folder}), and nothing more there that could go: {error}. "
                "Free some, or give it a larger disk."
            ) from error

    def tidy(self) -> bool:
        """Remove what was left behind, what is old and what is too much. False where somebody did within the last
        minute, or is at it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with suppress(BlockingIOError), flock(self.folder / "tidied", fcntl.LOCK_EX | fcntl.LOCK_NB) as lock:
            about = os.fstat(lock)
            if about.st_size and time.time() - about.st_mtime < _PAUSE:
                return False
            os.pwrite(lock, b"\n", 0)
            self.shrink(self._limits.size)
            return True
        return False

    def shrink(self, size: int) -> None:
        """Remove what is not in use: all of it that was left behind or is old, and the least recently used until the
        rest takes up at most `size` bytes, or less where the disk is short."""
        for scratch in self.entries(_SCRATCH):
            scratch.remove()
        entries = self._all()
        sizes = {entry.folder: entry.size() for entry in entries}
        total = sum(sizes.values())
        size = min(size, total + self._free())
        oldest = time.time() - self._limits.age
        for entry in sorted(entries, key=Entry.last_use):
            left = not entry.kept.exists()
            if (left or total > size or entry.last_use() < oldest) and entry.remove():
                total -= sizes[entry.folder]

    def _all(self) -> list[Entry]:
        shelves = [path.name for path in _folders(self.folder) if path.name != _SCRATCH]
        return [entry for shelf in shelves for entry in self.entries(shelf)]

    def _free(self) -> int:
        """Bytes that may still be written; below zero where too few are left for others."""
        try:
            disk = shutil.disk_usage(self.folder)
        except FileNotFoundError:
            return 0
        return disk.free - int(min(_RESERVE, _RESERVED_PART * disk.total))


def _attempt(act: Callable[[], T]) -> T:
    try:
        return act()
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoSpace(str(error)) from error
        raise


def _folders(folder: Path) -> list[Path]:
    try:
        return [Path(item.path) for item in os.scandir(folder) if item.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []
