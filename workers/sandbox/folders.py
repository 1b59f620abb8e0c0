"""The folders on the disk that a command is given: whose they are, and what it leaves in them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from workers.agent import Command
from workers.sandbox.identity import owner

_FOR_ALL = 0o005  # to read and to enter


def tree_of(command: Command) -> Path | None:
    """The tree that a command is shown, if it is shown one."""
    tree = command.tree or command.cwd
    return None if tree == Path("/") else tree


def lend(command: Command) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """What a command may read, and what it may write to as well, made ready for whoever it runs as."""
    reads, writes = _shown(command)
    for folder in writes:
        hand_over(folder)
    if tree := tree_of(command):
        _make_readable(tree)
    return reads, writes


def _shown(command: Command) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    home = (command.home,) if command.home else ()
    tree = (found,) if (found := tree_of(command)) else ()
    reads, writes = (*command.reads,), (*home, *command.writes)
    return (reads, (*writes, *tree)) if command.executes_code else ((*reads, *tree), writes)


@dataclass(frozen=True)
class Disk:
    """Objects to a command that leaves too much in folders on the disk: bytes, and a number of files."""

    folders: Sequence[Path]
    bytes: int
    files: int

    def __call__(self) -> str:
        size = count = 0
        for folder in self.folders:
            for entry in _entries(folder):
                with contextlib.suppress(OSError):
                    size += entry.stat(follow_symlinks=False).st_blocks * 512
                count += 1
                if size > self.bytes or count > self.files:
                    return f"it left more than {self.bytes // 2**30} GB, or {self.files:,} files, on the disk"
        return ""


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    todo = [str(folder)]
    while todo:
        try:
            with os.scandir(todo.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        todo.append(entry.path)
                    yield entry
        except OSError:
            # It is gone already, or not to be read: then the command cannot read it either.
            continue


def hand_over(folder: Path) -> None:
    """Make a folder, with all that is in it, the command's own: all of it once, later what was put into it since."""
    new = owner()
    if new is None:
        return
    if folder.stat().st_uid == new:
        for entry in _children(folder):
            if entry.stat(follow_symlinks=False).st_uid != new:
                _give(Path(entry.path), new)
        return
    _give(folder, new)


def _give(path: Path, new: int) -> None:
    """What is within comes first, so that whoever is interrupted begins anew."""
    if path.is_dir() and not path.is_symlink():
        for entry in _entries(path):
            os.chown(entry.path, new, new, follow_symlinks=False)
    os.chown(path, new, new, follow_symlinks=False)


def _children(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return list(entries)


def _make_readable(tree: Path) -> None:
    """A tree that nobody else may look into is handed over; what is shown read-only stays so."""
    if tree.stat().st_mode & _FOR_ALL != _FOR_ALL:
        hand_over(tree)
