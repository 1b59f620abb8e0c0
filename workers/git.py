"""Running git on what a stranger wrote.

Cloning is an attack too. So: no configuration but ours, no hooks, no prompts, no submodules, no LFS, no symbolic links
written, only http(s) and local transports, and embedded bare repositories are not entered. A token never stands in a
URL, an argument, the environment or a file that has a name: git reads it from memory, by an inherited descriptor.

What writes a commit's files runs in the sandbox: it reads the repository, writes to those folders, and sees no more.
"""

from __future__ import annotations

import base64
import io
import os
import resource
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from bot.errors import Gone, NoSpace, Refused, ToolFailed, Unavailable
from workers.agent import Command, Sandbox

_HARDENED = {
    "safe.bareRepository": "explicit",
    "core.symlinks": "false",
    "core.hooksPath": os.devnull,
    "core.fsmonitor": "false",
    "core.quotePath": "true",
    "core.protectNTFS": "true",
    "core.protectHFS": "true",
    "protocol.allow": "never",
    "protocol.http.allow": "always",
    "protocol.https.allow": "always",
    "fetch.recurseSubmodules": "false",
    "submodule.recurse": "false",
    "transfer.fsckObjects": "false",
    # A pack is written through to the disk before anything names what is in it; loose objects are not.
    "fetch.unpackLimit": "1",
    "http.followRedirects": "false",
    "gc.auto": "0",
    # Times of loose references say when a commit was last used (workers/checkout.py).
    "gc.packRefs": "false",
    "gc.writeCommitGraph": "false",
    "gc.bigPackThreshold": "200m",
    "maintenance.auto": "false",
    "credential.helper": "",
    # Work grows with its square: at git's own default no commit takes more than a few seconds to compare.
    "diff.renameLimit": "1000",
    # A server that sends less than this, in bytes a second, for so many seconds is taken for dead.
    "http.lowSpeedLimit": "1000",
    "http.lowSpeedTime": "60",
}
_SETTINGS = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_LFS_SKIP_SMUDGE": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_CONFIG_COUNT": str(len(_HARDENED)),
    **{f"GIT_CONFIG_KEY_{index}": key for index, key in enumerate(_HARDENED)},
    **{f"GIT_CONFIG_VALUE_{index}": value for index, value in enumerate(_HARDENED.values())},
}
# The operator's way out, where there is no other.
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
_WORDS = 800
_MEMORY = 4 * 2**30  # bytes


