"""A stranger's code that was approved, and that tries all it can: what it must not reach it does not, and nothing of it
is in anything that leaves."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from bot.demo.github import StandInGitHub
from bot.domain.run import RunKey
from bot.redis.embedded import EmbeddedRedis
from tests.flow.assay import CLEAN, CONFIG, REPOSITORY, Assay, running
from tests.flow.test_people import press
from tests.servers import saying
from workers.sandbox.choice import choose

WHY_NOT = choose("auto", os.environ["PATH"]).why_not
pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=f"no sandbox here: {WHY_NOT}")
CANARY = "canary-d3c0f1"
OTHER = "octo/private"
SHELL = """
agents:
  test: {{enabled: false}}
  lint: {{enabled: false}}
  security: {{enabled: false}}
  review: {{enabled: false}}
  shell: {{run: "{python} attack.py", required: true}}
"""
# It says what it reached, and what that was.
ATTACK = """
import os, pathlib, socket, urllib.request
CANARY = "canary-" + "d3c0f1"

def reached(what, text):
    if CANARY in text or "PRIVATE" + " KEY" in text:
        print("REACHED", what, text[:200])

def search(what, folder):
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                reached(what, pathlib.Path(place, name).read_text(errors="replace"))
            except OSError:
                pass

search("the data folder and other checkouts", {data!r})
reached("the environment", str(dict(os.environ)))
for folder in pathlib.Path("/proc").glob("[0-9]*"):
    for name in ("environ", "cmdline"):
        try:
            reached("another process", (folder / name).read_bytes().decode(errors="replace"))
        except OSError:
            pass
try:
    reached("a server of the machine", urllib.request.urlopen({url!r}, timeout=2).read().decode())
except OSError as error:
    print("no server:", type(error).__name__)
try:
    redis = socket.socket(socket.AF_UNIX)
    redis.connect({socket!r})
    redis.sendall(b"GET canary\\r\\n")
    reached("Redis", redis.recv(1000).decode())
except OSError as error:
    print("no Redis:", type(error).__name__)
print("it tried")
"""


@pytest.fixture
def github() -> Iterator[StandInGitHub]:
    with StandInGitHub() as stand_in:
        yield stand_in


@pytest.fixture
def url() -> Iterator[str]:
    with saying(CANARY) as port:
        yield f"http://127.0.0.1:{port}/"


@pytest.fixture
def attack(github: StandInGitHub, redis: Redis, redis_server: EmbeddedRedis, tmp_path: Path, url: str) -> str:
    redis.set("canary", CANARY)
    (tmp_path / "app.pem").write_text(f"{github.private_key}{CANARY}")
    return ATTACK.format(data=str(tmp_path), url=url, socket=redis_server.url.removeprefix("unix://").partition("?")[0])


@pytest.fixture
def assay(
    github: StandInGitHub, redis: Redis, redis_server: EmbeddedRedis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Assay]:
    text = SHELL.format(python=sys.executable)
    for name in (REPOSITORY, OTHER):
        github.add_repository(name, {CONFIG: text, "demo.py": CLEAN}, collaborators={"alice": "write"})
    monkeypatch.setenv("CANARY", CANARY)
    redis.config_set("appendfsync", "no")
    with running(github, redis, redis_server.url, tmp_path, monkeypatch, OPENAI_API_KEY=f"sk-{CANARY}") as application:
        yield application
    redis.config_set("appendfsync", "always")


def test_the_attack_gets_through_where_nothing_holds_it(attack: str, tmp_path: Path) -> None:
    """So that what follows proves something."""
    done = subprocess.run(
        [sys.executable, "-c", attack], capture_output=True, text=True, check=True, env={"CANARY": CANARY}, timeout=60
    )
    for what in ("the data folder", "the environment", "a server of the machine", "Redis"):
        assert f"REACHED {what}" in done.stdout, done.stdout


def test_nothing_is_reached_and_nothing_leaves(
    assay: Assay, github: StandInGitHub, attack: str, caplog: pytest.LogCaptureFixture
) -> None:
    github.push(OTHER, "main", {"attack.py": "print('quiet')\n", "secret.txt": CANARY})
    assay.settle()
    github.world.user("mallory")
    fork = github.fork(REPOSITORY, "mallory")
    sha = github.commit(fork, "feature", {"attack.py": attack}, author="mallory")
    number = github.open_pull(REPOSITORY, "feature", author="mallory", head_repo=fork)
    assay.settle()
    press(assay, github, sha, "alice")
    log = repr(assay.store.log(RunKey(repository=REPOSITORY, sha=sha)))
    assert "it tried" in log
    left = log + caplog.text + assay.comment(number) + "".join(str(request.body) for request in github.requests)
    assert "REACHED" not in left
    assert CANARY not in left
    assert "PRIVATE KEY" not in left
