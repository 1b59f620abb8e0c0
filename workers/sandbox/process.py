"""The process runner: the `Sandbox` for code that is trusted as far as its author's write access goes.

It is not a sandbox: a command sees the network and whatever files its user may read. What it does promise: a clean
environment, resource limits, bounded output, a wall clock, and nothing left running (`launch.py` says how).
"""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from bot.errors import ToolFailed
from workers.agent import OUTPUT_LIMIT, Command, Completed

_LAUNCHER = Path(__file__).with_name("launch.py")
_OWN_BIN = str(Path(sys.executable).parent)

# More than this on one stream is no output but an attack or an accident: the command is ended. Bytes.
_ABSURD = 200_000_000
# What the launcher may take to clear away the command's processes, beyond its own patience; seconds.
_CLEARING = 8.0
# Of a line only the beginning is told to who watches; bytes.
_LONGEST_LINE = 2_000
# Seconds between two looks whether the work was called off.
_GLANCE = 0.2

# Git sets these for its hooks; a command that runs git in another folder would be led astray by them.
_GIT_HOOK = {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_OBJECT_DIRECTORY", "GIT_QUARANTINE_PATH"}
_SECRET_PREFIXES = ("ASSAY_", "OPENAI_")


@dataclass(frozen=True)
class Limits:
    """What one process may use: bytes, and a number of open files.

    `memory` bounds private writable memory (RLIMIT_DATA). The address space gets a far larger limit: runtimes such as
    node, Go and the JVM reserve much more of it than they use.
    """

    memory: int = 4 * 2**30
    address_space: int = 256 * 2**30
    file_size: int = 2**30
    open_files: int = 4096

    def text(self, timeout: float) -> str:
        """As `launch.py` reads them. A process may use every core for as long as the wall clock lets it."""
        seconds = int(timeout * (os.cpu_count() or 1)) + 2
        data = f"RLIMIT_DATA={self.memory},RLIMIT_AS={self.address_space}"
        return (
            f"{data},RLIMIT_FSIZE={self.file_size},RLIMIT_NOFILE={self.open_files},RLIMIT_CORE=0,RLIMIT_CPU={seconds}"
        )


class ProcessSandbox:
    """Runs commands as child processes.

    `path` is where programs are looked for, beside Assay's own. `environ` is what commands inherit instead of a clean
    environment: for a person's own repository on a person's own machine. Assay's own secrets are left out of it.
    Once `cancelled` is set, what runs is ended and nothing else begins.
    """

    def __init__(
        self,
        path: str = os.defpath,
        environ: Mapping[str, str] | None = None,
        limits: Limits | None = None,
        cancelled: threading.Event | None = None,
    ) -> None:
        self._environ = None if environ is None else _without_ours(environ)
        self._path = path if environ is None else environ.get("PATH", path)
        self._limits = limits or Limits()
        self._cancelled = cancelled or threading.Event()

    @property
    def level(self) -> str:
        return "process runner (no isolation)"

    def which(self, program: str) -> str | None:
        return shutil.which(program, path=self._search(executes_code=False))

    def run(self, command: Command) -> Completed:
        if self._cancelled.is_set():
            raise ToolFailed(f"{command.argv[0]} was not started: the work was called off")
        program = self._program(command)
        # A home that is gone afterwards, so that no command finds what another one left there.
        with tempfile.TemporaryDirectory(prefix="assay-", ignore_cleanup_errors=True) as scratch:
            return _Process(command, program, self._env(command, scratch), self._limits, self._cancelled).run()

    def _search(self, *, executes_code: bool) -> str:
        """Tools are Assay's own; a repository's code gets the operator's python, node and so on before Assay's."""
        operators = [folder for folder in self._path.split(os.pathsep) if folder and folder != _OWN_BIN]
        if self._environ is not None and executes_code:
            return os.pathsep.join([self._path, _OWN_BIN])
        return os.pathsep.join([*operators, _OWN_BIN] if executes_code else [_OWN_BIN, *operators])

    def _program(self, command: Command) -> str:
        name = command.argv[0]
        if "/" in name:
            found = shutil.which(command.cwd / name)
        else:
            found = shutil.which(name, path=command.env.get("PATH", self._search(executes_code=command.executes_code)))
        if found is None:
            raise ToolFailed(
                f"{name} cannot be started: it is not installed. Install it on the machine that runs Assay."
            )
        return str(found)

    def _env(self, command: Command, scratch: str) -> dict[str, str]:
        path = self._search(executes_code=command.executes_code)
        if self._environ is not None:
            return {**self._environ, "PATH": path, **command.env}
        home = str(command.home or scratch)
        if command.executes_code:
            path = os.pathsep.join([f"{home}/.local/bin", path])
        return {"HOME": home, "TMPDIR": scratch, "LANG": "C.UTF-8", "PATH": path, **command.env}


def _without_ours(environ: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in environ.items()
        if not name.startswith(_SECRET_PREFIXES) and name not in _GIT_HOOK
    }


class _Process:
    """One command on its way."""

    def __init__(
        self, command: Command, program: str, env: Mapping[str, str], limits: Limits, cancelled: threading.Event
    ) -> None:
        self._command = command
        self._argv = [program, *command.argv[1:]]
        self._env = env
        self._limits = limits
        self._cancelled = cancelled
        watch = command.watch
        self._out = {"stdout": _Bounded(watch), "stderr": _Bounded(watch), "status": _Bounded()}
        self._timed_out = False

    def run(self) -> Completed:
        begun = time.monotonic()
        with _stdin(self._command.stdin) as stdin:
            status, launcher = self._start(stdin)
        try:
            self._read(launcher, status, begun + self._command.timeout)
        finally:
            _end(launcher)
            for stream in (launcher.stdout, launcher.stderr, status):
                if stream:
                    stream.close()
        return self._completed(time.monotonic() - begun)

    def _start(self, stdin: IO[bytes] | int) -> tuple[IO[bytes], subprocess.Popen[bytes]]:
        read, write = os.pipe()
        own = [sys.executable, "-I", "-S", str(_LAUNCHER), str(os.getpid()), str(write)]
        try:
            launcher = subprocess.Popen(
                [*own, self._limits.text(self._command.timeout), *self._argv],
                cwd=self._command.cwd,
                env=self._env,
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=(write,),
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            os.close(read)
            raise ToolFailed(f"{self._command.argv[0]} cannot be started: {error}") from None
        finally:
            os.close(write)
        return os.fdopen(read, "rb", buffering=0), launcher

    def _read(self, launcher: subprocess.Popen[bytes], status: IO[bytes], deadline: float) -> None:
        """Read until every stream has ended: the launcher sees to it that nobody keeps one open."""
        with selectors.DefaultSelector() as selector:
            for name, stream in (("stdout", launcher.stdout), ("stderr", launcher.stderr), ("status", status)):
                selector.register(stream or status, selectors.EVENT_READ, name)
            while selector.get_map():
                for key, _ in selector.select(timeout=min(_GLANCE, max(0.0, deadline - time.monotonic()))):
                    chunk = os.read(key.fd, 1 << 16)
                    self._out[key.data].add(chunk)
                    if not chunk:
                        selector.unregister(key.fileobj)
                if self._cancelled.is_set():
                    return
                absurd = any(out.size > _ABSURD for out in self._out.values())
                if absurd or time.monotonic() >= deadline:
                    self._timed_out = not absurd
                    return

    def _completed(self, seconds: float) -> Completed:
        word, _, value = self._out["status"].text().partition("\n")[0].partition(" ")
        if word == "error":
            raise ToolFailed(f"{self._command.argv[0]} cannot be started: {value}")
        return Completed(
            exit_code=int(value) if word == "exit" else None,
            stdout=self._out["stdout"].text(),
            stderr=self._out["stderr"].text(),
            seconds=seconds,
            timed_out=self._timed_out or (word == "signal" and int(value) == signal.SIGXCPU),
            truncated=self._out["stdout"].truncated or self._out["stderr"].truncated,
        )


class _Bounded:
    """The beginning of a stream, and how long it was. `watch` hears its lines as they come, the last one too."""

    def __init__(self, watch: Callable[[str], None] | None = None) -> None:
        self._kept = bytearray()
        self._watch = watch
        self._line = b""
        self.size = 0

    def add(self, chunk: bytes) -> None:
        self.size += len(chunk)
        self._kept += chunk[: OUTPUT_LIMIT - len(self._kept)]
        if self._watch is None:
            return
        *lines, rest = (self._line + chunk).split(b"\n")
        # The rest of a line that is too long is let be; a stream's end, an empty chunk, ends its last line.
        self._line = rest[:_LONGEST_LINE] if chunk else b""
        for line in (*lines, b"" if chunk else rest):
            if text := line[:_LONGEST_LINE].decode("utf-8", "replace").rstrip():
                self._watch(text)

    @property
    def truncated(self) -> bool:
        return self.size > len(self._kept)

    def text(self) -> str:
        return self._kept.decode("utf-8", "replace")


@contextlib.contextmanager
def _stdin(text: str | None) -> Iterator[IO[bytes] | int]:
    if text is None:
        yield subprocess.DEVNULL
        return
    # A file, not a pipe: nobody has to feed it.
    with tempfile.TemporaryFile() as file:
        file.write(text.encode("utf-8", "surrogateescape"))
        file.seek(0)
        yield file


def _end(launcher: subprocess.Popen[bytes]) -> None:
    """End what still runs. Usually nothing does: the launcher left by itself."""
    if launcher.poll() is None:
        launcher.terminate()
    try:
        launcher.wait(_CLEARING)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(launcher.pid, signal.SIGKILL)
        launcher.wait()
