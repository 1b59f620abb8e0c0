"""Locks between processes of one machine, which the kernel frees when their holder dies."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def flock(path: Path, how: int) -> Iterator[int]:
    """Hold a lock on a file, which is made when it is not there; yields its descriptor.

    Raises BlockingIOError with LOCK_NB where somebody else holds it.
    """
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            # The folder was removed in between.
            continue
        try:
            fcntl.flock(lock, how)
            if _is_at(path, lock):
                yield lock
                return
        finally:
            os.close(lock)


def _is_at(path: Path, lock: int) -> bool:
    """Whether the file is still there; one that was waited for may have been removed."""
    try:
        return os.path.samestat(path.stat(), os.fstat(lock))
    except FileNotFoundError:
        return False
