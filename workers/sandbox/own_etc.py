"""What a sandboxed command gets for /etc: a copy of what is known to be harmless there, made once a process.

A copy, because it is one mount where each of its parts would be one of its own, and bubblewrap takes longer for each
mount than for the one before: 6 ms of a command's start.
"""

from __future__ import annotations

import atexit
import os
import shutil
import stat
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from workers.sandbox.walls import ETC, OWN_ETC


@cache
def etc_folder() -> Path:
    """The copy. It goes with the process that made it, not with those forked from that."""
    made = Path(tempfile.mkdtemp(prefix="assay-etc-"))
    atexit.register(_remove, made, os.getpid())
    for name in ETC:
        _copy(Path("/etc", name), made / name)
    for file in OWN_ETC.iterdir():
        shutil.copyfile(file, made / file.name)
    made.chmod(0o755)
    return made


def _remove(made: Path, maker: int) -> None:
    if os.getpid() == maker:
        shutil.rmtree(made, ignore_errors=True)


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True, ignore=_not_for_all, ignore_dangling_symlinks=True)
    elif source.is_file():
        shutil.copyfile(source, target)


def _not_for_all(folder: str, names: Sequence[str]) -> set[str]:
    """Private keys lie beside certificates: what not everybody may read is not shown."""
    return {name for name in names if not _for_all(Path(folder, name))}


def _for_all(path: Path) -> bool:
    mode = path.lstat().st_mode
    return stat.S_ISLNK(mode) or (bool(mode & stat.S_IROTH) and (stat.S_ISREG(mode) or stat.S_ISDIR(mode)))
