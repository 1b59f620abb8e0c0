"""The sandbox: bubblewrap (https://github.com/containers/bubblewrap) with all its walls up.

A command starts in namespaces of its own, without network, with a read-only system, sized folders in memory, its
tree, and nothing else of the machine (`walls.py`); as a user that nobody else is (`identity.py`), without capabilities,
behind a filter of system calls (`seccomp.py`), within limits for each process and, where that can be had, for all of
them together (`cgroups.py`). Its processes are in a PID namespace: when the first of them goes, by the clock or because
Assay itself went, the kernel ends all the others.

    bwrap (waits for its limits) -> [setpriv] -> the command

each by exec. bubblewrap makes the namespaces while Assay puts their first process into the control groups and sets its
limits, which every process after it inherits; the command begins only after that.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import IO

from bot.errors import ToolFailed
from workers.agent import Command, Completed
from workers.sandbox import seccomp
from workers.sandbox.cgroups import Group, Groups, find_groups
from workers.sandbox.child import Heard, completed, listen, stdin_of
from workers.sandbox.folders import Disk, lend
from workers.sandbox.identity import INSIDE, OUTSIDE, owner, user_namespace
from workers.sandbox.limits import Limits
from workers.sandbox.outlet import outlet
from workers.sandbox.own_etc import etc_folder
from workers.sandbox.programs import environment, find_program, search_path
from workers.sandbox.registries import Registries
from workers.sandbox.toolchains import Toolchains
from workers.sandbox.walls import HOME, SYSTEM, WHOLE, Room, Walls, options

# Seconds that the kernel may take to clear a tree of processes away.
_CLEARING = 5.0


class BubblewrapSandbox:
    """Runs commands in bubblewrap. `path` is where programs are looked for, beside Assay's own; its folders are shown
    to commands. Once `cancelled` is set, what runs is ended and nothing else begins. `registries` tells, late, what a
    command with a network may reach. `toolchains` are those of the path, where they are known: to find them takes a
    millisecond or two. `walls` is for tests."""

    def __init__(
        self,
        path: str = os.defpath,
        limits: Limits | None = None,
        cancelled: threading.Event | None = None,
        walls: Walls = WHOLE,
        registries: Callable[[], Registries] = Registries,
        toolchains: Toolchains | None = None,
    ) -> None:
        self._path = path
        self._limits = limits or Limits()
        self._cancelled = cancelled or threading.Event()
        self._walls = walls
        self._registries = registries
        self._toolchains = toolchains or Toolchains.of(path)

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
        room, argv = self._room(command, *lend(command)), [program, *command.argv[1:]]
        out = None
        with ExitStack() as stack:
            if command.network:
                out = stack.enter_context(outlet(self._registries(), sys.executable))
                room = replace(room, reads=(*room.reads, *out.reads))
                argv, env = [*out.starts, *argv], {**env, **out.env}
            stdin = stack.enter_context(stdin_of(command.stdin))
            given = [stack.enter_context(_file(options(self._walls, room, env, _links())))]
            group = self._group(stack)
            done = self._wrapped(argv, command, room, stdin, given, group, stack)
        return out.told(done) if out else done

    def _room(self, command: Command, reads: Sequence[Path], writes: Sequence[Path]) -> Room:
        return Room(
            cwd=command.cwd,
            reads=(*self._toolchains.folders, *reads),
            writes=writes,
            home=command.home,
            etc=etc_folder(),
            tmp=self._limits.memory // 4,
        )

    def _group(self, stack: ExitStack) -> Group | None:
        groups = _groups()
        if groups is None:
            return None
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
        group: Group | None,
        stack: ExitStack,
    ) -> Completed:
        read, write = os.pipe()
        status = stack.enter_context(os.fdopen(read, "rb", buffering=0))
        outer = ["--args", str(given[0]), "--json-status-fd", str(write)]
        gate = _Gate(stack)
        given += gate.ends
        outer += gate.options()
        if self._walls.seccomp:
            given.append(stack.enter_context(_data(seccomp.program())))
            outer += ["--seccomp", str(given[-1])]
        user, become = self._identity()
        try:
            with group.entered() if group else contextlib.nullcontext():
                process = subprocess.Popen(
                    ["bwrap", *user, *outer, "--", *become, *argv],  # noqa: S607 - the one on PATH is meant
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

        def confine(line: str) -> None:
            if first := _told(line).get("child-pid"):
                self._confine(first, command, group)
                gate.open()

        heard, disk = None, Disk(room.writes, self._limits.disk, self._limits.files)
        try:
            heard = listen(process, status, command, self._cancelled, disk, confine)
        finally:
            _end(process, heard)
        return _completed(command, heard)

    def _confine(self, first: int, command: Command, group: Group | None) -> None:
        """Put the first process of a command, by its number, into its group, and set its limits."""
        # Root's commands side by side share the count of their user; where there is a group for each, it is only a
        # backstop.
        share = 4 if group and owner() is not None else 1
        try:
            if group:
                group.add(first)
            self._limits.impose(first, command.timeout, share * self._limits.processes)
        except ProcessLookupError:
            return  # It has failed already, and says why.
        except OSError as error:
            _kill(first)
            raise ToolFailed(f"{command.argv[0]} cannot be limited: {error}") from None

    def _identity(self) -> tuple[Sequence[str], Sequence[str]]:
        """bubblewrap's options for the user namespace, and what gives up the rights that bubblewrap needed in it."""
        if owner() is None:
            return ("--unshare-user", "--uid", str(INSIDE), "--gid", str(INSIDE), "--cap-drop", "ALL"), ()
        rights = ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP", "CAP_DAC_OVERRIDE")
        user = ("--userns", str(user_namespace()), "--cap-drop", "ALL")
        added = [word for right in rights for word in ("--cap-add", right)]
        if not self._walls.identity:
            return (*user, *added), ()
        become = ("setpriv", f"--reuid={INSIDE}", f"--regid={INSIDE}", "--clear-groups", "--bounding-set=-all")
        return (*user, *added), (*become, "--inh-caps=-all")


