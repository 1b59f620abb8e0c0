"""Jobs for tests of workers: they leave marks in a file."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path


def mark(file: str, text: str) -> None:
    """Leave a mark."""
    with Path(file).open("a") as out:
        out.write(text + "\n")


def marks(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


def quick(file: str, name: str) -> None:
    mark(file, f"done {name}")


def slow(file: str, seconds: int) -> None:
    """Takes so long at its first try, and no time afterwards."""
    first = not marks(Path(file))
    mark(file, f"began {os.getpid()}")
    if first:
        time.sleep(seconds)
    mark(file, f"ended {os.getpid()}")


def steady(file: str, seconds: int) -> None:
    """Takes so long at every try."""
    mark(file, f"began {os.getpid()}")
    time.sleep(seconds)
    mark(file, f"ended {os.getpid()}")


def poison(file: str, _: int) -> None:
    """Kills the process that does it."""
    mark(file, "tried")
    os.kill(os.getpid(), signal.SIGKILL)


def fail(file: str, _: int) -> None:
    mark(file, "tried")
    raise LookupError("no such thing: hunter2")


class Parts:
    """A job in three parts, each of which says in which process it is done. At its first try the middle one kills its
    process."""

    def __call__(self, *_: object) -> None:
        raise AssertionError("a worker that forks does the parts")

    def begin(self, file: str, what: str) -> tuple[str, str] | None:
        mark(file, f"begin {os.getpid()}")
        if what == "refuse":
            raise LookupError("no such thing")
        return None if what == "nothing" else (file, what)

    def carry_out(self, begun: tuple[str, str]) -> bytes:
        file, what = begun
        tries = sum(line.startswith("carry_out") for line in marks(Path(file)))
        mark(file, f"carry_out {os.getpid()}")
        if what == "die" and not tries:
            os.kill(os.getpid(), signal.SIGKILL)
        if what == "fail":
            raise LookupError("no such thing")
        return b"x" * 3_000_000

    def end(self, begun: tuple[str, str], said: bytes) -> None:
        mark(begun[0], f"end {os.getpid()} {len(said)}")


parts = Parts()
