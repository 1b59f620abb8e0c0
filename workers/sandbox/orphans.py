"""What bubblewrap leaves of itself when it dies as it starts.

The first process of the new namespaces waits for its parent's word before it does anything, before it asks to die with
it too. Where the parent is killed in those milliseconds, as a worker is and takes it along, the word never comes, or
later nobody lets it through the gate (`bubblewrap.py`): the process executes nothing, and sleeps for ever.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
from pathlib import Path

log = logging.getLogger(__name__)


def clear() -> None:
    """End those that sleep like that on this machine, as far as this process may."""
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            if folder.name.isdigit() and _is_orphan(folder):
                os.kill(int(folder.name), signal.SIGKILL)
                log.warning("a sandbox whose worker was killed as it started was left, and is removed")


def _is_orphan(process: Path) -> bool:
    """Whether it is the first process of a namespace that bubblewrap made for Assay, and bubblewrap itself is gone."""
    status = _status(process)
    if status["Name"] != "bwrap" or status["NSpid"].split()[1:] != ["1"]:
        return False
    return b"--json-status-fd" in (process / "cmdline").read_bytes() and not _is_bubblewrap(status["PPid"])


def _is_bubblewrap(pid: str) -> bool:
    try:
        return _status(Path("/proc", pid))["Name"] == "bwrap"
    except OSError:
        return False


def _status(process: Path) -> dict[str, str]:
    """proc(5), `/proc/pid/status`."""
    lines = (line.partition(":") for line in (process / "status").read_text(errors="replace").splitlines())
    return {name: value.strip() for name, _, value in lines}
