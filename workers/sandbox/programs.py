"""Where a command's programs are looked for."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from bot.errors import ToolFailed
from workers.agent import Command

OWN_BIN = str(Path(sys.executable).parent)


def search_path(path: str, *, executes_code: bool, own: str = OWN_BIN) -> str:
    """Tools are Assay's own; a repository's code gets the operator's python, node and so on before Assay's. `path` is
    the operator's, `own` the folder of Assay's."""
    operators = [folder for folder in path.split(os.pathsep) if folder and folder != own]
    return os.pathsep.join(filter(None, [*operators, own] if executes_code else [own, *operators]))


def find_program(command: Command, path: str) -> str:
    """Raises ToolFailed where there is none."""
    name = command.argv[0]
    found = shutil.which(command.cwd / name) if "/" in name else shutil.which(name, path=command.env.get("PATH", path))
    if found is None:
        raise ToolFailed(f"{name} cannot be started: it is not installed. Install it on the machine that runs Assay.")
    return str(found)


def environment(command: Command, path: str, home: str, scratch: str) -> Mapping[str, str]:
    """What a command's environment holds, and nothing else."""
    if command.executes_code:
        path = os.pathsep.join([f"{home}/.local/bin", path])
    return {"HOME": home, "TMPDIR": scratch, "LANG": "C.UTF-8", "PATH": path, **command.env}
