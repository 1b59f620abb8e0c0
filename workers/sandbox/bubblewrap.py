"""The sandbox: bubblewrap (https://github.com/containers/bubblewrap) with all its walls up.

A command starts in namespaces of its own, without network, with a read-only system, sized folders in memory, its
tree, and nothing else of the machine (`walls.py`); as a user that nobody else is (`identity.py`), without capabilities,
behind a filter of system calls (`seccomp.py`), within limits for each process and, where that can be had, for all of
them together (`cgroups.py`). Its processes are in a PID namespace: when the first of them goes, by the clock or because
Assay itself went, the kernel ends all the others.

    sh (enters the control groups, sets limits) -> bwrap -> [setpriv] -> the command

each by exec, so that the process that was started is the one to end.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import IO

from bot.errors import ToolFailed
from workers.agent import Command, Completed
from workers.sandbox import seccomp
from workers.sandbox.cgroups import Groups, find_groups
from workers.sandbox.child import Heard, listen, stdin_of
from workers.sandbox.identity import INSIDE, OUTSIDE, owner, user_namespace
from workers.sandbox.limits import Limits
from workers.sandbox.own_etc import etc_folder
from workers.sandbox.programs import environment, find_program, search_path
from workers.sandbox.proxy import way_out
from workers.sandbox.registries import Registries
from workers.sandbox.toolchains import Toolchains
from workers.sandbox.walls import HOME, SYSTEM, WHOLE, Room, Walls, options

# Writes its own number into the files that come first, up to `--`, sets the limits up to the next, and becomes what
# follows. Shells differ about which letter stands for processes.
ENTER = """
while [ "$1" != -- ]; do echo $$ >"$1" || exit 125; shift; done; shift
while [ "$1" != -- ]; do
  case $1 in
    -u) ulimit -u "$2" 2>/dev/null || ulimit -p "$2" ;;
    *) ulimit "$1" "$2" ;;
  esac || exit 125
  shift 2
