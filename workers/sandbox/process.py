"""The process runner: the `Sandbox` for code that is trusted as far as its author's write access goes.

It is not a sandbox: a command sees the network and whatever files its user may read. What it does promise: a clean
environment, resource limits, bounded output, a wall clock, and nothing left running (`launch.py` says how).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from bot.domain.findings import UNISOLATED
from bot.errors import ToolFailed
from workers.agent import Command, Completed
from workers.sandbox.child import Heard, listen, stdin_of
from workers.sandbox.limits import Limits
from workers.sandbox.programs import OWN_BIN, environment, find_program, search_path

_LAUNCHER = Path(__file__).with_name("launch.py")

# What the launcher may take to clear away the command's processes, beyond its own patience; seconds.
_CLEARING = 8.0

# Git sets these for its hooks; a command that runs git in another folder would be led astray by them.
_GIT_HOOK = {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_OBJECT_DIRECTORY", "GIT_QUARANTINE_PATH"}
_SECRET_PREFIXES = ("ASSAY_", "OPENAI_")


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
        return UNISOLATED

    @property
    def isolates(self) -> bool:
        return False

    def which(self, program: str) -> str | None:
        return shutil.which(program, path=self._search(executes_code=False))

    def run(self, command: Command) -> Completed:
        if self._cancelled.is_set():
            raise ToolFailed(f"{command.argv[0]} was not started: the work was called off")
        path = self._search(executes_code=command.executes_code)
        program = find_program(command, path)
        # A home that is gone afterwards, so that no command finds what another one left there.
        with tempfile.TemporaryDirectory(prefix="assay-", ignore_cleanup_errors=True) as scratch:
            if self._environ is None:
                env = environment(command, path, str(command.home or scratch), scratch)
            else:
                env = {**self._environ, "PATH": path, **command.env}
            return _Process(command, program, env, self._limits, self._cancelled).run()

    def _search(self, *, executes_code: bool) -> str:
        if self._environ is not None and executes_code:
            return os.pathsep.join([self._path, OWN_BIN])
        return search_path(self._path, executes_code=executes_code)


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

    def run(self) -> Completed:
        with stdin_of(self._command.stdin) as stdin:
            status, launcher = self._start(stdin)
        try:
            heard = listen(launcher, status, self._command, self._cancelled)
        finally:
            _end(launcher)
            for stream in (launcher.stdout, launcher.stderr, status):
                if stream:
                    stream.close()
        return self._completed(heard)

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

    def _completed(self, heard: Heard) -> Completed:
        word, _, value = heard.status.partition("\n")[0].partition(" ")
        if word == "error":
            raise ToolFailed(f"{self._command.argv[0]} cannot be started: {value}")
        return Completed(
            exit_code=int(value) if word == "exit" else None,
            stdout=heard.stdout,
            stderr=heard.stderr,
            seconds=heard.seconds,
            timed_out=heard.timed_out or (word == "signal" and int(value) == signal.SIGXCPU),
            truncated=heard.truncated,
        )


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
