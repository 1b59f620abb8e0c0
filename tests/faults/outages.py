"""Things that go wrong around Assay: GitHub, the disk, and what is done to both while a test lasts."""

from __future__ import annotations

import os
import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from bot.demo.limits import Fault, Faults

_GIT = re.compile(r"/[^/]+/[^/]+\.git/")


class Flaky(Faults):
    """GitHub on a bad day: a share of all requests goes wrong, in the ways that GitHub's requests do. `git` says
    whether git's do so too: an agent gives up to fetch after half a minute, and that is then its result."""

    def __init__(self, random: Random, rate: float, *, git: bool) -> None:
        super().__init__()
        self._random = random
        self._git = git
        self.rate = rate
        self.done = 0

    def take(self, method: str, path: str) -> Fault | None:
        if self._random.random() >= self.rate or (not self._git and _GIT.match(path)):
            return None
        self.done += 1
        return self._random.choice(_WAYS)(lambda *_: True)


def _limit(matches: Callable[[str, str], bool]) -> Fault:
    return Fault("error", matches, status=429, headers=lambda: {"Retry-After": "1"})


_WAYS: tuple[Callable[[Callable[[str, str], bool]], Fault], ...] = (
    lambda matches: Fault("error", matches, status=500),
    lambda matches: Fault("error", matches, status=502),
    lambda matches: Fault("error", matches, status=503),
    # Carried out, and nobody is told.
    lambda matches: Fault("error", matches, status=502, after=True),
    lambda matches: Fault("reset", matches),
    lambda matches: Fault("reset", matches, after=True),
    lambda matches: Fault("secondary", matches, seconds=1),
    lambda matches: Fault("slow", matches, seconds=0.5),
    _limit,
)


@contextmanager
def again_and_again(do: Callable[[], object], seconds: float) -> Iterator[None]:
    """Meanwhile do this again and again, with so many seconds between."""
    done = threading.Event()

    def repeat() -> None:
        while not done.wait(seconds):
            do()

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def may_mount() -> bool:
    """Whether this user may give a folder a small disk of its own."""
    return os.geteuid() == 0 and subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode == 0


class SmallDisk:
    """A folder with room for `size` bytes; a context manager. Needs `may_mount`."""

    def __init__(self, folder: Path, size: int) -> None:
        self.folder = folder
        self._size = size
        self._ballast = folder / "ballast"

    def __enter__(self) -> SmallDisk:
        self.folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={self._size}", "none", str(self.folder)], check=True)
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run(["umount", "--lazy", str(self.folder)], check=True)

    def fill(self) -> None:
        """Leave no room at all."""
        with self._ballast.open("ab", buffering=0) as ballast:
            for size in (65536, 4096, 1):
                try:
                    while True:
                        ballast.write(bytes(size))
                except OSError:
                    continue

    def clear(self) -> None:
        self._ballast.unlink()