done; shift
exec "$@"
"""
# Seconds that the kernel may take to clear a tree of processes away.
_CLEARING = 5.0
_FORWARD = Path(__file__).with_name("forward.py")
_PORT = 3128  # inside, where nobody else is
_FOR_ALL = 0o005  # to read and to enter
# What a shell adds to a signal's number, and bubblewrap too.
_BY_SIGNAL = 128
_SIGNALS = (
    signal.SIGKILL,
    signal.SIGSEGV,
    signal.SIGABRT,
    signal.SIGXCPU,
    signal.SIGXFSZ,
    signal.SIGBUS,
    signal.SIGILL,
)


class BubblewrapSandbox:
    """Runs commands in bubblewrap. `path` is where programs are looked for, beside Assay's own; its folders are shown
    to commands. Once `cancelled` is set, what runs is ended and nothing else begins. `registries` tells, late, what a
    command with a network may reach. `walls` is for tests."""

    def __init__(
        self,
        path: str = os.defpath,
        limits: Limits | None = None,
        cancelled: threading.Event | None = None,
        walls: Walls = WHOLE,
        registries: Callable[[], Registries] = Registries,
    ) -> None:
        self._path = path
        self._limits = limits or Limits()
        self._cancelled = cancelled or threading.Event()
        self._walls = walls
        self._registries = registries
        self._toolchains = Toolchains.of(path)

    @property
    def level(self) -> str:
        return f"bubblewrap ({_identity()}, limits by {_limited_by()})"

    @property
    def isolates(self) -> bool:
        return True

    def which(self, program: str) -> str | None:
        return shutil.which(program, path=search_path(self._path, executes_code=False))

    def run(self, command: Command) -> Completed:
        if self._cancelled.is_set():
            raise ToolFailed(f"{command.argv[0]} was not started: the work was called off")
        path = search_path(self._path, executes_code=command.executes_code)
        program = find_program(command, path)
        home = str(command.home or HOME)
        env = {**self._toolchains.env, **environment(command, path, home, "/tmp")}  # noqa: S108 - the one inside
        room, argv = self._room(command), [program, *command.argv[1:]]
        for folder in room.writes:
            _hand_over(folder)
        if shown := self._tree(command):
            _make_readable(shown)
        refused: Collection[str] = ()
        with ExitStack() as stack:
            if command.network:
                registries = self._registries()
                out = stack.enter_context(way_out(registries))
                refused = out.refused
                room = replace(room, reads=(*room.reads, *registries.certificates, out.socket.parent, _FORWARD))
                argv = [sys.executable, "-I", "-S", str(_FORWARD), str(_PORT), str(out.socket), *argv]
                env = {**env, **registries.env, **_proxied()}
            stdin = stack.enter_context(stdin_of(command.stdin))
            given = [stack.enter_context(_file(options(self._walls, room, env, _links())))]
            entrances = self._entrances(stack)
            done = self._wrapped(argv, command, room, stdin, given, entrances, stack)
        # Package managers tell of a proxy's no, and not of its reason.
        return replace(done, stderr=done.stderr + _refusals(refused)) if refused else done

    def _tree(self, command: Command) -> Path | None:
        tree = command.tree or command.cwd
        return None if tree == Path("/") else tree

    def _room(self, command: Command) -> Room:
        home = [command.home] if command.home else []
        shown = [tree] if (tree := self._tree(command)) else []
        return Room(
            cwd=command.cwd,
            reads=(*self._toolchains.folders, *command.reads, *([] if command.executes_code else shown)),
            writes=(*home, *command.writes, *(shown if command.executes_code else [])),
            home=command.home,
            etc=etc_folder(),
            tmp=self._limits.memory // 4,
        )

    def _entrances(self, stack: ExitStack) -> Sequence[Path]:
        groups = _groups()
        if groups is None:
            return ()
        try:
            return stack.enter_context(groups.group(self._limits.memory, self._limits.processes))
        except OSError as error:
            raise ToolFailed(f"the sandbox's control groups cannot be made: {error}") from None

    def _wrapped(
        self,
        argv: Sequence[str],
        command: Command,
        room: Room,
        stdin: IO[bytes] | int,
        given: list[int],
        entrances: Sequence[Path],
        stack: ExitStack,
    ) -> Completed:
        read, write = os.pipe()
        status = stack.enter_context(os.fdopen(read, "rb", buffering=0))
        outer = ["--args", str(given[0]), "--json-status-fd", str(write)]
        if self._walls.seccomp:
            given.append(stack.enter_context(_data(seccomp.program())))
            outer += ["--seccomp", str(given[-1])]
        user, become = self._identity()
        limits = self._limits.options(command.timeout)
        if owner() is not None and self._walls.identity:
            # It binds from when root is given up. Commands side by side share the count of their user; where there is a
            # group for each, it is only a backstop.
            limits += ["-u", str(self._limits.processes * (4 if _groups() else 1))]
        full = [
            *("/bin/sh", "-c", ENTER, "enter", *map(str, entrances), "--", *limits, "--"),
            *("bwrap", *user, *outer, "--", *become, *argv),
        ]
        try:
            process = subprocess.Popen(
                full,
                env={"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"},
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=(*given, write, *([user_namespace()] if user[0] == "--userns" else [])),
                start_new_session=True,
            )
        except OSError as error:
            raise ToolFailed(f"{command.argv[0]} cannot be started: {error}") from None
        finally:
            os.close(write)
        heard = None
        try:
            heard = listen(process, status, command, self._cancelled, self._disk(room.writes))
        finally:
            _end(process, heard)
        return _completed(command, heard)

    def _identity(self) -> tuple[Sequence[str], Sequence[str]]:
        """bubblewrap's options for the user namespace, and what gives up the rights that bubblewrap needed in it."""
        if owner() is None:
            # Set inside, for outside it would count all that the user runs.
            count = ("prlimit", f"--nproc={self._limits.processes}")
            return ("--unshare-user", "--uid", str(INSIDE), "--gid", str(INSIDE), "--cap-drop", "ALL"), count
        rights = ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP", "CAP_DAC_OVERRIDE")
        user = ("--userns", str(user_namespace()), "--cap-drop", "ALL")
        added = [word for right in rights for word in ("--cap-add", right)]
        if not self._walls.identity:
            return (*user, *added), ()
        become = ("setpriv", f"--reuid={INSIDE}", f"--regid={INSIDE}", "--clear-groups", "--bounding-set=-all")
        return (*user, *added), (*become, "--inh-caps=-all")

    def _disk(self, writable: Sequence[Path]) -> Disk:
        return Disk(writable, self._limits.disk, self._limits.files)


