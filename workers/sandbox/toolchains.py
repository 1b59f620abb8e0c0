"""Which folders of the machine a command is shown beside the system, so that it finds its programs: read-only."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# Version managers keep what their programs need in a folder of their own, which a variable names.
_MANAGERS = {"PYENV_ROOT": ".pyenv", "RUSTUP_HOME": ".rustup", "NVM_DIR": ".nvm", "RBENV_ROOT": ".rbenv"}
# rustup's programs are where cargo's are; of cargo's folder nothing else is shown, for it may hold a token.
_BROUGHT_ALONG = {".cargo/bin": ".rustup"}


@dataclass(frozen=True)
class Toolchains:
    """`folders` to show, and the variables that lead programs to them."""

    folders: Sequence[Path]
    env: Mapping[str, str]

    @classmethod
    def of(cls, path: str) -> Toolchains:
        """Those that a PATH leads to, and Assay's own Python."""
        home = Path.home()
        on_path = [Path(folder) for folder in path.split(os.pathsep) if folder.startswith("/")]
        # A program of a virtual environment needs the rest of it.
        environments = [folder.parent for folder in on_path if _is_file(folder.parent / "pyvenv.cfg")]
        wanted = [*on_path, *environments, Path(sys.prefix), Path(sys.base_prefix)]
        env = {}
        for variable, name in _MANAGERS.items():
            folder = Path(os.environ.get(variable) or home / name)
            brought = any(home / other in on_path for other, brought in _BROUGHT_ALONG.items() if brought == name)
            if _is_folder(folder) and (brought or any(entry.is_relative_to(folder) for entry in on_path)):
                wanted.append(folder)
                env[variable] = str(folder)
        folders = [folder for folder in dict.fromkeys(wanted) if _is_folder(folder) and not _is_system(folder)]
        return cls([folder for folder in folders if not any(_shows(other, folder) for other in folders)], env)


# pathlib's own raise where the way there may not be gone.
def _is_folder(path: Path) -> bool:
    return os.path.isdir(path)  # noqa: PTH112


def _is_file(path: Path) -> bool:
    return os.path.isfile(path)  # noqa: PTH113


def _shows(outer: Path, inner: Path) -> bool:
    """Whether one folder is seen within another, without a link on the way, which might lead out of it. To show a
    folder takes a quarter of a millisecond of every command."""
    return outer in inner.parents and inner.resolve() == outer.resolve() / inner.relative_to(outer)


def _is_system(folder: Path) -> bool:
    """Whether it is shown anyhow, or is all of the machine."""
    return folder == Path("/") or folder.resolve().is_relative_to("/usr")
