"""The sandbox for those who have Docker or Podman: a container of its own for every command.

A command starts in an image that the operator has chosen and pulled, one made from Assay's own so that Assay's tools
are in it; without network and capabilities, as nobody's user, with a read-only system, sized folders in memory, its
tree, and nothing else of the machine; within limits for all its processes together. `engine.py` has the words for that.

    setpriv (ends with Assay) -> sh -> docker run ... -> in the container: sh (reads the environment) -> the command

The engine is no child of Assay's, and neither is the container: it is ended by its name, with the clock, when the work
is called off, and when Assay's own process goes. What was left all the same, by a machine that lost its power say, is
removed when Assay starts (`clear`).
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from bot.errors import ToolFailed
from workers.agent import Command, Completed
from workers.sandbox.child import Heard, completed, listen, stdin_of
from workers.sandbox.engine import Box, Engine, Program, run
from workers.sandbox.folders import Disk, lend
from workers.sandbox.identity import owner
from workers.sandbox.limits import Limits
from workers.sandbox.outlet import outlet
from workers.sandbox.programs import environment, search_path
from workers.sandbox.registries import Registries
from workers.sandbox.walls import HOME

log = logging.getLogger(__name__)

# Outside, between Assay and the engine: the container does not outlive the one who asked for it.
_LEASH = """
engine=$1 name=$2; shift 2
trap '"$engine" kill "$name" >/dev/null 2>&1; exit 143' TERM
exec 3<&0
"$engine" "$@" <&3 3<&- &
wait $!
"""
# Inside. The environment comes by a file: values in an argument list could be read by everybody on the machine.
_ENVIRONMENT = "/run/assay/environment"
_ENTER = f'. {_ENVIRONMENT}; exec "$@"'
# What an image has on its PATH.
_LIST = 'echo "$PATH"; IFS=:; for d in $PATH; do echo "$d/"; ls -1 "$d" 2>/dev/null; done; true'
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# How `docker run` says that it could not, which no container had a part in.
_ENGINE_FAILED = (125, 126, 127)
_ENGINE_WORDS = (
    "docker: ",
    "podman: ",
    "Error: ",
    "Error response",
    "Unable to find image",
    "Cannot connect",
    "enter: ",
    "leash: ",
)
# What the engine's own program may know of its surroundings: where the engine is.
_SURROUNDINGS = (
    *("PATH", "HOME", "LANG", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"),
    *("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY", "CONTAINER_HOST"),
)
# Seconds: for a question to the engine; for a container that ends by itself, and for one that is ended; and between two
# tries to end it.
_PATIENCE, _LEAVING, _CLEARING, _AGAIN = 30.0, 5.0, 20.0, 0.2


@dataclass(frozen=True)
class Image:
    """An image by its name, its PATH, and where the programs on it are."""

    name: str
    path: str = ""
    programs: Mapping[str, str] = field(default_factory=dict)

    @property
    def own(self) -> str:
        """The folder of Assay's own programs in it."""
        return os.path.dirname(self.programs.get("assay", ""))  # noqa: PTH120 - a path of another system

    def which(self, program: str) -> str | None:
        """Where a program is. What is Assay's own Python outside is that of the image inside."""
        if program == sys.executable:
            return f"{self.own}/python" if self.own else self.programs.get("python3")
        return program if "/" in program else self.programs.get(program)


