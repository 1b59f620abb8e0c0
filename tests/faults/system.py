"""A whole Assay of real processes, and the means to harm it: each group of processes is what one machine would run.

The stand-in GitHub is in this process, Redis is outside both. All processes are those that a test started, and all of
them are gone when it ends.
"""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Self

import httpx
import psutil

from bot.demo.github import StandInGitHub
from bot.jobs import INTAKE, PUBLISH, QUEUES
from tests.faults.journal import Journal
from tests.servers import free_port, get, until

HERE = Path(__file__).parents[2]
# Seconds that anything here may take at most.
PATIENCE = 60.0


@dataclass
class Group:
    """A command of Assay and all that it started: `assay serve`, `assay worker lint`, ..."""

    name: str
    arguments: tuple[str, ...]
    extra: dict[str, str]
    process: subprocess.Popen[bytes]
    port: int = 0

    @property
    def children(self) -> list[psutil.Process]:
        """What the supervisor keeps running, a Redis of its own aside."""
        try:
            children = psutil.Process(self.process.pid).children()
            return [child for child in children if "redis" not in child.name()]
        except psutil.NoSuchProcess:
            return []

    @property
    def workers(self) -> int:
        """How many it has when all are started."""
        match self.arguments:
            case ("serve", *_):
                return len(QUEUES)
            case ("worker", *names, "--count", count):
                return sum(1 if name in (INTAKE, PUBLISH) else int(count) for name in names)
            case ("worker", *names):
                return len(names)
        return 0

    @property
    def redis(self) -> psutil.Process | None:
        """Its own, where it has one."""
        for one in self.tree:
            with suppress(psutil.NoSuchProcess):
                if "redis" in one.name():
                    return one
        return None

    @property
    def tree(self) -> list[psutil.Process]:
        try:
            root = psutil.Process(self.process.pid)
            return [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []


class System:
    """Starts, harms and ends groups; a context manager. `redis_url` empty: `assay serve` has its own."""

    def __init__(self, github: StandInGitHub, folder: Path, redis_url: str = "") -> None:
        self.github = github
        self.folder = folder
        self.log = folder / "log"
        self.data = folder / "data"
        self.redis_url = redis_url or f"unix://{self.data}/redis/redis.sock"
        self.groups: dict[str, Group] = {}
        self.faults = folder / "faults"
        for name in ("armed", "fired"):
            (self.faults / name).mkdir(parents=True, exist_ok=True)
        self.journal = Journal(self.faults / "journal")
        self.set_clock(0.0)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("ASSAY_", "OPENAI_"))}
        self.environment = kept | {
            "ASSAY_GITHUB_APP_ID": str(github.app_id),
            "ASSAY_GITHUB_PRIVATE_KEY": github.private_key,
            "ASSAY_GITHUB_WEBHOOK_SECRET": github.webhook_secret,
            "ASSAY_GITHUB_API_URL": github.api_url,
            "ASSAY_GITHUB_URL": github.url,
            "ASSAY_DATA_DIR": str(self.data),
            # Pacing has tests of its own; a soak writes in minutes what an installation may in hours.
            "ASSAY_GITHUB_WRITES_PER_MINUTE": "0",
            "ASSAY_GITHUB_WRITES_PER_HOUR": "0",
            "ASSAY_CATCH_UP": "60s",
            "ASSAY_INTAKE_LIMIT": "5000",
            "PYTHONPATH": str(HERE),
        }
        self.environment |= {"ASSAY_REDIS_URL": redis_url} if redis_url else {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End what is left, whether a test failed or not."""
        for name in list(self.groups):
            self.kill(name)

    # -- groups

    def start(self, name: str, *arguments: str, **extra: str) -> Group:
        """Start a group; one that is named like an earlier one takes its place."""
        port = free_port() if arguments[0] in ("serve", "web") else 0
        if port and (old := self.groups.get(name)) is not None:
            port = old.port
        settings = extra | ({"ASSAY_PORT": str(port)} if port else {})
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.launcher", str(self.faults), *arguments],
                env=self.environment | settings,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.groups[name] = Group(name, arguments, extra, process, port)
        return self.groups[name]

    def again(self, name: str) -> Group:
        """Start a group that has ended as it was started before."""
        old = self.groups[name]
        return self.start(name, *old.arguments, **old.extra)

    def send_webhooks_to(self, name: str) -> None:
        """Once it answers; as a load balancer does."""
        port = self.groups[name].port
        self.until(f"{name} answers", lambda: answers(port))
        self.github.webhook_url = f"http://127.0.0.1:{port}/webhook"

    def suspend(self, name: str) -> list[psutil.Process]:
        """The machine stands still, as a virtual one does while it is moved. Every process of it, for `resume`."""
        group, found = self.groups[name], list[psutil.Process]()
        # Twice, for what was forked meanwhile.
        for _ in range(2):
            for one in set(group.tree) - set(found):
                with suppress(psutil.NoSuchProcess):
                    one.suspend()
                    found.append(one)
        return found

    def resume(self, processes: Iterable[psutil.Process]) -> None:
        for one in processes:
            with suppress(psutil.NoSuchProcess):
                one.resume()

    def kill(self, name: str) -> None:
        """The machine is gone: every process of the group at once, without a word."""
        group = self.groups[name]
        doomed = self.suspend(name)
        at = time.monotonic()
        for one in doomed:
            self.journal.note("killed", pid=one.pid, at=at)
            with suppress(psutil.NoSuchProcess):
                one.kill()
        group.process.wait(PATIENCE)
        psutil.wait_procs(doomed, timeout=PATIENCE)

    def stop(self, name: str) -> None:
        """As an operator ends it: SIGTERM to the supervisor, which drains."""
        process = self.groups[name].process
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)

    def kill_one(self, random: Random) -> None:
        """Kill a random process: a supervisor's child, or what that has forked."""
        children = [child for group in self.groups.values() for child in group.children]
        below = []
        for child in children:
            with suppress(psutil.NoSuchProcess):
                below += [one for one in child.children() if "python" in one.name()]
        if children:
            self._kill(random.choice([*children, *below]))

    def kill_redis(self) -> None:
        """The embedded one, and wait until there is another."""
        (group,) = (group for group in self.groups.values() if group.redis is not None)
        old = group.redis
        assert old is not None
        old.kill()
        self.until("there is another Redis", lambda: (new := group.redis) is not None and new != old)
        self.send_webhooks_to(group.name)

    def _kill(self, victim: psutil.Process) -> None:
        # Before it dies, so that whatever comes of it comes later. One that had ended by then had nothing in hand.
        self.journal.note("killed", pid=victim.pid)
        with suppress(psutil.NoSuchProcess):
            victim.kill()

    # -- crash points and the clock

    def arm(self, point: str, times: int = 1) -> None:
        """Have so many processes die there, the next that come by."""
        for number in range(times):
            (self.faults / "armed" / f"{point}.{time.monotonic_ns()}.{number}").touch()

    def armed(self, point: str = "") -> list[str]:
        """What has not gone off."""
        return [path.name for path in (self.faults / "armed").glob(f"{point}*")]

    def disarm(self) -> None:
        for path in (self.faults / "armed").iterdir():
            path.unlink(missing_ok=True)

    def set_clock(self, ahead: float) -> None:
        """How far the clock of all processes is ahead, in seconds."""
        file = self.faults / "clock"
        with file.open("r+b" if file.exists() else "wb") as clock:
            clock.write(struct.pack("d", ahead))

    # -- waiting

    def until(self, what: str, true: Callable[[], object], patience: float = PATIENCE) -> None:
        until(f"that {what}", true, patience, self.tail)

    def tail(self, lines: int = 60) -> str:
        """The end of the log, without what GitHub tells Assay of its own doings."""
        told = self.log.read_text("utf-8", "replace").splitlines() if self.log.exists() else []
        return "\n".join([line for line in told if ": ignored: " not in line][-lines:])


def answers(port: int) -> bool:
    try:
        return get(f"http://127.0.0.1:{port}/readyz", timeout=5).status_code == 200
    except httpx.TransportError:
        return False
