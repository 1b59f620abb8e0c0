"""What a process holds, as whoever may debug it sees it: its memory, its first environment and its open files."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

_MAP = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) r(.)\S+ \S+ \S+ \S+ *(.*)$", re.MULTILINE)
_PIECE = 1 << 24


def in_memory(pid: int, secrets: Iterable[bytes]) -> set[bytes]:
    """Which of these are in what the process has written: all but the unchanged pages of files."""
    wanted, found = set(secrets), set[bytes]()
    maps = Path(f"/proc/{pid}/maps").read_text()
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for begin, end, writable, name in _MAP.findall(maps):
            if (writable == "w" or not name.startswith("/")) and name not in ("[vvar]", "[vsyscall]"):
                memory.seek(int(begin, 16))
                for text in _pieces(memory.fileno(), int(end, 16)):
                    found |= {one for one in wanted - found if one in text}
    return found


def _pieces(memory: int, end: int) -> Iterator[bytes]:
    """The rest up to there, a piece at a time; each begins with the end of the last."""
    last = b""
    while (at := os.lseek(memory, 0, os.SEEK_CUR)) < end:
        try:
            piece = os.read(memory, min(_PIECE, end - at))
        except OSError:
            return  # pages that nobody may read
        if not piece:
            return
        yield last + piece
        last = piece[-4096:]


def in_environment(pid: int, secrets: Iterable[bytes]) -> bool:
    text = Path(f"/proc/{pid}/environ").read_bytes()
    return any(one in text for one in secrets)


def in_files(pid: int, secrets: Iterable[bytes]) -> bool:
    """Whether one of these is in a file that the process has open, one in memory for example."""
    wanted = tuple(secrets)
    for path in Path(f"/proc/{pid}/fd").iterdir():
        # It may be closed by now.
        with suppress(OSError):
            if path.is_file() and any(one in path.read_bytes() for one in wanted):
                return True
    return False
