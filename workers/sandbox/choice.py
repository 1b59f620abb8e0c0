"""Which sandbox commands run in: what the operator asks for, else the strongest that works, never less in silence.

`auto` is bubblewrap or nothing. `none` has to be asked for by name: it is for an operator's own repositories, on a
machine that holds nothing else.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, NoReturn

from bot.errors import NoSandbox, ToolFailed
from workers.agent import Command, Sandbox
from workers.sandbox.bubblewrap import BubblewrapSandbox
from workers.sandbox.process import ProcessSandbox
from workers.sandbox.registries import find_registries

Kind = Literal["auto", "bubblewrap", "none"]
_NEEDED = ("bwrap", "prlimit", "setpriv", "unshare")
_REMEDY = (
    "install bubblewrap and util-linux (apt-get install bubblewrap) and let Assay's user make user namespaces, or set "
    "ASSAY_SANDBOX=none where every repository is the operator's own"
)
_PATIENCE = 20.0


@dataclass(frozen=True)
class Choice:
    """`make(cancelled)` makes a sandbox for one agent. `level` and `isolates` are its; `why_not` says what keeps
    commands from being run at all, empty where they can be."""

    make: Callable[[threading.Event], Sandbox]
    level: str
    isolates: bool
    why_not: str = ""


class AbsentSandbox:
    """Where nothing can be isolated and nobody said that nothing has to be: nothing is executed."""

    level = "none: nothing is executed"
    isolates = True

    def __init__(self, why: str) -> None:
        self._why = why

    def run(self, command: Command) -> NoReturn:
        raise NoSandbox(f"there is no sandbox for {command.argv[0]}: {self._why}")

    def which(self, program: str) -> str | None:
        return shutil.which(program)


def choose(kind: Kind, path: str, registries: Sequence[str] = ()) -> Choice:
    """Try what is asked for out, on `path`. `registries` are hosts that a set-up may reach beside the usual ones. Never
    raises: what does not work is told when a command is to be run."""
    if kind == "none":
        plain = ProcessSandbox(path)
        return Choice(lambda cancelled: ProcessSandbox(path, cancelled=cancelled), plain.level, plain.isolates)
    why_not = _why_not(path)
    if why_not:
        absent = AbsentSandbox(f"{why_not}. To mend it: {_REMEDY}")
        return Choice(lambda _: absent, absent.level, absent.isolates, why_not)
    level = BubblewrapSandbox(path).level
    known = cache(lambda: find_registries(registries, path))
    return Choice(
        lambda cancelled: BubblewrapSandbox(path, cancelled=cancelled, registries=known), level, isolates=True
    )


def remedy() -> str:
    """What to do where there is none."""
    return _REMEDY


def _why_not(path: str) -> str:
    """Why bubblewrap does not work here; empty when it does. Found out by running something in it."""
    missing = [name for name in _NEEDED if shutil.which(name, path=os.environ.get("PATH", os.defpath)) is None]
    if missing:
        return f"{' and '.join(missing)} is not installed"
    try:
        done = BubblewrapSandbox(path).run(Command(["/bin/true"], Path("/"), _PATIENCE))
    except (ToolFailed, ValueError) as error:
        return f"bubblewrap does not work here ({error})"
    return "" if done.exit_code == 0 else f"bubblewrap does not work here ({done.stderr.strip()[:200]})"