class ContainerSandbox:
    """Runs commands in containers of an image. Once `cancelled` is set, what runs is ended and nothing else begins.
    `registries` tells, late, what a command with a network may reach."""

    def __init__(
        self,
        engine: Engine,
        image: Image,
        limits: Limits | None = None,
        cancelled: threading.Event | None = None,
        registries: Callable[[], Registries] = Registries,
    ) -> None:
        self._engine = engine
        self._image = image
        self._limits = limits or Limits()
        self._cancelled = cancelled or threading.Event()
        self._registries = registries

    @property
    def level(self) -> str:
        runtime = f"{self._engine.runtime}, " if self._engine.runtime else ""
        return (
            f"{self._engine.program} ({runtime}image {self._image.name}, uid {self._engine.user}, limits by the engine)"
        )

    @property
    def isolates(self) -> bool:
        return True

    def which(self, program: str) -> str | None:
        return self._image.which(program)

    def run(self, command: Command) -> Completed:
        if self._cancelled.is_set():
            raise ToolFailed(f"{command.argv[0]} was not started: the work was called off")
        argv = [self._program(command), *command.argv[1:]]
        path = search_path(self._image.path, executes_code=command.executes_code, own=self._image.own)
        env = dict(environment(command, path, str(command.home or HOME), "/tmp"))  # noqa: S108 - the one inside
        if not self._image.path and "PATH" not in command.env:
            del env["PATH"]
        reads, writes = lend(command)
        out = None
        with ExitStack() as stack:
            if command.network:
                out = stack.enter_context(outlet(self._registries(), self._image.which(sys.executable) or "python3"))
                reads, argv, env = (*reads, *out.reads), [*out.starts, *argv], {**env, **out.env}
            box = Box(
                name=f"assay-{os.getpid()}-{uuid4().hex[:12]}",
                label=f"assay={_here()}",
                image=self._image.name,
                cwd=command.cwd,
                reads=[path for path in dict.fromkeys(reads) if path not in writes],
                writes=list(dict.fromkeys(writes)),
                files=stack.enter_context(_own_files(env, self._engine)),
                home=None if command.home else HOME,
                limits=self._limits,
                timeout=command.timeout,
                stdin=command.stdin is not None,
            )
            done = self._contained(command, box, argv, stack)
        return out.told(done) if out else done

    def _program(self, command: Command) -> str:
        name = command.argv[0]
        if "PATH" in command.env and name != sys.executable:
            return name
        if (found := self._image.which(name)) is None:
            raise ToolFailed(f"{name} cannot be started: it is not installed in the image {self._image.name}.")
        return found

    def _contained(self, command: Command, box: Box, argv: Sequence[str], stack: ExitStack) -> Completed:
        program = self._engine.program
        leash = ("setpriv", "--pdeathsig", "TERM", "/bin/sh", "-c", _LEASH, "leash", program, box.name)
        try:
            process = subprocess.Popen(
                [*leash, *run(self._engine, box, _ENTER, argv)],
                env=_surroundings(),
                stdin=stack.enter_context(stdin_of(command.stdin)),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise ToolFailed(f"{command.argv[0]} cannot be started: {error}") from None
        disk = Disk(box.writes, self._limits.disk, self._limits.files)
        try:
            heard = listen(process, None, command, self._cancelled, disk)
            if not (heard.timed_out or heard.refused or self._cancelled.is_set()):
                # It said all there was to be said, and is about to leave.
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(_LEAVING)
        finally:
            _end(process, program, box.name)
        if heard.refused:
            raise ToolFailed(f"{command.argv[0]} was stopped: {heard.refused}.")
        return _completed(command, heard, process.returncode, box.image)


def examine(engine: Engine, name: str) -> Image:
    """What an image has, found out by running it. Raises ToolFailed where it cannot be run, which says why."""
    listed = ContainerSandbox(engine, Image(name)).run(Command(["/bin/sh", "-c", _LIST], Path("/"), _PATIENCE))
    if listed.exit_code != 0:
        raise ToolFailed(f"the image {name} cannot be looked at: {listed.stderr.strip()[:300]}")
    return parse_image(name, listed.stdout)


def parse_image(name: str, listed: str) -> Image:
    """An image by what it said of itself: its PATH, then each folder of that, with the programs in it."""
    path, _, rest = listed.partition("\n")
    folder, programs = "", dict[str, str]()
    for line in rest.splitlines():
        if line.endswith("/"):
            folder = line
        else:
            programs.setdefault(line, folder + line)
    return Image(name, path, programs)


def engine(program: Program, runtime: str = "") -> Engine:
    """The engine for commands of this process."""
    new = owner()
    if new is not None:
        return Engine(program, new, new, runtime)
    return Engine(program, os.getuid(), os.getgid(), runtime, maps_users=program == "podman")


def clear(program: Program) -> None:
    """Remove the containers that dead processes of this machine have left. Raises ToolFailed."""
    names = _ask(program, "ps", "--all", "--filter", f"label=assay={_here()}", "--format", "{{.Names}}")
    for name in names.split():
        pid = name.split("-")[1] if name.count("-") == 2 else ""
        if pid.isdigit() and not Path("/proc", pid).exists():
            log.warning("%s: the container %s was left by a process that is gone, and is removed", program, name)
            _ask(program, "rm", "--force", name)


def _here() -> str:
    """This machine, as far as numbers of processes mean the same."""
    return f"{socket.gethostname()}-{os.stat('/proc/self/ns/pid').st_ino}"  # noqa: PTH116


def _surroundings() -> dict[str, str]:
    return {name: os.environ[name] for name in _SURROUNDINGS if name in os.environ}


def _ask(program: Program, *words: str) -> str:
    try:
        done = subprocess.run(
            [program, *words], env=_surroundings(), capture_output=True, text=True, timeout=_PATIENCE, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolFailed(f"{program} {words[0]}: {error}") from None
    if done.returncode != 0:
        raise ToolFailed(f"{program} {words[0]}: {done.stderr.strip()[:300]}")
    return done.stdout


@contextmanager
def _own_files(env: Mapping[str, str], engine: Engine) -> Iterator[Mapping[str, Path]]:
    """The files that a command gets of Assay, by their paths inside: its environment, and who it is. Nobody else may
    read them."""
    # A variable that no shell can have could not be read by its name either.
    lines = (f"export {name}={shlex.quote(value)}\n" for name, value in env.items() if _VARIABLE.fullmatch(name))
    people = f"root:x:0:0::/:/bin/sh\nassay:x:{engine.user}:{engine.group}::{env['HOME']}:/bin/sh\n"
    texts = {
        _ENVIRONMENT: "".join(lines),
        "/etc/passwd": people,
        "/etc/group": f"root:x:0:\nassay:x:{engine.group}:\n",
    }
    with tempfile.TemporaryDirectory(prefix="assay-") as folder:
        files = {inside: Path(folder, str(number)) for number, inside in enumerate(texts)}
        for inside, file in files.items():
            file.touch(0o600)
            file.write_text(texts[inside], encoding="utf-8", errors="surrogateescape")
            if owner() is not None:
                os.chown(file, engine.user, engine.group)
        yield files


def _end(process: subprocess.Popen[bytes], program: Program, name: str) -> None:
    """End the container, where it has not ended, and see to it that it is gone."""
    until = time.monotonic() + _CLEARING
    while process.poll() is None and time.monotonic() < until:
        # One that is being made cannot be killed yet.
        with contextlib.suppress(ToolFailed):
            _ask(program, "kill", name)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_AGAIN)
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        try:
            _ask(program, "rm", "--force", name)
        except ToolFailed as error:
            log.error("%s: the container %s may still be there: %s", program, name, error)
    for stream in (process.stdout, process.stderr):
        if stream:
            stream.close()


def _completed(command: Command, heard: Heard, code: int, image: str) -> Completed:
    # What the engine and the shell say when they give up. A command that imitates them fails, too.
    if not heard.timed_out and code in _ENGINE_FAILED and heard.stderr.lstrip().startswith(_ENGINE_WORDS):
        raise ToolFailed(f"{command.argv[0]} cannot be started in the image {image}: {heard.stderr.strip()[:500]}")
    return completed(heard, None if heard.timed_out else code)
