"""The tie between a process and the one that started it."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
# Looked up before any fork: a child of a process with threads may not load libraries.
_LIBC = ctypes.CDLL(None) if sys.platform.startswith("linux") else None


def die_with_parent(parent: int, number: signal.Signals = signal.SIGTERM) -> None:
    """Have the kernel send this process a signal when `parent`, its parent, dies, however that happens (prctl(2)).

    Linux only; elsewhere it does nothing. To be precise, the kernel waits for the thread that forked.
    """
    if _LIBC is None:
        return
    _LIBC.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