class _Gate:
    """Where bubblewrap waits when all is made, before it starts the command. It also goes on where a gate has nobody
    any more who might open it: so it has both ends itself, and a command whose worker was killed never begins."""

    def __init__(self, stack: ExitStack) -> None:
        self.ends = os.pipe()
        for end in self.ends:
            stack.callback(os.close, end)

    def options(self) -> Sequence[str]:
        return ("--block-fd", str(self.ends[0]), "--sync-fd", str(self.ends[1]))

    def open(self) -> None:
        os.write(self.ends[1], b"\0")


@contextmanager
def _file(words: Iterator[str]) -> Iterator[int]:
    """A descriptor of the words, as `--args` reads them: not in an argument list, where everybody could read them."""
    with _data(b"".join(word.encode("utf-8", "surrogateescape") + b"\0" for word in words)) as descriptor:
        yield descriptor


@contextmanager
def _data(content: bytes) -> Iterator[int]:
    with os.fdopen(os.memfd_create("given"), "w+b") as file:
        file.write(content)
        file.seek(0)
        yield file.fileno()


def _end(process: subprocess.Popen[bytes], heard: Heard | None) -> None:
    """End what still runs, and see to it that all of it is gone."""
    first = _status(heard).get("child-pid") if heard else None
    if process.poll() is None:
        # bubblewrap ends with what it started, and the other way round, but for a moment as it begins.
        process.kill()
        if first is not None:
            _kill(first)
    process.wait()
    for stream in (process.stdout, process.stderr):
        if stream:
            stream.close()
    until = time.monotonic() + _CLEARING
    while first is not None and _lives(first) and time.monotonic() < until:
        time.sleep(0.001)


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _lives(pid: int) -> bool:
    """Whether a process is there and is more than what its parent has not looked at yet. The first of a namespace gets
    that far only when all others of it are gone."""
    try:
        return Path("/proc", str(pid), "stat").read_text(errors="replace").rpartition(")")[2].split()[0] not in "ZX"
    except (OSError, IndexError):
        return False


def _status(heard: Heard) -> Mapping[str, int]:
    return {name: value for line in heard.status.splitlines() for name, value in _told(line).items()}


def _told(line: str) -> Mapping[str, int]:
    """A line of what bubblewrap tells of itself."""
    try:
        found: Mapping[str, int] = json.loads(line)
    except ValueError:
        return {}
    return found


def _completed(command: Command, heard: Heard) -> Completed:
    status = _status(heard)
    code = status.get("exit-code")
    if heard.refused:
        raise ToolFailed(f"{command.argv[0]} was stopped: {heard.refused}.")
    # What the sandbox's own programs say when they give up. A command that imitates them fails, too.
    own_words = heard.stderr.startswith(("bwrap: ", "setpriv: "))
    if not heard.timed_out and ("child-pid" not in status or (own_words and code in (None, 1, 127))):
        raise ToolFailed(f"{command.argv[0]} cannot be started in the sandbox: {heard.stderr.strip()[:500]}")
    return completed(heard, code)


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
