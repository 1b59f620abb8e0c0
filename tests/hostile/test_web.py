"""Nothing that a stranger can send makes the web process use more than 300 MB, or answer slower than 2 s."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import httpx
import psutil
import pytest

from bot.bodies import LARGEST
from bot.demo.github import StandInGitHub
from bot.github.signature import sign
from bot.redis.embedded import EmbeddedRedis
from tests.servers import free_port, get, post

HERE = Path(__file__).parents[2]
MOST_MEMORY, SLOWEST = 300 * 2**20, 2.0


@dataclass
class Web:
    """A real web process, whose memory and patience are watched."""

    port: int
    secret: str
    process: psutil.Process
    most: int = 0
    slowest: float = 0.0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def post(self, body: bytes, signature: str | None = None, **headers: str) -> int:
        """The status of the answer; 0 when the connection was closed instead."""
        signed = {
            "Content-Type": "application/json",
            "X-GitHub-Event": "push",
            "X-GitHub-Delivery": str(uuid4()),
            "X-Hub-Signature-256": sign(body, self.secret) if signature is None else signature,
        }
        try:
            return post(f"{self.url}/webhook", content=body, headers=signed | headers, timeout=30).status_code
        except httpx.TransportError:
            return 0

    def watched(self, attack: Callable[[], object]) -> None:
        """Carry the attack out, and look all the while how the process does."""
        done = threading.Event()

        def look() -> None:
            with httpx.Client(verify=False) as client:
                while not done.is_set():
                    self.most = max(self.most, self.process.memory_info().rss)
                    begun = time.monotonic()
                    assert client.get(f"{self.url}/healthz", timeout=30).status_code == 200
                    self.slowest = max(self.slowest, time.monotonic() - begun)
                    time.sleep(0.01)

        with ThreadPoolExecutor(1) as pool:
            looking = pool.submit(look)
            try:
                attack()
            finally:
                done.set()
            looking.result()
        assert self.most < MOST_MEMORY, f"{self.most / 2**20:.0f} MB"
        assert self.slowest < SLOWEST, f"{self.slowest:.1f} s"


@pytest.fixture(scope="module")
def web(redis_server: EmbeddedRedis, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """One for all that is sent here: what one attack leaves behind counts against the next."""
    tmp_path = tmp_path_factory.mktemp("web")
    with StandInGitHub() as github:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("ASSAY_", "OPENAI_"))}
        port = free_port()
        given = {
            "ASSAY_GITHUB_APP_ID": str(github.app_id),
            "ASSAY_GITHUB_PRIVATE_KEY": github.private_key,
            "ASSAY_GITHUB_WEBHOOK_SECRET": github.webhook_secret,
            "ASSAY_GITHUB_API_URL": github.api_url,
            "ASSAY_GITHUB_URL": github.url,
            "ASSAY_DATA_DIR": str(tmp_path),
            "ASSAY_PORT": str(port),
            "ASSAY_REDIS_URL": redis_server.url,
            "PYTHONPATH": str(HERE),
        }
        process = subprocess.Popen([sys.executable, "-m", "bot.cli", "web"], env=kept | given, cwd=tmp_path)
        try:
            _until_it_answers(port, process)
            yield Web(port, github.webhook_secret, psutil.Process(process.pid))
        finally:
            process.terminate()
            process.wait(10)


def _until_it_answers(port: int, process: subprocess.Popen[bytes]) -> None:
    give_up = time.monotonic() + 20
    while time.monotonic() < give_up and process.poll() is None:
        try:
            if get(f"http://127.0.0.1:{port}/healthz").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError("the web process did not start")


def together(number: int, send: Callable[[], int]) -> list[int]:
    with ThreadPoolExecutor(number) as pool:
        return [answer.result() for answer in [pool.submit(send) for _ in range(number)]]


def test_many_of_the_largest_bodies_at_once(web: Web) -> None:
    body = b'{"a": "' + b"x" * (LARGEST - 100) + b'"}'
    answers: list[int] = []
    web.watched(lambda: answers.extend(together(12, lambda: web.post(body, "sha256=" + "0" * 64))))
    assert set(answers) <= {401, 503, 0}
    assert 401 in answers


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"[" * (LARGEST - 10), id="deep"),
        pytest.param(b'{"repository":' * 1_000_000, id="deep mappings"),
        pytest.param(b'{"a":[' + b"{}," * 8_000_000 + b"{}]}", id="many values"),
        pytest.param(b'{"installation":{"id":"x"},"a":[' + b'{"b":1},' * 3_000_000 + b"{}]}", id="many, and odd"),
        pytest.param(b'{"a":' + b"9" * (LARGEST - 100) + b"}", id="one long number"),
    ],
)
def test_signed_payloads_that_blow_up(web: Web, body: bytes) -> None:
    answers: list[int] = []
    web.watched(lambda: answers.append(web.post(body)))
    assert answers[0] in (202, 400)


def test_bodies_that_never_end_hold_nobody_up(web: Web) -> None:
    """Two hundred connections that each send the beginning of a body and fall silent."""
    head = b"POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 20000000\r\n\r\n"
    silent = [socket.create_connection(("127.0.0.1", web.port)) for _ in range(200)]
    try:

        def attack() -> None:
            for connection in silent:
                connection.sendall(head + b"x" * 200_000)
            assert web.post(json.dumps({"zen": "x"}).encode()) == 202

        web.watched(attack)
        for connection in silent:
            connection.settimeout(20)
        answers = [connection.recv(200) for connection in silent]
    finally:
        for connection in silent:
            connection.close()
    assert {answer.split(b" ")[1] for answer in answers if answer} <= {b"408", b"503"}


def test_a_form_with_a_payload_of_escapes(web: Web) -> None:
    body = b"payload=%7B%22a%22%3A%22" + b"%41" * 6_000_000 + b"%22%7D"
    answers: list[int] = []
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    web.watched(lambda: answers.append(web.post(body, None, **headers)))
    assert answers == [202]
