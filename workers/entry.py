"""One thing that is kept on disk between jobs: a folder with two locks.

What is in it, `kept`, is made aside as `new` and renamed once it is whole: what is there is complete, whoever was
killed. A user holds the lock `use` shared for as long as it reads; one who changes the entry holds `lock` as well,
alone and for as short as it takes; one who removes the entry holds `use` alone, and does not wait for it. All are
flocks: with a process that dies the kernel lets go of them, and those given to git last until that has ended too. What
is started in a sandbox holds none, and may write for a moment longer: `new` is set aside before it is made anew.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from workers.locks import flock

_BLOCK = 512


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
        with suppress(FileNotFoundError):
            # Somebody was killed. What they started to write it ends a moment after them: it is not to meet this one.
            new.rename(left := self.folder / f"left-{uuid4().hex}")
            remove(left)
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
            if path.is_symlink():
                path.unlink()
            elif path.is_dir():
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