class Git:
    """One git directory. `token` authenticates HTTP; `timeout` is a command's wall clock, in seconds.

    Every call raises ToolFailed with git's own words, Gone for a repository or commit that is not there, Refused where
    the token is not enough, NoSpace when the disk is full, and Unavailable when the server cannot be reached or the
    time is up.
    """

    def __init__(self, git_dir: Path, *, token: str | None = None, timeout: float = 300.0) -> None:
        self.git_dir = git_dir
        self._token = token
        self._timeout = timeout

    def run(
        self, *args: str, env: Mapping[str, str] | None = None, cwd: Path | None = None, lock: int | None = None
    ) -> str:
        """The command's output. `lock` is a descriptor to share with the command: a `flock` on it is held until the
        command has ended too, should this process be killed before."""
        with self._started(args, env, cwd, subprocess.PIPE, lock) as process:
            try:
                output, words = process.communicate(timeout=self._timeout)
            except subprocess.TimeoutExpired:
                raise Unavailable(f"git {args[0]} did not end within {self._timeout:g} s") from None
        if process.returncode != 0:
            raise _error(args[0], words.decode("utf-8", "replace"))
        return output.decode("utf-8", "surrogateescape")

    def run_inside(
        self, sandbox: Sandbox, *args: str, env: Mapping[str, str], cwd: Path, writes: Sequence[Path]
    ) -> None:
        """A command that writes to these folders, one of which is `cwd`, and only reads the repository. It gets no
        token. It ends with this process, but perhaps a moment later."""
        done = sandbox.run(
            Command(
                ["git", f"--git-dir={self.git_dir}", *args],
                cwd,
                self._timeout,
                env={**_SETTINGS, **env},
                tree=Path("/"),
                reads=(self.git_dir,),
                writes=writes,
            )
        )
        if done.timed_out:
            raise Unavailable(f"git {args[0]} did not end within {self._timeout:g} s")
        if done.exit_code != 0:
            raise _error(args[0], done.stderr)

    @contextmanager
    def lines(self, *args: str, env: Mapping[str, str] | None = None) -> Iterator[Iterator[str]]:
        """The command's output line by line, for outputs too large to hold. Lines end at a newline only."""
        # Not a pipe, which nobody empties while the output is read.
        with os.fdopen(os.memfd_create("errors"), "w+b") as errors:
            with self._started(args, env, None, errors) as process:
                assert process.stdout is not None
                watchdog = threading.Timer(self._timeout, _kill, [process])
                watchdog.start()
                try:
                    # Text mode of Popen would take a lone carriage return for the end of a line.
                    text = io.TextIOWrapper(process.stdout, "utf-8", "surrogateescape", newline="\n")
                    yield (line.removesuffix("\n") for line in text)
                    text.close()
                    process.wait()
                finally:
                    watchdog.cancel()
            errors.seek(0)
            words = errors.read(_WORDS)
        if process.returncode == -signal.SIGKILL:
            raise Unavailable(f"git {args[0]} did not end within {self._timeout:g} s")
        if process.returncode != 0:
            raise _error(args[0], words.decode("utf-8", "replace"))

    @contextmanager
    def _started(
        self,
        args: Sequence[str],
        env: Mapping[str, str] | None,
        cwd: Path | None,
        stderr: IO[bytes] | int,
        lock: int | None = None,
    ) -> Iterator[subprocess.Popen[bytes]]:
        """The command, in a process group of its own: its helpers, which speak HTTP, end with it."""
        login = self._login()
        given = {} if login is None else {"GIT_CONFIG_GLOBAL": f"/proc/self/fd/{login}"}
        shared = tuple(one for one in (lock, login) if one is not None)
        try:
            process = subprocess.Popen(
                ["git", f"--git-dir={self.git_dir}", *args],  # noqa: S607 - the one on PATH is meant
                env=self._environment() | given | dict(env or {}),
                cwd=cwd or self.git_dir,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                start_new_session=True,
                pass_fds=shared,
                # What it fetches is read by whom commands run as, too.
                umask=0o022,
            )
        except FileNotFoundError:
            raise ToolFailed("git is not installed") from None
        finally:
            if login is not None:
                os.close(login)
        with process:
            _limit_memory(process)
            try:
                yield process
            except BaseException:
                _kill(process)
                raise

    def _login(self) -> int | None:
        """A configuration that has the token, in memory; its helpers inherit the descriptor."""
        if self._token is None:
            return None
        login = base64.b64encode(f"x-access-token:{self._token}".encode()).decode()
        held = os.memfd_create("assay-git")
        os.write(held, f'[http]\n\textraHeader = "Authorization: Basic {login}"\n'.encode())
        return held

    def _environment(self) -> dict[str, str]:
        outside = {name: value for name, value in os.environ.items() if name.lower() in _PROXIES}
        path = os.environ.get("PATH", os.defpath)
        return outside | {"PATH": path, "HOME": os.devnull, "LC_ALL": "C.UTF-8"} | _SETTINGS


def _limit_memory(process: subprocess.Popen[bytes]) -> None:
    """Its helpers inherit it. Trees within trees without end are to end git, not the machine."""
    if hasattr(resource, "prlimit"):  # Linux
        with suppress(ProcessLookupError, PermissionError):
            resource.prlimit(process.pid, resource.RLIMIT_DATA, (_MEMORY, _MEMORY))


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


# What git says, in lower case, and what it means. The first that fits counts.
# `checkout-index` keeps to itself why it could not.
_FULL = ("no space left on device", "disk quota exceeded", "unable to write file")
_GONE = ("not our ref", "not found", "unadvertised object")
_REFUSED = ("returned error: 403", "returned error: 401", "could not read username", "authentication failed")
_AWAY = (
    "could not resolve",
    "unable to access",
    "timed out",
    "hung up",
    "early eof",
    "rpc failed",
    "unexpected disconnect",
)


def _error(verb: str, stderr: str) -> Exception:
    words = stderr.strip()[-_WORDS:]
    lower = words.lower()
    if any(sign in lower for sign in _FULL):
        return NoSpace(f"git {verb}: {words}")
    if any(sign in lower for sign in _GONE):
        return Gone(f"git {verb}: {words}")
    if any(sign in lower for sign in _REFUSED):
        return Refused(f"git {verb}: {words}", 403)
    if any(sign in lower for sign in _AWAY):
        return Unavailable(f"git {verb}: {words}")
    return ToolFailed(f"git {verb}: {words}")
