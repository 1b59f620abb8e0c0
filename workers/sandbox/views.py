"""Views of shared files that one may write to: overlays (https://docs.kernel.org/filesystems/overlayfs.html), which
cost what is written to them, and not a copy of every file.

A view is mounted for the process that wants it and for what that starts, and goes with them: nobody else sees it, and
nothing is left by those who are killed. Where Assay is root, the files below are shown as belonging to whom commands
run as, by a mount that maps users; they themselves stay root's, and no command may write to them wherever it sees them.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bot.errors import ToolFailed
from workers.sandbox.identity import files_to_commands, owner
from workers.sandbox.mounts import mapped, overlay, own_mounts, unmount

log = logging.getLogger(__name__)

# Nothing of a view outlives its job, so nothing of it is written through to the disk. Folders can be renamed where it
# is root who mounts; what an ordinary user mounts notes what it has to note in attributes of users.
_OF_ROOT: Mapping[str, str | None] = {"volatile": None, "redirect_dir": "on"}
_OF_USERS: Mapping[str, str | None] = {"volatile": None, "userxattr": None}


class Views:
    """Makes views, in a process of their own: between `enter` and the end of it."""

    def __init__(self) -> None:
        self._entered = False

    @property
    def usable(self) -> bool:
        """Whether this process can make any."""
        return self._entered

    def enter(self) -> None:
        """From now on this process, with what it starts, sees mounts of its own. For its main thread, while that is its
        only one. Where it cannot be, no views can be made. At the second call nothing happens."""
        if self._entered:
            return
        try:
            own_mounts()
        except OSError as error:
            log.warning("files are copied: %s", error)
        else:
            self._entered = True

    @contextmanager
    def view(self, files: Path, room: Path) -> Iterator[Path]:
        """A folder with the files of another one, to do with as one likes, until the end; that one stays as it is. It,
        and what is written to it, lie in the empty folder `room`. Raises OSError, ToolFailed."""
        below, changes, scratch, shown = (room / name for name in ("below", "changes", "scratch", "files"))
        for folder in (below, changes, scratch, shown):
            folder.mkdir()
        changes.chmod(0o755)
        with ExitStack() as stack:
            if (user := owner()) is None:
                overlay(files, changes, scratch, shown, _OF_USERS)
            else:
                os.chown(changes, user, user)
                mapped(files, below, files_to_commands())
                stack.callback(unmount, below)
                overlay(below, changes, scratch, shown, _OF_ROOT)
            stack.callback(unmount, shown)
            yield shown


def why_no_views(folder: Path) -> str:
    """Why no views can be made of files that lie in a folder; empty where they can. Found out by making one, in a
    process that ends with it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="view-", dir=folder) as scratch:
            return _tried(Path(scratch))
    except OSError as error:
        return str(error)


def _tried(scratch: Path) -> str:
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        words = "it cannot be tried out"
        try:
            words = _try(scratch)
        except (OSError, RuntimeError, ToolFailed) as error:
            words = str(error)
        finally:
            os.write(write, words.encode()[:500])
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        words = pipe.read().decode()
    os.waitpid(child, 0)
    return words


def _try(scratch: Path) -> str:
    files, room = scratch / "files", scratch / "room"
    for folder in (files, room, files / "folder"):
        folder.mkdir()
    (files / "folder" / "a").write_text("one")
    own_mounts()
    with Views().view(files, room) as shown:
        file = shown / "folder" / "a"
        if file.stat().st_uid != (owner() or os.geteuid()):
            return "files cannot be shown as another user's"
        file.write_text("two")
    return "" if (files / "folder" / "a").read_text() == "one" else "the files below were written to"
