"""Real packages of npm as a repository may carry them along: one file each, so that no registry is asked."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def packed(modules: Path, name: str) -> bytes:
    """An installed package as `npm pack` would pack it, with all that it depends on inside. It depends on nothing any
    more."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        archive.add(modules / name, "package", filter=_but_its_manifest)
        about = {**_manifest(modules / name), "dependencies": {}, "peerDependencies": {}}
        _add(archive, "package/package.json", json.dumps(about).encode())
        for needed in sorted(set(_closure(modules, name, set())) - {name}):
            archive.add(modules / needed, f"package/node_modules/{needed}")
    return gzip.compress(raw.getvalue(), 1)


def lock(modules: Path, **files: tuple[str, bytes]) -> dict[str, str]:
    """`package.json` and `package-lock.json` of a repository that has these packages: by name, each in a file."""
    wanted = {name: f"file:{path}" for name, (path, _) in files.items()}
    about = {"name": "shop", "private": True, "devDependencies": wanted}
    packages: dict[str, Any] = {"": {"name": "shop", "devDependencies": wanted}}
    for name, (path, content) in files.items():
        theirs = _manifest(modules / name)
        digest = base64.b64encode(hashlib.sha512(content).digest()).decode()
        packages[f"node_modules/{name}"] = {
            "version": theirs["version"],
            "resolved": f"file:{path}",
            "integrity": f"sha512-{digest}",
            "dev": True,
            "bin": theirs["bin"],
        }
    locked = {"name": "shop", "lockfileVersion": 3, "requires": True, "packages": packages}
    return {"package.json": json.dumps(about), "package-lock.json": json.dumps(locked)}


def _closure(modules: Path, name: str, seen: set[str]) -> Iterator[str]:
    """The packages beside this one that it needs, and itself."""
    if name in seen or not (modules / name).is_dir():
        return
    seen.add(name)
    yield name
    for folder in (modules / name, *(modules / name / "node_modules").glob("*")):
        for needed in _manifest(folder).get("dependencies", {}):
            yield from _closure(modules, needed, seen)


def _manifest(folder: Path) -> dict[str, Any]:
    file = folder / "package.json"
    return dict(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else {}


def _but_its_manifest(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if entry.name == "package/package.json" else entry


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))
