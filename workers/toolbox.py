"""What agents work with, as one short text that changes with it: Assay, the packages installed beside it, and the
programs that can be started.

A program is not asked for its version, which takes some longer than their work: whoever installs, removes or replaces
one changes the time of the folder that it lies in.
"""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from collections.abc import Iterator
from functools import cache
from importlib.metadata import distributions
from pathlib import Path

_ROOT = Path(__file__).parent.parent
# What a result depends on. Their text counts, for a development version keeps its number.
_OWN = ("bot/domain", "config", "workers")


@cache
def toolbox(path: str) -> str:
    """Made once a process. `path` is where programs are looked for, like the variable PATH."""
    digest = hashlib.sha256()
    for fact in (platform.python_version(), *_packages(), *_own_files(), *_folders(path)):
        digest.update(f"{fact}\0".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _packages() -> list[str]:
    return sorted(f"{package.name} {package.version}" for package in distributions())


def _own_files() -> Iterator[str]:
    for package in _OWN:
        for file in sorted((_ROOT / package).rglob("*")):
            if file.is_file() and file.suffix != ".pyc":
                yield f"{file.relative_to(_ROOT)} {hashlib.sha256(file.read_bytes()).hexdigest()}"


def _folders(path: str) -> Iterator[str]:
    own = str(Path(sys.executable).parent)
    for folder in dict.fromkeys([own, *path.split(os.pathsep)]):
        if folder and Path(folder).is_dir():
            yield f"{folder} {Path(folder).stat().st_mtime_ns}"
