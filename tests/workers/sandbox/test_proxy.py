"""The way out of the sandbox: to package registries, and nowhere else."""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from workers.agent import Command, Completed
from workers.sandbox.bubblewrap import BubblewrapSandbox
from workers.sandbox.choice import choose
from workers.sandbox.proxy import way_out
from workers.sandbox.registries import Registries, _pip_says, find_registries

PATH = os.environ["PATH"]
WHY_NOT = choose("auto", PATH).why_not
needs_sandbox = pytest.mark.skipif(bool(WHY_NOT), reason=f"no sandbox here: {WHY_NOT}")


class _Registry(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/away":
            self.send_response(302)
            self.send_header("Location", f"http://elsewhere.test:{self.server.server_port}/package")  # type: ignore[attr-defined]
            self.end_headers()
            return
        body = f"package for {self.headers['Host']}, {self.headers.get('Proxy-Connection')}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A registry, at `registry.test` and, as everything ending in `.test`, on this machine."""
    real = socket.getaddrinfo

    def resolve(host: Any, *rest: Any, **more: Any) -> Any:
        return real("127.0.0.1" if str(host).endswith(".test") else host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Registry)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def ask(registries: Registries, request: str) -> str:
    with way_out(registries) as out, socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(str(out.socket))
        client.sendall(request.encode())
        client.shutdown(socket.SHUT_WR)
        answer = b""
        while chunk := client.recv(4096):
            answer += chunk
        return answer.decode()


def get(url: str) -> str:
    return f"GET {url} HTTP/1.1\r\nHost: {url.split('/')[2]}\r\nProxy-Connection: keep-alive\r\n\r\n"


def test_a_named_registry_is_reached_by_http_and_by_a_tunnel(port: int) -> None:
    named = Registries(named=frozenset({f"registry.test:{port}"}))
    answer = ask(named, get(f"http://registry.test:{port}/package"))
    assert answer.endswith(f"package for registry.test:{port}, None")
    tunnel = f"CONNECT registry.test:{port} HTTP/1.1\r\n\r\nGET /package HTTP/1.0\r\nHost: inner\r\n\r\n"
    answer = ask(named, tunnel)
    assert answer.startswith("HTTP/1.1 200 Connection established\r\n\r\n")
    assert answer.endswith("package for inner, None")


@pytest.mark.parametrize(
    ("request_of", "words"),
    [
        ("GET http://other.test:{port}/ HTTP/1.1\r\n\r\n", "other.test is no package registry"),
        ("CONNECT 127.0.0.1:{port} HTTP/1.1\r\n\r\n", "127.0.0.1 is no package registry"),
        ("CONNECT registry.test:22 HTTP/1.1\r\n\r\n", "registry.test is no package registry"),
        ("GET /package HTTP/1.1\r\nHost: registry.test\r\n\r\n", "name a host"),
        ("GET file:///etc/passwd HTTP/1.1\r\n\r\n", "name a host"),
        ("GET http://registry.test@other.test/ HTTP/1.1\r\n\r\n", "other.test is no package registry"),
        ("nonsense\r\n\r\n", "that is no HTTP request"),
        ("CONNECT registry.test:99999 HTTP/1.1\r\n\r\n", "that is no HTTP request"),
        ("x" * 20_000, "that is no HTTP request"),
        ("", "that is no HTTP request"),
    ],
)
def test_everything_else_is_refused_with_a_word(port: int, request_of: str, words: str) -> None:
    named = Registries(hosts=frozenset({"registry.test"}))
    answer = ask(named, request_of.format(port=port))
    assert answer.startswith("HTTP/1.1 403 Forbidden\r\n")
    assert words in answer


def test_a_registry_that_leads_to_a_private_address_is_refused_unless_it_was_named(port: int) -> None:
    answer = ask(Registries(hosts=frozenset({"registry.test"})), get("http://registry.test/package"))
    assert "registry.test leads to a private address" in answer


def run(script: str, tree: Path, registries: Registries, *, network: bool = True) -> Completed:
    sandbox = BubblewrapSandbox(PATH, registries=lambda: registries)
    argv = [sys.executable, "-c", script]
    return sandbox.run(Command(argv, tree, 30, executes_code=True, network=network))


FETCH = """
import urllib.request
for url in {urls!r}:
    try:
        print(urllib.request.urlopen(url, timeout=10).read().decode())
    except OSError as error:
        print(error)
"""


@needs_sandbox
def test_a_set_up_reaches_the_registry_and_nothing_else(port: int, tmp_path: Path) -> None:
    urls = [f"http://{where}" for where in (f"registry.test:{port}/package", f"registry.test:{port}/away")]
    urls += [f"http://127.0.0.1:{port}/package", f"https://other.test:{port}/"]
    named = Registries(named=frozenset({f"registry.test:{port}"}), env={"PIP_INDEX_URL": "http://registry.test/"})
    done = run(FETCH.format(urls=urls), tmp_path, named)
    lines = done.stdout.splitlines()
    assert "Assay's proxy refused: elsewhere.test, other.test. What is a package registry" in done.stderr
    assert lines[0].startswith("package for registry.test")
    assert "403" in lines[1]  # the redirect meets the list again
    assert "refused" in lines[2]  # the loopback is the sandbox's own
    assert "403" in lines[3]
    assert run("import os; print(os.environ['PIP_INDEX_URL'])", tmp_path, named).stdout == "http://registry.test/\n"


@needs_sandbox
def test_without_a_network_there_is_no_way_out(port: int, tmp_path: Path) -> None:
    named = Registries(named=frozenset({f"registry.test:{port}"}))
    script = FETCH.format(urls=[f"http://registry.test:{port}/package"])
    assert "package" not in run(script, tmp_path, named, network=False).stdout


@needs_sandbox
def test_names_are_not_resolved_inside(tmp_path: Path) -> None:
    script = "import socket\ntry:\n    print(socket.gethostbyname('registry.test'))\nexcept OSError:\n    print('no')"
    assert run(script, tmp_path, Registries()).stdout == "no\n"


def test_package_managers_are_asked_for_their_registries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    _pip_says.cache_clear()
    monkeypatch.setenv("PIP_INDEX_URL", "https://user:secret@mirror.test:8443/simple")
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho https://npm.test/\n")
    npm.chmod(0o755)
    found = find_registries(["Extra.test"], str(tmp_path))
    assert found.named >= {"extra.test", "mirror.test:8443"}
    assert {"mirror.test", "npm.test"} <= found.hosts
    assert found.env["PIP_INDEX_URL"] == "https://mirror.test:8443/simple"
    assert found.env["NPM_CONFIG_REGISTRY"] == "https://npm.test/"
    assert "secret" not in repr(found)


def test_a_pip_that_lies_where_we_are_is_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "pip"
    own.mkdir()
    for name in ("__init__.py", "__main__.py"):
        (own / name).write_text(f"open({str(tmp_path / 'asked')!r}, 'w')\n")
    monkeypatch.chdir(tmp_path)
    _pip_says.cache_clear()
    find_registries([], str(tmp_path))
    assert not (tmp_path / "asked").exists()
