"""The way out of the sandbox, for setting a repository up: a forwarding proxy that knows package registries only.

It speaks what package managers speak to a proxy (RFC 9110, 9.3.6 CONNECT; RFC 9112, 3.2.2 absolute-form). A connection
leads to one host, which has to be on the list; its name is resolved here, once, and what it resolves to has to be a
public address, unless the operator named that host. A redirect is the client's to follow, and meets the list again.
"""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from workers.sandbox.registries import Registries

log = logging.getLogger(__name__)

_HEAD = 16_384  # bytes of a request's head
_AT_ONCE = 64
_PORTS = (80, 443)
# Seconds: to connect, and without a byte in either direction.
_CONNECT, _IDLE = 10.0, 120.0
# Bytes that one set-up may fetch.
_MOST = 8 * 2**30


class Refused(Exception):
    """What the client is told."""


@dataclass
class WayOut:
    """A proxy at work. `refused` are the hosts that were asked for and are not on the list."""

    socket: Path
    refused: set[str] = field(default_factory=set)
    left: int = _MOST


@contextmanager
def way_out(registries: Registries) -> Iterator[WayOut]:
    """A proxy on a unix socket, until the end."""
    with tempfile.TemporaryDirectory(prefix="assay-") as folder, socket.socket(socket.AF_UNIX) as listener:
        path = Path(folder, "out")
        listener.bind(str(path))
        Path(folder).chmod(0o755)
        path.chmod(0o666)
        listener.listen(_AT_ONCE)
        made = WayOut(path)
        places = threading.BoundedSemaphore(_AT_ONCE)
        thread = threading.Thread(target=_accept, args=(listener, registries, made, places), daemon=True)
        thread.start()
        try:
            yield made
        finally:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            thread.join(5)


def _accept(listener: socket.socket, registries: Registries, made: WayOut, places: threading.BoundedSemaphore) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        places.acquire()
        threading.Thread(target=_serve, args=(client, registries, made, places), daemon=True).start()


def _serve(client: socket.socket, registries: Registries, made: WayOut, places: threading.BoundedSemaphore) -> None:
    try:
        with client:
            client.settimeout(_IDLE)
            try:
                head, rest = _read_head(client)
                host, port, first = _target(head)
                with _connect(host, port, registries, made) as server:
                    client.sendall(b"" if first else b"HTTP/1.1 200 Connection established\r\n\r\n")
                    server.sendall(first + rest)
                    _relay(client, server, made)
            except Refused as refused:
                words = f"{refused}\n".encode()
                client.sendall(
                    b"HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nConnection: close\r\n"
                    b"Content-Length: %d\r\n\r\n%s" % (len(words), words)
                )
    except OSError as error:
        log.debug("a connection of a set-up ended: %s", error)
    finally:
        places.release()


def _read_head(client: socket.socket) -> tuple[bytes, bytes]:
    head = b""
    while b"\r\n\r\n" not in head:
        chunk = client.recv(4096)
        head += chunk
        if not chunk or len(head) > _HEAD:
            raise Refused("that is no HTTP request")
    end = head.index(b"\r\n\r\n") + 4
    return head[:end], head[end:]


def _target(head: bytes) -> tuple[str, int, bytes]:
    """Host and port, and the request as the host itself has to see it: nothing for a tunnel."""
    line, _, rest = head.partition(b"\r\n")
    try:
        method, where, version = line.decode("ascii").split(" ")
        parts = urlsplit(f"//{where}" if method == "CONNECT" else where)
        port = parts.port or 80
    except (ValueError, UnicodeDecodeError):
        raise Refused("that is no HTTP request") from None
    if not parts.hostname or (method != "CONNECT" and parts.scheme != "http"):
        raise Refused("name a host, by CONNECT or by http://")
    if method == "CONNECT":
        return parts.hostname, port, b""
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    kept = [each for each in rest.split(b"\r\n") if not each.lower().startswith((b"proxy-", b"connection:"))]
    return parts.hostname, port, b"\r\n".join([f"{method} {path} {version}".encode(), b"Connection: close", *kept])


def _connect(host: str, port: int, registries: Registries, made: WayOut) -> socket.socket:
    """Raises Refused for a host or an address that is not allowed, OSError where it cannot be reached."""
    if not registries.allow(host, port) or (port not in _PORTS and not registries.names(host, port)):
        made.refused.add(host)
        log.info("a set-up asked for %s:%d, which is no package registry", host[:200], port)
        raise Refused(f"{host} is no package registry that the operator allows (ASSAY_REGISTRIES)")
    for _, _, _, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        if ipaddress.ip_address(address[0]).is_global or registries.names(host, port):
            return socket.create_connection((str(address[0]), port), timeout=_CONNECT)
    made.refused.add(host)
    raise Refused(f"{host} leads to a private address")


def _relay(client: socket.socket, server: socket.socket, made: WayOut) -> None:
    server.settimeout(_IDLE)
    back = threading.Thread(target=_pump, args=(server, client, made), daemon=True)
    back.start()
    _pump(client, server, made)
    back.join()


def _pump(source: socket.socket, target: socket.socket, made: WayOut) -> None:
    with contextlib.suppress(OSError):
        while made.left > 0 and (chunk := source.recv(1 << 16)):
            # Not exact between threads, and need not be.
            made.left -= len(chunk)
            target.sendall(chunk)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
