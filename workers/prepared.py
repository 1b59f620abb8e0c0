"""What was set up for a repository's tests, kept on disk by what it depends on."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from workers.cache import Cache

_SHELF = "prepared"


class KeptSetups:
    """The set-ups of one repository in sandboxes of one level: what was set up in one image serves in no other. What a
    stranger's commit set up never serves a trusted one."""

    def __init__(self, cache: Cache, repository: str, level: str, *, trusted: bool) -> None:
        self._cache, self._scope = cache, f"{repository}\0{level}\0{trusted}"

    @contextmanager
    def __call__(self, key: str, fill: Callable[[Path], None]) -> Iterator[Path]:
        """The folder kept under that key, made by `fill` unless it is there. Where that raises nothing is kept.

        The path is the same while it is made and afterwards: what is installed there names it in its scripts.
        """
        name = hashlib.sha256(f"{self._scope}\0{key}".encode("utf-8", "surrogatepass")).hexdigest()[:40]
        entry = self._cache.entry(_SHELF, name)
        at = entry.folder / "at"

        def make(new: Path, _lock: int) -> None:
            new.mkdir()
            _point(at, new.name)
            fill(at)

        with ExitStack() as stack:
            self._cache.with_room(lambda: stack.enter_context(entry.used()))
            entry.fill(make)
            _point(at, entry.kept.name)
            yield at


def _point(link: Path, to: str) -> None:
    with suppress(OSError):
        if link.readlink() == Path(to):
            return
    new = link.with_name(f"at-{os.getpid()}")
    new.unlink(missing_ok=True)
    new.symlink_to(to)
    new.replace(link)
