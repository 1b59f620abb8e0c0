"""The files of commits on disk: written once for all agents that only read them; one that writes gets a view of them
that is its own, or a copy.

A commit that is new differs little from the one before, so its files are made from a copy of that one's, and the copy
is taken while the new commit is still being fetched.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import cache, partial
from pathlib import Path
from typing import Literal

from bot.errors import NoSpace, ToolFailed
from workers.agent import Sandbox
from workers.cache import Cache
from workers.entry import Entry, remove
from workers.mirrors import Mirror
from workers.sandbox.identity import OUTSIDE, owner
from workers.sandbox.views import Views
from workers.trees import Scribe

log = logging.getLogger(__name__)

# An entry keeps the `files`, git's index of them in a folder of its own, the name of their `commit`, and the `seal`, a
# file that is younger than all of them: whoever writes to one gives it a later ctime, and that nobody can set. To the
# first two git writes, in the sandbox, and to nothing else.
_INDEX = Path("git", "index")
_COPY = ("cp", "-R", "--reflink=auto", "--no-target-directory", "--")
# Two at a time, for most of it is the kernel's work. Folders are all that git needs to own: a file that changes is
# written anew.
_COPY_AHEAD = """
mkdir "$2" "$2/files" && cp -R -- "$1/git" "$1/commit" "$2" || exit
find "$1/files" -mindepth 1 -maxdepth 1 -print0 | xargs -0 -r -n 8 -P 2 cp -R --reflink=auto -t "$2/files" -- || exit
find "$2/files" -type d -exec chmod u+w {} + -exec chown "$3" {} + &
find "$1/files" -newercm "$1/seal" -print -quit && wait $!
"""
_WORDS = 800
# Whatever git did: a link would lead those who are about to change modes, owners and contents somewhere else.
_ODD = ("(", "!", "-type", "f", "!", "-type", "d", "-print", "-quit", ")")
# What commands' user wrote becomes Assay's: nobody who runs as that user may write to it.
_OWN = ("(", "-uid", str(OUTSIDE), "-exec", "chown", "-h", f"{os.geteuid()}:{os.getegid()}", "{}", "+", ")")
# What becomes of them: they are only `read`, and nobody writes to them by mistake; or they are also `seen` in views,
# where a file can be written to only if it can be below.
Modes = Literal["read", "seen"]
_MODES: Mapping[Modes, Sequence[str]] = {
    "read": ("-perm", "/222", "-exec", "chmod", "a-w"),
    "seen": ("(", "!", "-perm", "-644", "-o", "-type", "d", "!", "-perm", "-755", ")", "-exec", "chmod", "u+rw,a+rX"),
}


class Checkouts:
    """The files of commits, which git writes in the `sandbox`. Without `views` those who write get copies."""

    def __init__(self, cache: Cache, sandbox: Sandbox, views: Views | None = None) -> None:
        self._cache = cache
        self._sandbox = sandbox
        self._views = views

    def in_own_process(self) -> None:
        """To be called before agents are at work in a process that is theirs: views need that."""
        if self._views is not None:
            self._views.enter()

    @contextmanager
    def shared(self, mirror: Mirror, commit: str) -> Iterator[Path]:
        """A folder with the commit's files, not to be written to; in the context it stays there.

        Raises ToolFailed for a tree that cannot be written, NoSpace.
        """
        entry = self._entry(mirror.name, commit)
        with ExitStack() as stack:
            self._cache.with_room(lambda: stack.enter_context(entry.used()))
            with self.ahead(mirror.name, commit):
                pass
            self._cache.with_room(lambda: entry.fill(partial(_write, self._sandbox, self._modes, mirror, commit)))
            yield entry.kept / "files"

    @contextmanager
    def own(self, files: Path) -> Iterator[Path]:
        """A folder with the files of a shared one, to do with as one likes. It is there in the context, which must end
        before that of the shared one. Raises ToolFailed, NoSpace."""
        with self._cache.scratch() as room, ExitStack() as stack:
            yield self._view(files, room / "view", stack) or self._copy(files, room / "copy")

    def _view(self, files: Path, room: Path, stack: ExitStack) -> Path | None:
        if self._views is None or not self._views.usable:
            return None
        try:
            room.mkdir()
            return stack.enter_context(self._views.view(files, room))
        except (OSError, ToolFailed) as error:
            log.warning("files are copied: %s", error)
            return None

    def _copy(self, files: Path, folder: Path) -> Path:
        self._cache.with_room(partial(_copy, files, folder))
        return folder

    @contextmanager
    def ahead(self, name: str, commit: str) -> Iterator[None]:
        """Have the last used files of the mirror of that name copied meanwhile, to make the commit's from. Does nothing
        where those are there already, or another process is at it."""
        entry = self._entry(name, commit)
        with ExitStack() as stack:
            copying = None
            # Without the copy they are written anew; that says what is wrong with the disk.
            with suppress(OSError):
                copying = self._begin_copy(entry, name, stack)
            try:
                yield
            except BaseException:
                if copying:
                    copying.stop()
                raise
            spoilt = copying and copying.finish()
        if spoilt:
            log.warning("%s: somebody wrote to the files", spoilt.folder.name)
            spoilt.remove()

    def _begin_copy(self, entry: Entry, name: str, stack: ExitStack) -> _Copying | None:
        if entry.kept.exists():
            return None
        stack.enter_context(entry.used())
        lock = stack.enter_context(entry.changed(wait=False))
        if entry.kept.exists() or (entry.folder / "ahead").exists():
            return None
        for source in self._cache.entries(self._shelf, f"{name}@"):
            if source.kept.exists():
                stack.enter_context(source.used())
                return _Copying(source, entry, lock)
        return None

    def _entry(self, name: str, commit: str) -> Entry:
        return self._cache.entry(self._shelf, f"{name}@{commit}")

    @property
    def _shelf(self) -> str:
        return f"trees-{_start()}-{self._modes}"

    @property
    def _modes(self) -> Modes:
        return "seen" if self._views else "read"


class _Copying:
    """A copy of what one entry keeps that is being made for another."""

    def __init__(self, source: Entry, target: Entry, lock: int) -> None:
        self._source = source
        self._half, self._whole = target.folder / "half", target.folder / "ahead"
        remove(self._half)
        self._process = subprocess.Popen(
            ("sh", "-c", _COPY_AHEAD, "sh", str(source.kept), str(self._half), str(owner() or os.geteuid())),  # noqa: S607
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_environment(),
            pass_fds=(lock,),
            start_new_session=True,
        )

    def finish(self) -> Entry | None:
        """Wait for it; the source, where that was no longer as it was made."""
        with self._process as process:
            written_to, _ = process.communicate()
        if process.returncode == 0 and not written_to:
            self._half.rename(self._whole)
            return None
        remove(self._half)
        return self._source if written_to else None

    def stop(self) -> None:
        with self._process as process, suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        remove(self._half)


def _write(sandbox: Sandbox, modes: Modes, mirror: Mirror, commit: str, new: Path, lock: int) -> None:
    files, scribe = new / "files", Scribe(sandbox, new / _INDEX)
    if not _turn(mirror, commit, new, scribe):
        mirror.write(commit, files, scribe)
    odd = _run("find", str(files), *_ODD, ",", *_OWN, ",", *_MODES[modes], "{}", "+", lock=lock)
    if odd:
        raise ToolFailed(f"git wrote what is neither a file nor a folder: {os.fsdecode(odd)!r}")
    (new / "commit").write_text(commit)
    (new / "seal").touch()


def _turn(mirror: Mirror, commit: str, new: Path, scribe: Scribe) -> bool:
    """Make the commit's files from the copy of another's; false where that cannot be done."""
    try:
        (new.parent / "ahead").rename(new)
    except FileNotFoundError:
        return False
    try:
        if mirror.turn((new / "commit").read_text(), commit, new / "files", scribe):
            return True
    except ToolFailed as error:
        # The mirror may have forgotten the other commit.
        log.info("%s: %s is written anew: %s", mirror.name, commit, error)
    remove(new)
    return False


@cache
def _start() -> str:
    """A name that is another one after every start of the machine: files that were not written through to the disk when
    its power failed are not used again."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "unknown"


def _copy(source: Path, target: Path) -> None:
    """Copy a tree, sharing its blocks where the file system can do that, and allow to write to the copy."""
    try:
        _run(*_COPY, str(source), str(target))
        _run("chmod", "-R", "u+w", "--", str(target))
    except BaseException:
        remove(target)
        raise


def _run(*argv: str, lock: int | None = None) -> bytes:
    done = subprocess.run(
        argv,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=_environment(),
        pass_fds=() if lock is None else (lock,),
        check=False,
    )
    if done.returncode:
        words = done.stderr.decode("utf-8", "replace").strip()[-_WORDS:]
        raise (NoSpace if "No space left" in words or "quota exceeded" in words else ToolFailed)(words)
    return done.stdout


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
