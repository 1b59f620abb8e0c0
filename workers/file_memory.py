"""What agents remember between two calls of `assay check`: a file in the user's cache folder."""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from workers.agent import LONGEST_NOTE


class FileMemory:
    """The memory of one repository on somebody's own machine. A file that is damaged or cannot be written is no
    memory, and no failure."""

    def __init__(self, file: Path, repository: str) -> None:
        self._file = file
        self._repository = repository

    def recall(self, keys: Sequence[str]) -> Sequence[str | None]:
        if not self._file.exists():
            return [None] * len(keys)
        found: dict[str, str] = {}
        with contextlib.suppress(sqlite3.Error, OSError), self._open() as file:
            for key in keys:
                row = file.execute("SELECT text FROM notes WHERE key = ? AND until > ?", (self._key(key), time.time()))
                if (kept := row.fetchone()) is not None:
                    found[key] = str(kept[0])
        return [found.get(key) for key in keys]

    def note(self, texts: Mapping[str, str], seconds: int) -> None:
        now = time.time()
        rows = [(self._key(key), text, now + seconds) for key, text in texts.items() if len(text) <= LONGEST_NOTE]
        with contextlib.suppress(sqlite3.Error, OSError, UnicodeError), self._open() as file:
            file.execute("DELETE FROM notes WHERE until <= ?", (now,))
            file.executemany("INSERT OR REPLACE INTO notes VALUES (?, ?, ?)", rows)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with closing(sqlite3.connect(self._file, timeout=5)) as file, file:
            file.execute("CREATE TABLE IF NOT EXISTS notes (key TEXT PRIMARY KEY, text TEXT, until REAL)")
            yield file

    def _key(self, key: str) -> str:
        return hashlib.sha256(f"{self._repository}\n{key}".encode("utf-8", "surrogateescape")).hexdigest()
