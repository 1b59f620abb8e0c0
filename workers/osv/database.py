"""OSV's export (`ECOSYSTEM/all.zip`, https://google.github.io/osv.dev/data/) in a file or folder of the operator's, for
installations that may ask nobody.

It is read once into an index of SQLite in the work folder, made anew when a file of it changes.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import sqlite3
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from bot.errors import Misconfigured
from workers.agents.dependencies.advisory import normal

ECOSYSTEMS = ("npm", "PyPI", "crates.io", "Go", "RubyGems", "Packagist", "Maven", "NuGet")
_LARGEST = 10_000_000
_SCHEMA = """
CREATE TABLE advisory (id TEXT PRIMARY KEY, modified TEXT NOT NULL, record BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE package (ecosystem TEXT, name TEXT, id TEXT, PRIMARY KEY (ecosystem, name, id)) WITHOUT ROWID;
"""


class OsvDatabase:
    """An export, and the index of it in the folder `work`."""

    name = "OSV's export"
    matches = False

    def __init__(self, source: Path, work: Path) -> None:
        self._source, self._work = source, work
        self._path: Path | None = None

    @property
    def version(self) -> str:
        """The day of the newest advisory in it."""
        with closing(self._open()) as index:
            (newest,) = index.execute("SELECT max(modified) FROM advisory").fetchone()
        return str(newest or "")[:10]

    def find(self, packages: Sequence[tuple[str, str, str]]) -> Sequence[Sequence[tuple[str, str]] | None]:
        """Raises Misconfigured for a file or folder that holds no export."""
        with closing(self._open()) as index:
            known = {row[0] for row in index.execute("SELECT DISTINCT ecosystem FROM package")}
            return [
                _of(index, ecosystem, name) if ecosystem in known else None for ecosystem, name, _version in packages
            ]

    def records(self, ids: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
        with closing(self._open()) as index:
            rows = (index.execute("SELECT id, record FROM advisory WHERE id = ?", (one,)).fetchone() for one in ids)
            return {row[0]: json.loads(zlib.decompress(row[1])) for row in rows if row}

    def _open(self) -> sqlite3.Connection:
        if self._path is None:
            self._path = self._indexed()
        return sqlite3.connect(f"file:{self._path}?mode=ro", uri=True)

    def _indexed(self) -> Path:
        files = list(_files(self._source))
        if not files:
            raise Misconfigured(f"ASSAY_OSV_DATABASE: {self._source} holds no .zip or .json of OSV's export")
        folder = self._work / "osv"
        folder.mkdir(parents=True, exist_ok=True)
        index = folder / f"{_digest(files)}.sqlite"
        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not index.exists():
                half = folder / "half"
                half.unlink(missing_ok=True)
                _build(files, half)
                for old in folder.glob("*.sqlite"):
                    old.unlink()
                half.rename(index)
        return index


def _of(index: sqlite3.Connection, ecosystem: str, name: str) -> list[tuple[str, str]]:
    query = "SELECT id, modified FROM package JOIN advisory USING (id) WHERE ecosystem = ? AND name = ?"
    return list(index.execute(query, (ecosystem, normal(ecosystem, name))))


def _files(source: Path) -> Iterator[Path]:
    if source.is_dir():
        yield from sorted(path for path in source.rglob("*") if path.suffix in (".zip", ".json") and path.is_file())
    elif source.is_file():
        yield source


def _digest(files: Sequence[Path]) -> str:
    facts = "\0".join(f"{path} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in files)
    return hashlib.sha256(facts.encode(errors="surrogateescape")).hexdigest()[:20]


def _build(files: Sequence[Path], target: Path) -> None:
    with closing(sqlite3.connect(target)) as index:
        index.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;" + _SCHEMA)
        for path in files:
            for text in _texts(path):
                _add(index, text)
        index.commit()


def _texts(path: Path) -> Iterator[bytes]:
    if path.suffix == ".json":
        if path.stat().st_size <= _LARGEST:
            yield path.read_bytes()
        return
    try:
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                if entry.filename.endswith(".json") and entry.file_size <= _LARGEST:
                    yield archive.read(entry)
    except (zipfile.BadZipFile, OSError, zlib.error) as error:
        raise Misconfigured(f"ASSAY_OSV_DATABASE: {path} cannot be read: {error}") from None


def _add(index: sqlite3.Connection, text: bytes) -> None:
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        return
    if not isinstance(record, dict) or not isinstance(record.get("id"), str) or record.get("withdrawn"):
        return
    packages = set(_packages(record))
    if packages:
        values = (record["id"], str(record.get("modified", "")), zlib.compress(text, 1))
        index.execute("INSERT OR REPLACE INTO advisory VALUES (?, ?, ?)", values)
        rows = [(ecosystem, name, record["id"]) for ecosystem, name in packages]
        index.executemany("INSERT OR REPLACE INTO package VALUES (?, ?, ?)", rows)


def _packages(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for affected in record.get("affected") or ():
        of = affected.get("package") if isinstance(affected, dict) else None
        if isinstance(of, dict) and isinstance(of.get("name"), str):
            ecosystem = str(of.get("ecosystem")).partition(":")[0]
            if ecosystem in ECOSYSTEMS:
                yield ecosystem, normal(ecosystem, of["name"])
