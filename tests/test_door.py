"""The quick way to the webhook: what clients may do on a connection, in bytes."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import socket
import threading
import time
from collections.abc import Iterator
from uuid import uuid4

import pytest
import uvicorn
from redis import Redis
from uvicorn.server import ServerState

import bot.door
from bot.batches import Tell
from bot.bodies import SMALL
from bot.deliveries import Admission, Admissions, Arrival, Deliveries
from bot.door import Door
from bot.github.signature import sign
from bot.queues import Queues
from bot.redis.embedded import EmbeddedRedis
from bot.telemetry.metrics import Answers
from bot.web import Webhook, create_app
from tests.servers import until
from tests.test_web import CURRENT, serving

BODY = json.dumps({"zen": "Keep it logically awesome."}).encode()
CHUNKED = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)


@pytest.fixture
def client(redis: Redis, redis_server: EmbeddedRedis) -> Iterator[socket.socket]:
    with serving(redis_server.url, redis) as url, connected(url) as client:
        yield client


def connected(url: str) -> socket.socket:
    host, port = url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=10)


def delivery(body: bytes = BODY, *, guid: str = "", first: str = "POST /webhook HTTP/1.1", **more: str) -> bytes:
    """One as GitHub sends it. `more` are headers to add, or to have instead."""
    headers = {
        "Host": "assay",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "X-GitHub-Event": "push",
        "X-GitHub-Delivery": guid or str(uuid4()),
        "X-Hub-Signature-256": sign(body, CURRENT),
    }
    headers |= {name.replace("_", "-"): value for name, value in more.items()}
    lines = [first, *(f"{name}: {value}" for name, value in headers.items() if value)]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def answer(client: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """The next one: status, headers, body. Reads not a byte more."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        got = client.recv(1)
        assert got, f"hung up after {head!r}"
        head += got
    first, *lines = head.decode().strip().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    body = b""
    while len(body) < int(headers.get("content-length", 0)):
        body += client.recv(int(headers["content-length"]) - len(body))
    return int(first.split()[1]), headers, body


def hung_up(client: socket.socket) -> bool:
    return client.recv(1) == b""


def test_an_answer_has_a_date_a_length_and_json(client: socket.socket) -> None:
    client.sendall(delivery())
    status, headers, body = answer(client)
    assert (status, json.loads(body), headers["content-type"]) == (202, {"message": "accepted"}, "application/json")
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d gmt", headers["date"])
    assert "connection" not in headers


def test_a_connection_serves_many_and_each_to_its_own_end(client: socket.socket, redis: Redis) -> None:
    for number in range(3):
        body = json.dumps({"number": number, "text": "x" * number * 30_000}).encode()
        client.sendall(delivery(body, guid=f"guid-{number}"))
        assert answer(client)[0] == 202
        kept = Deliveries(redis).load(f"guid-{number}")
        assert kept is not None
        assert kept.body == body


def test_a_delivery_may_come_in_pieces(client: socket.socket, redis: Redis) -> None:
    whole = delivery(guid="guid-1")
    for begin in range(0, len(whole), 40):
        client.sendall(whole[begin : begin + 40])
        time.sleep(0.002)
    assert answer(client)[0] == 202
    kept = Deliveries(redis).load("guid-1")
    assert kept is not None
    assert kept.body == BODY


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (delivery(first="POST /webhook?from=GitHub HTTP/1.1"), 202),
        (delivery(first="POST /webhook HTTP/1.0"), 202),
        (delivery(first="PUT /webhook HTTP/1.1"), 405),
        (delivery(Content_Length="", Transfer_Encoding="chunked").replace(BODY, CHUNKED), 202),
        (delivery(b" " * SMALL + b"{}"), 202),
        (delivery(Content_Length="-1"), 400),
        (delivery(Content_Length="9" * 30), 400),
        (delivery(content_length=str(len(BODY))), 400),
        (delivery(first="POST /webhook/more HTTP/1.1"), 404),
        (b"GET /healthz HTTP/1.1\r\nHost: assay\r\n\r\n", 200),
    ],
)
def test_what_is_uncommon_is_answered_as_well(client: socket.socket, sent: bytes, status: int) -> None:
    client.sendall(sent)
    assert answer(client)[0] == status


def test_who_asks_first_is_told_to_go_on(client: socket.socket) -> None:
    whole = delivery(Expect="100-continue")
    client.sendall(whole[: -len(BODY)])
    assert answer(client)[0] == 100
    client.sendall(BODY)
    assert answer(client)[0] == 202