@dataclass(frozen=True)
class Disk:
    """Objects to a command that leaves too much in folders on the disk: bytes, and a number of files."""

    folders: Sequence[Path]
    bytes: int
    files: int

    def __call__(self) -> str:
        size = count = 0
        for folder in self.folders:
            for entry in _entries(folder):
                with contextlib.suppress(OSError):
                    size += entry.stat(follow_symlinks=False).st_blocks * 512
                count += 1
                if size > self.bytes or count > self.files:
                    return f"it left more than {self.bytes // 2**30} GB, or {self.files:,} files, on the disk"
        return ""


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    todo = [str(folder)]
    while todo:
        try:
            with os.scandir(todo.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        todo.append(entry.path)
                    yield entry
        except OSError:
            # It is gone already, or not to be read: then the command cannot read it either.
            continue


def _hand_over(folder: Path) -> None:
    """Make a folder, with all that is in it, the command's own: all of it once, later what was put into it since."""
    new = owner()
    if new is None:
        return
    if folder.stat().st_uid == new:
        for entry in _children(folder):
            if entry.stat(follow_symlinks=False).st_uid != new:
                _give(Path(entry.path), new)
        return
    _give(folder, new)


def _give(path: Path, new: int) -> None:
    """What is within comes first, so that whoever is interrupted begins anew."""
    if path.is_dir() and not path.is_symlink():
        for entry in _entries(path):
            os.chown(entry.path, new, new, follow_symlinks=False)
    os.chown(path, new, new, follow_symlinks=False)


def _children(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return list(entries)


def _make_readable(tree: Path) -> None:
    """A tree that nobody else may look into is handed over; what is shown read-only stays so."""
    if tree.stat().st_mode & _FOR_ALL != _FOR_ALL:
        _hand_over(tree)


@contextmanager
def _file(words: Iterator[str]) -> Iterator[int]:
    """A descriptor of the words, as `--args` reads them: not in an argument list, where everybody could read them."""
    with _data(b"".join(word.encode("utf-8", "surrogateescape") + b"\0" for word in words)) as descriptor:
        yield descriptor


@contextmanager
def _data(content: bytes) -> Iterator[int]:
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.seek(0)
        yield file.fileno()


def _refusals(hosts: Collection[str]) -> str:
    named = ", ".join(sorted(hosts)[:10])
    return f"\nAssay's proxy refused: {named}. What is a package registry, the operator names in ASSAY_REGISTRIES.\n"


def _proxied() -> Mapping[str, str]:
    """How programs are told of a proxy. Not for the loopback, which is the sandbox's own."""
    url = f"http://127.0.0.1:{_PORT}"
    names = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "npm_config_proxy", "npm_config_https_proxy")
    return {**dict.fromkeys(names, url), "no_proxy": "127.0.0.1,localhost", "NO_PROXY": "127.0.0.1,localhost"}


def _end(process: subprocess.Popen[bytes], heard: Heard | None) -> None:
    """End what still runs, and see to it that all of it is gone."""
    if process.poll() is None:
        process.kill()
    process.wait()
    for stream in (process.stdout, process.stderr):
        if stream:
            stream.close()
    if heard is None:
        return
    first = _status(heard).get("child-pid")
    until = time.monotonic() + _CLEARING
    while first is not None and _lives(first) and time.monotonic() < until:
        time.sleep(0.001)


def _lives(pid: int) -> bool:
    """Whether a process is there and is more than what its parent has not looked at yet. The first of a namespace gets
    that far only when all others of it are gone."""
    try:
        return Path("/proc", str(pid), "stat").read_text(errors="replace").rpartition(")")[2].split()[0] not in "ZX"
    except (OSError, IndexError):
        return False


def _status(heard: Heard) -> Mapping[str, int]:
    found: dict[str, int] = {}
    for line in heard.status.splitlines():
        with contextlib.suppress(ValueError):
            found |= json.loads(line)
    return found


def _completed(command: Command, heard: Heard) -> Completed:
    status = _status(heard)
    code = status.get("exit-code")
    if heard.refused:
        raise ToolFailed(f"{command.argv[0]} was stopped: {heard.refused}.")
    # What the sandbox's own programs say when they give up. A command that imitates them fails, too.
    own_words = heard.stderr.startswith(("bwrap: ", "setpriv: ", "prlimit: ", "enter: "))
    if not heard.timed_out and ("child-pid" not in status or (own_words and code in (None, 1, 127))):
        raise ToolFailed(f"{command.argv[0]} cannot be started in the sandbox: {heard.stderr.strip()[:500]}")
    by_signal = code is not None and code - _BY_SIGNAL in _SIGNALS
    return Completed(
        exit_code=None if by_signal else code,
        stdout=heard.stdout,
        stderr=heard.stderr,
        seconds=heard.seconds,
        timed_out=heard.timed_out or code == _BY_SIGNAL + signal.SIGXCPU,
        truncated=heard.truncated,
    )


@cache
def _links() -> list[tuple[str, str]]:
    """The system's folders that are links, as `/bin` to `usr/bin`."""
    return [(folder, os.readlink(folder)) for folder in SYSTEM if os.path.islink(folder)]  # noqa: PTH114, PTH115


@cache
def _groups() -> Groups | None:
    return find_groups()


def _limited_by() -> str:
    groups = _groups()
    return groups.level if groups else "rlimits"


def _identity() -> str:
    return f"uid {OUTSIDE}" if owner() is not None else "own uid"
