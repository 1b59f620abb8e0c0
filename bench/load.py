"""A load generator: so many connections, each with one request under way, for so many seconds.

One thread, bare sockets and epoll: some 20 us a request of 25 kB, which is less than half of what the fastest server
measured here needs. What it spends is told with the result, so that one can see who was the bottleneck.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field

# Room for a whole request in the kernel, so that a send is one call.
_BUFFER = 512 * 1024
_PATIENCE = 10.0

Request = Callable[[], tuple[bytes, bytes]]
"""Makes the next request: its head and its body."""


@dataclass(frozen=True)
class Load:
    """What came of it. `latencies` are in seconds; `cpu` is the client's own time, in seconds."""

    seconds: float
    latencies: list[float]
    statuses: dict[int, int]
    cpu: float

    @property
    def rate(self) -> float:
        """Requests a second."""
        return len(self.latencies) / self.seconds


@dataclass
class _Connection:
    socket: socket.socket
    sent_at: float = 0.0
    rest: memoryview = field(default_factory=lambda: memoryview(b""))
    answer: bytes = b""


def load(port: int, connections: int, seconds: float, request: Request, limit: int | None = None) -> Load:
    """Send requests to 127.0.0.1 for so long, or until so many are answered. Raises OSError when the server hangs up,
    TimeoutError when it falls silent."""
    poll = select.epoll()
    ours = {}
    for _ in range(connections):
        connection = _Connection(socket.create_connection(("127.0.0.1", port)))
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.socket.setblocking(False)
        ours[connection.socket.fileno()] = connection
        poll.register(connection.socket, select.EPOLLIN)
    latencies, statuses = list[float](), dict[int, int]()
    cpu, began = time.process_time(), time.perf_counter()
    end = began + seconds
    try:
        under_way = 0
        for connection in ours.values():
            _send(poll, connection, request)
            under_way += 1
        while under_way:
            events = poll.poll(_PATIENCE)
            if not events:
                raise TimeoutError(f"no answer for {_PATIENCE:g} s")
            for number, what in events:
                connection = ours[number]
                if what & select.EPOLLOUT:
                    _send_rest(poll, connection)
                    continue
                status = _receive(connection)
                if status is None:
                    continue
                now = time.perf_counter()
                latencies.append(now - connection.sent_at)
                statuses[status] = statuses.get(status, 0) + 1
                under_way -= 1
                if now < end and (limit is None or len(latencies) + under_way < limit):
                    _send(poll, connection, request)
                    under_way += 1
        return Load(time.perf_counter() - began, latencies, statuses, time.process_time() - cpu)
    finally:
        poll.close()
        for connection in ours.values():
            connection.socket.close()


def _send(poll: select.epoll, connection: _Connection, request: Request) -> None:
    head, body = request()
    connection.sent_at = time.perf_counter()
    sent = connection.socket.sendmsg((head, body))
    if sent < len(head) + len(body):
        connection.rest = memoryview(head + body)[sent:]
        poll.modify(connection.socket, select.EPOLLOUT)


def _send_rest(poll: select.epoll, connection: _Connection) -> None:
    connection.rest = connection.rest[connection.socket.send(connection.rest) :]
    if not connection.rest:
        poll.modify(connection.socket, select.EPOLLIN)


def _receive(connection: _Connection) -> int | None:
    """The status of an answer that is complete now."""
    got = connection.socket.recv(65536)
    if not got:
        raise ConnectionResetError("the server hung up")
    answer = connection.answer + got if connection.answer else got
    connection.answer = answer
    end = answer.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = answer[:end].lower()
    at = head.find(b"content-length:")
    length = int(head[at + 15 : head.find(b"\r\n", at) if head.find(b"\r\n", at) > 0 else end]) if at >= 0 else 0
    if len(answer) < end + 4 + length:
        return None
    connection.answer = b""
    return int(answer[9:12])
