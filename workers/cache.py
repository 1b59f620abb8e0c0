"""What is kept on disk between jobs, shared by all workers of a machine, until it is old or too much.

An entry is a folder with two locks. What is in it, `kept`, is made aside as `new` and renamed once it is whole: what is
there is complete, whoever was killed. A user holds the lock `use` shared for as long as it reads; one who changes the
entry holds `lock` as well, alone and for as short as it takes; one who removes the entry holds `use` alone, and does
not wait for it. All are flocks: with a process that dies the kernel lets go of them, and those given to git last until
that has ended too.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

from bot.errors import NoSpace

log = logging.getLogger(__name__)

T = TypeVar("T")

# Seconds between two looks at what could go.
_PAUSE = 60.0
# What is left free of a disk, in bytes and as a part of it, whichever is less: others have to live on it too.
_RESERVE = 1_000_000_000
_RESERVED_PART = 0.05
_BLOCK = 512
_SCRATCH = "runs"


@dataclass(frozen=True)
class Limits:
    """`size` is what may be kept, in bytes; `age` is how long something unused is kept, in seconds."""

    size: int
    age: float


class Entry:
    """Something that is kept. `kept` is there only when it is complete."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.kept = folder / "kept"

    @contextmanager
    def used(self) -> Iterator[None]:
        """Nobody removes it meanwhile."""
        with flock(self.folder / "use", fcntl.LOCK_SH) as lock:
            os.utime(lock)
            yield

    @contextmanager
    def changed(self, *, wait: bool = True) -> Iterator[int]:
        """Nobody else changes it meanwhile. For those who use it.

        Yields the lock's descriptor, for the processes that do the changing. Raises BlockingIOError where somebody else
        is at it and `wait` is false.
        """
        with self._alone(wait=wait) as lock:
            self._note.unlink(missing_ok=True)
            yield lock

    def fill(self, make: Callable[[Path, int], None]) -> None:
        """Have it made, by `make(folder, lock)`, unless it is there. For those who use it."""
        if self.kept.exists():
            return
        with self.changed() as lock:
            if not self.kept.exists():
                self.make(make, lock)

    def make(self, make: Callable[[Path, int], None], lock: int) -> None:
        """Have it made, in the place of what is there. For those who change it, with the lock they got."""
        new, old = self.folder / "new", self.folder / "old"
        remove(new)
        try:
            make(new, lock)
        except BaseException:
            remove(new)
            raise
        with suppress(FileNotFoundError):
            remove(old)
            self.kept.rename(old)
        new.rename(self.kept)
        remove(old)

    def last_use(self) -> float:
        """Seconds since the epoch; 0 for what nobody ever used."""
        try:
            return (self.folder / "use").stat().st_mtime
        except FileNotFoundError:
            return 0.0

    def size(self) -> int:
        """In bytes on the disk. Measured once after each change."""
        try:
            return int(self._note.read_text())
        except (FileNotFoundError, ValueError):
            pass
        # While it changes, and on a full disk, nothing is noted and it is measured again.
        with suppress(OSError), self._alone(wait=False):
            size = _size(self.folder)
            self._note.write_text(str(size))
            return size
        return _size(self.folder)

    def remove(self) -> bool:
        """Remove it, unless it is in use; whether it is gone."""
        try:
            with self.unused():
                self.clear()
        except BlockingIOError:
            return False
        return True

    def unused(self) -> AbstractContextManager[int]:
        """Nobody uses it meanwhile. Raises BlockingIOError where somebody does."""
        return flock(self.folder / "use", fcntl.LOCK_EX | fcntl.LOCK_NB)

    def clear(self) -> None:
        """Remove it. For the one who uses it, where nobody else does."""
        with suppress(OSError):
            self.folder.chmod(0o700)
        with suppress(FileNotFoundError):
            # Killed before the end, it leaves nothing that looks complete.
            remove(self.folder / "old")
            self.kept.rename(self.folder / "old")
        for path in self.folder.iterdir():
            if path.is_dir():
                remove(path)
        # Locks go last: as soon as they are gone, somebody may make the entry anew.
        for name in ("size", "lock", "use"):
            (self.folder / name).unlink(missing_ok=True)
        with suppress(OSError):
            self.folder.rmdir()

    @property
    def _note(self) -> Path:
        return self.folder / "size"

    def _alone(self, *, wait: bool) -> AbstractContextManager[int]:
        return flock(self.folder / "lock", fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))


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


@contextmanager
def flock(path: Path, how: int) -> Iterator[int]:
    """Hold a lock on a file, which is made when it is not there; yields its descriptor.

    Raises BlockingIOError with LOCK_NB where somebody else holds it.
    """
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            # The folder was removed in between.
            continue
        try:
            fcntl.flock(lock, how)
            if _is_at(path, lock):
                yield lock
                return
        finally:
            os.close(lock)


def _is_at(path: Path, lock: int) -> bool:
    """Whether the file is still there; one that was waited for may have been removed."""
    try:
        return os.path.samestat(path.stat(), os.fstat(lock))
    except FileNotFoundError:
        return False


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


def _size(folder: Path) -> int:
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                total += Path(parent, name).lstat().st_blocks * _BLOCK
    return total


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