def test_those_sent_without_waiting_are_answered_in_their_order(client: socket.socket) -> None:
    healthz = b"GET /healthz HTTP/1.1\r\nHost: assay\r\n\r\n"
    client.sendall(delivery(guid="1") + healthz + delivery(guid="1") + delivery(guid="2", X_Hub_Signature_256="no"))
    assert [answer(client)[0] for _ in range(4)] == [202, 200, 200, 401]
    client.sendall(delivery())
    assert answer(client)[0] == 202


def test_who_wants_no_more_is_hung_up_on(client: socket.socket) -> None:
    client.sendall(delivery(Connection="close"))
    status, headers, _ = answer(client)
    assert (status, headers["connection"]) == (202, "close")
    assert hung_up(client)


def test_a_body_that_does_not_come_is_not_waited_for(
    client: socket.socket, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bot.door, "PATIENCE", 0.1)
    client.sendall(delivery()[:-1])
    status, headers, _ = answer(client)
    assert (status, headers["connection"]) == (408, "close")
    assert hung_up(client)
    assert redis.keys("assay:delivery:*") == []


def test_who_leaves_harms_nobody(redis: Redis, redis_server: EmbeddedRedis, caplog: pytest.LogCaptureFixture) -> None:
    with serving(redis_server.url, redis) as url:
        with connected(url) as half:
            half.sendall(delivery()[:-1])
        redis.client_pause(200)
        with connected(url) as impatient, connected(url) as patient:
            impatient.sendall(delivery(guid="1"))
            patient.sendall(delivery(guid="2"))
            impatient.close()
            assert answer(patient)[0] == 202
    assert {record.message for record in caplog.records if record.levelno >= logging.WARNING} == set()
    assert Deliveries(redis).has("1")


class Faulty(Admissions):
    def admit(self, arrival: Arrival, tell: Tell[Admission]) -> None:
        if arrival.event == "ping":
            raise AssertionError("at once")
        tell(AssertionError("later"))


def test_a_fault_of_ours_is_told_in_the_log_and_not_in_the_answer(
    redis: Redis, redis_server: EmbeddedRedis, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("tests.test_web.Admissions", Faulty)
    with serving(redis_server.url, redis) as url, connected(url) as client:
        for event in ("ping", "push"):
            client.sendall(delivery(X_GitHub_Event=event))
            status, _, body = answer(client)
            assert (status, b"log" in body) == (500, True)
    assert [str(record.exc_info[1]) for record in caplog.records if record.exc_info] == ["at once", "later"]


def test_a_server_that_ends_answers_what_it_has(redis: Redis, redis_server: EmbeddedRedis) -> None:
    app = create_app(redis_server.url, lambda one: Admissions(one, Queues(redis), 5), [CURRENT])
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, http=Door, log_config=None, access_log=False))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    with socket.create_connection(listener.getsockname(), timeout=10) as client:
        client.sendall(delivery())
        assert answer(client)[0] == 202
        redis.client_pause(300)
        client.sendall(delivery())
        until("the delivery's reading", lambda: server.server_state.total_requests == 1)
        server.should_exit = True
        status, headers, _ = answer(client)
        assert (status, headers["connection"]) == (202, "close")
        assert hung_up(client)
    thread.join(10)


class Wire(asyncio.Transport):
    """Takes what is written, from a client that reads nothing."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)})
        self.written = b""

    def write(self, data: object) -> None:
        assert isinstance(data, bytes)
        self.written += data

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


def test_nothing_is_written_to_whom_does_not_read() -> None:
    async def nothing(*_: object) -> None:
        raise AssertionError

    async def main() -> None:
        webhook = Webhook(nothing, [CURRENT], None, Answers())  # type: ignore[arg-type]  # no delivery gets there
        config = uvicorn.Config(webhook, http=Door, log_config=None, proxy_headers=False)
        config.load()
        door, wire = Door(config, ServerState(), {}), Wire()
        door.connection_made(wire)
        unsigned = delivery(X_Hub_Signature_256="")
        door.data_received(unsigned)
        assert wire.written.count(b"HTTP/1.1 401 ") == 1
        door.pause_writing()
        for _ in range(3):
            door.data_received(unsigned)
        await asyncio.sleep(0.01)
        assert wire.written.count(b"HTTP/1.1 401 ") == 1
        door.resume_writing()
        await asyncio.sleep(0.01)
        assert wire.written.count(b"HTTP/1.1 401 ") == 4

    asyncio.run(main())
