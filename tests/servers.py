"""Real Redis servers that tests may kill, stop and let go on, a proxy in front of one that speaks TLS or loses answers,
and a server that says one word."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import os
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Self

import httpx
import psutil
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from redis import Redis
from redis.exceptions import RedisError

from bot.demo.github import QuickServer
from bot.door import Door
from bot.redis.embedded import redis_server
from bot.web import Webhook

PATIENCE = 20.0

# httpx's own, for servers without TLS: reading whom to believe would take 50 ms of a processor, and it is often looked
# whether a server is there yet.
request = partial(httpx.request, verify=False)
get, post = partial(request, "GET"), partial(request, "POST")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def until(what: str, true: Callable[[], object], patience: float = PATIENCE, told: Callable[[], str] = str) -> None:
    """Wait for something that another process does; `told` is what is said beside of a wait in vain. Looking takes a
    fifth of a processor at most: those who are waited for need it."""
    give_up, used = time.monotonic() + patience, time.thread_time()
    while not true():
        assert time.monotonic() < give_up, f"{what} did not happen in {patience:g} s\n{told()}"
        before, used = used, time.thread_time()
        time.sleep(max(0.02, 4 * (used - before)))


class QuickWeb(QuickServer):
    """Serves Assay's web application as `assay serve` does, or by uvicorn's way alone. Ends at once, but for closing
    the connection to Redis."""

    def __init__(self, app: Webhook, http: type[asyncio.Protocol] = Door) -> None:
        super().__init__(uvicorn.Config(app, http=http, log_config=None, access_log=False))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        await self.lifespan.shutdown()


@contextmanager
def saying(word: str) -> Iterator[int]:
    """An HTTP server of this machine that answers every GET with the word; its port."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(word.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Server:
    """A redis-server on a port of its own; a context manager. `options` as on its command line."""

    def __init__(self, folder: Path, *options: str, password: str = "", config: str = "") -> None:
        self.port = free_port()
        self.url = f"redis://:{password}@127.0.0.1:{self.port}/0" if password else f"redis://127.0.0.1:{self.port}/0"
        self._password = password
        self._folder = folder
        self._config = config
        self._options = (*options, *(("--requirepass", password) if password else ()))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, again too, and wait until it answers."""
        file = self._folder / f"{self.port}.conf"
        file.write_text(f"port {self.port}\nbind 127.0.0.1\ndir {self._folder}\nsave ''\n{self._config}\n")
        command = [redis_server(), str(file), *self._options]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
        client = Redis(port=self.port, password=self._password or None, socket_timeout=1)
        until("an answer of Redis", lambda: answers(client))
        client.close()

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


def answers(client: Redis) -> bool:
    """Whether Redis is there."""
    try:
        return bool(client.ping())
    except RedisError:
        return False


@contextmanager
def stopped(server: Server) -> Iterator[None]:
    """As long as this lasts, the server takes connections and says nothing."""
    server.send(signal.SIGSTOP)
    try:
        yield
    finally:
        server.send(signal.SIGCONT)


@contextmanager
def back_after(seconds: float, server: Server) -> Iterator[None]:
    """A killed server is started again after a while."""
    timer = threading.Timer(seconds, server.start)
    timer.start()
    try:
        yield
    finally:
        timer.join()


class Proxy:
    """Passes bytes on to a port of this machine; a context manager. With `tls` that is what its clients speak.
    `lose` is asked about what clients send: when it says so, the answer is not passed on and the connection breaks.
    `twist` is what becomes of an answer."""

    def __init__(
        self,
        port: int,
        tls: ssl.SSLContext | None = None,
        lose: Callable[[bytes], bool] = lambda _: False,
        twist: Callable[[bytes], bytes] = lambda answer: answer,
    ) -> None:
        self.port = 0
        self._target = port
        self._tls = tls
        self._lose = lose
        self._twist = twist
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run)
        self._started = threading.Event()
        self._ended = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._started.wait(PATIENCE)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        # A client that does not like our certificate is no news.
        self._loop.set_exception_handler(lambda *_: None)
        server = await asyncio.start_server(self._pass_on, "127.0.0.1", 0, ssl=self._tls)
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        await self._ended.wait()
        server.close()
        for task in self._tasks:
            task.cancel()
        # Until the last connection is closed: the loop is about to be.
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0.01)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        behind, before = await asyncio.open_connection("127.0.0.1", self._target)
        answers = asyncio.create_task(self._answer(behind, writer))
        try:
            while chunk := await reader.read(65536):
                lost = self._lose(chunk)
                if lost:
                    answers.cancel()
                    await asyncio.wait([answers])
                before.write(chunk)
                if lost:
                    # It is carried out: only its answer does not arrive.
                    await behind.read(1)
                    break
        except OSError:
            pass  # the client has gone
        finally:
            answers.cancel()
            for end in (writer, before):
                end.transport.abort()
            self._tasks.discard(task)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while chunk := await reader.read(65536):
                writer.write(self._twist(chunk))
                await writer.drain()
            writer.close()


class Authority:
    """A certificate authority that nobody knows, for as long as a test takes. Its files are in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a test's authority")])
        self.file = folder / "ca.pem"
        self._certificate = self._sign(self._name, self._key, None)
        self.file.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, host: str) -> tuple[Path, Path]:
        """A certificate and its key, for an address or a name; their files."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._sign(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)]), key, host)
        names = self._folder / f"{host}.pem", self._folder / f"{host}.key"
        names[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        private = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        names[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, *private))
        return names

    def context(self, host: str, *, clients: bool = False) -> ssl.SSLContext:
        """What a server for that host speaks; with `clients` only to those that have a certificate too."""
        made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(self.file))
        made.load_cert_chain(*self.issue(host))
        made.verify_mode = ssl.CERT_REQUIRED if clients else ssl.CERT_NONE
        return made

    def _sign(self, name: x509.Name, key: ec.EllipticCurvePrivateKey, host: str | None) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        day = datetime.timedelta(days=1)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - day)
            .not_valid_after(now + day)
            .add_extension(x509.BasicConstraints(ca=host is None, path_length=None), critical=True)
        )
        if host is not None:
            builder = builder.add_extension(x509.SubjectAlternativeName([_alternative(host)]), critical=False)
        return builder.sign(self._key, hashes.SHA256())


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def gone(marker: str) -> bool:
    """Whether no process of this machine has that in its arguments."""
    return not any(marker in " ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"]))


def leave_asleep(*command: str) -> None:
    """A bubblewrap that dies as it starts, of writing to nobody, when the first process of its namespace waits for its
    word already."""
    read, write = os.pipe()
    os.close(read)
    words = ["bwrap", "--unshare-pid", "--ro-bind", "/", "/", "--json-status-fd", str(write), *command]
    killed = subprocess.run(words, pass_fds=[write], check=False)
    os.close(write)
    assert killed.returncode == -signal.SIGPIPE
