"""Agents on a machine of their own, which holds no key of the App."""

from __future__ import annotations

import base64
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from bot.demo.github import StandInGitHub
from bot.redis.embedded import EmbeddedRedis
from tests.flow.test_serve import QUICK, REPOSITORY, Serve
from tests.processes import in_environment, in_files, in_memory

_APP = ("ASSAY_GITHUB_APP_ID", "ASSAY_GITHUB_PRIVATE_KEY", "ASSAY_GITHUB_WEBHOOK_SECRET")


class Machines(Serve):
    """Control and agents apart, each with a folder and settings of its own, sharing a Redis."""

    def __init__(self, github: StandInGitHub, folder: Path, redis_url: str) -> None:
        super().__init__(github, folder)
        self.environment["ASSAY_REDIS_URL"] = redis_url
        self.agents_folder = folder / "agents"
        self.agents_folder.mkdir()
        (folder / "home").mkdir()

    def launch(self, *arguments: str) -> subprocess.Popen[bytes]:
        return self._launch(arguments, self.environment, self.folder / "home")

    def launch_agents(self, *queues: str) -> subprocess.Popen[bytes]:
        environment = {name: value for name, value in self.environment.items() if name not in _APP}
        environment["ASSAY_DATA_DIR"] = str(self.agents_folder / "data")
        return self._launch(("worker", *queues), environment, self.agents_folder)

    def _launch(self, arguments: tuple[str, ...], environment: dict[str, str], cwd: Path) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "bot.cli", *arguments]
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                command,
                env=environment,
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.started.append(process)
        return process


@pytest.fixture
def machines(github: StandInGitHub, redis_server: EmbeddedRedis, redis: object, tmp_path: Path) -> Iterator[Machines]:
    assert redis
    github.add_repository(REPOSITORY, {".github/assay.yml": QUICK, "demo.py": "A = 1\n"}, private=True)
    both = Machines(github, tmp_path, redis_server.url)
    yield both
    both.clear()


def holds(process: subprocess.Popen[bytes], *secrets: bytes) -> bool:
    """Whether a secret is anywhere in a process or in those below it."""
    root = psutil.Process(process.pid)
    looks = (in_memory, in_environment, in_files)
    return any(bool(look(one.pid, secrets)) for one in (root, *root.children(recursive=True)) for look in looks)


def for_git(token: str) -> bytes:
    return base64.b64encode(f"x-access-token:{token}".encode())


def test_agents_work_on_a_machine_without_the_key(machines: Machines, redis_server: EmbeddedRedis) -> None:
    """What their processes hold is looked through, and the same look finds the key where it is held."""
    web = machines.launch("web")
    control = machines.launch("worker", "intake", "publish")
    machines.launch("sweep")
    agents = machines.launch_agents("lint")
    machines.until("an answer", lambda: machines.status("readyz") == 200)
    assert machines.await_verdict(machines.push("A = 2\n")) == "success"

    key = machines.github.private_key.splitlines()[5].encode()
    hook = machines.github.webhook_secret.encode()
    assert holds(control, key)
    assert holds(web, hook)
    assert not holds(web, key)
    assert not holds(agents, key, hook)
    tokens = [form for token in machines.github.world.tokens for form in (token.encode(), for_git(token))]
    assert tokens
    # What both machines wrote: mirrors, checkouts and logs; and what Redis did, all that ever was in it.
    kept = [machines.folder, Path(redis_server.url.removeprefix("unix://")).parent]
    files = [path for folder in kept for path in folder.rglob("*") if path.is_file()]
    assert {"log", "config"} <= {path.name for path in files}
    for path in files:
        text = path.read_bytes()
        assert not [secret for secret in (key, *tokens) if secret in text], path
