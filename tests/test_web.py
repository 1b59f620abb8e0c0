"""The webhook over real HTTP and a real Redis: every answer that it can give."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlencode
from uuid import uuid4

import httpx
import pytest
from redis import Redis
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from bot.bodies import LARGEST
from bot.deliveries import Admissions, Deliveries
from bot.door import Door
from bot.github.signature import sign
from bot.jobs import INTAKE
from bot.queues import Queues
from bot.redis.embedded import EmbeddedRedis
from bot.web import create_app
from tests.servers import QuickWeb, get, request

CURRENT, PREVIOUS = "the current secret", "the previous secret"
LIMIT = 5


@pytest.fixture(params=[Door, HttpToolsProtocol], ids=["quick", "plain"])
def url(request: pytest.FixtureRequest, redis: Redis, redis_server: EmbeddedRedis) -> Iterator[str]:
    """Where it is served, in either of the ways that a webhook may take: the answers are the same."""
    with serving(redis_server.url, redis, request.param) as url:
        yield url


@contextmanager
def serving(redis_url: str, redis: Redis, http: type[asyncio.Protocol] = Door) -> Iterator[str]:
    queues = Queues(redis)
    app = create_app(redis_url, lambda connection: Admissions(connection, queues, LIMIT), [CURRENT, PREVIOUS])
    listener = socket.create_server(("127.0.0.1", 0))
    server = QuickWeb(app, http)
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.stop()
    thread.join(10)


def post(
    url: str, body: bytes, *, secret: str = CURRENT, guid: str | None = None, **headers: str | None
) -> httpx.Response:
    """A delivery as GitHub sends it; a header given as None is left out."""
    sent: dict[str, str | None] = {
        "Content-Type": "application/json",
        "X-GitHub-Event": "push",
        "X-GitHub-Delivery": guid or str(uuid4()),
        "X-Hub-Signature-256": sign(body, secret),
    }
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    kept = {name: value for name, value in sent.items() if value is not None}
    return request("POST", f"{url}/webhook", content=body, headers=kept)


def test_signed_delivery_is_accepted_saved_and_queued(url: str, redis: Redis) -> None:
    body = json.dumps({"zen": "Keep it logically awesome."}).encode()
    answer = post(url, body, guid="guid-1")
    assert (answer.status_code, answer.json()) == (202, {"message": "accepted"})
    delivery = Deliveries(redis).load("guid-1")
    assert delivery is not None
    assert (delivery.event, delivery.body, delivery.outcome) == ("push", body, "waiting")
    (job,) = Queues(redis).queue(INTAKE).jobs
    assert (job.func_name, list(job.args)) == ("bot.wiring.on_delivery", ["guid-1"])


def test_previous_secret_is_accepted_while_it_is_rotated(url: str) -> None:
    assert post(url, b"{}", secret=PREVIOUS).status_code == 202


def test_same_delivery_again_is_200_and_queued_once(url: str, redis: Redis) -> None:
    assert [post(url, b"{}", guid="guid-1").status_code for _ in range(3)] == [202, 200, 200]
    assert Queues(redis).queue(INTAKE).count == 1


def test_form_encoded_payload_is_unwrapped(url: str, redis: Redis) -> None:
    body = urlencode({"payload": '{"a": "ä&="}'}).encode()
    answer = post(url, body, guid="guid-1", Content_Type="application/x-www-form-urlencoded")
    assert answer.status_code == 202
    delivery = Deliveries(redis).load("guid-1")
    assert delivery is not None
    assert json.loads(delivery.body) == {"a": "ä&="}


def test_wrong_or_missing_signature_is_401_and_leaves_no_trace(url: str, redis: Redis) -> None:
    assert post(url, b"{}", secret="a guess").status_code == 401
    assert post(url, b"{}", X_Hub_Signature_256=None).status_code == 401
    assert post(url, b"{}", X_Hub_Signature_256=None, X_Hub_Signature="sha1=" + "0" * 40).status_code == 401
    assert redis.keys("assay:delivery*") == []


def test_signature_is_over_the_raw_bytes(url: str) -> None:
    signature = sign(b'{"a": 1}', CURRENT)
    assert post(url, b'{"a":1}', X_Hub_Signature_256=signature).status_code == 401


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{", b"\xff\xfe", b'{"a": 1} x', b"[" * 100_000])
def test_body_that_is_no_json_object_is_400(url: str, body: bytes) -> None:
    answer = post(url, body)
    assert answer.status_code == 400
    assert "JSON object" in answer.json()["message"]


def test_headers_that_name_no_delivery_are_400(url: str) -> None:
    assert post(url, b"{}", X_GitHub_Delivery=None).status_code == 400
    assert post(url, b"{}", X_GitHub_Delivery="a b").status_code == 400
    assert post(url, b"{}", X_GitHub_Event=None).status_code == 400
    assert post(url, b"{}", X_GitHub_Event="push; drop").status_code == 400


def test_other_methods_are_405(url: str) -> None:
    for method in ("GET", "PUT", "DELETE", "PATCH"):
        answer = request(method, f"{url}/webhook")
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def test_other_content_types_are_415(url: str) -> None:
    assert post(url, b"{}", Content_Type="text/plain").status_code == 415
    assert post(url, b"{}", Content_Type=None).status_code == 415
    assert post(url, b"{}", Content_Type="Application/JSON; charset=utf-8").status_code == 202


def test_announced_body_over_the_cap_is_413(url: str) -> None:
    host, port = url.removeprefix("http://").split(":")
    head = f"POST /webhook HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
    with socket.create_connection((host, int(port)), timeout=10) as client:
        client.sendall(f"{head}Content-Length: {LARGEST + 1}\r\n\r\n".encode())
        assert client.recv(1000).startswith(b"HTTP/1.1 413 ")


def test_streamed_body_over_the_cap_is_413(url: str) -> None:
    """Sent in chunks, without a Content-Length: only counting helps."""
    sent = 0

    def chunks() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(LARGEST // 2**20 + 10):
            sent += 2**20
            yield b" " * 2**20

    try:
        headers = {"Content-Type": "application/json"}
        status = request("POST", f"{url}/webhook", content=chunks(), headers=headers).status_code
    except httpx.WriteError:
        # The server has answered and hung up while we were still sending.
        status = 413
    assert status == 413
    assert sent > LARGEST


def test_full_queue_is_503_with_retry_after_and_takes_more_when_it_has_room(url: str, redis: Redis) -> None:
    assert [post(url, b"{}").status_code for _ in range(LIMIT)] == [202] * LIMIT
    answer = post(url, b"{}", guid="guid-1")
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    Queues(redis).queue(INTAKE).pop_job_id()
    assert post(url, b"{}", guid="guid-1").status_code == 202


def test_health_and_readiness(url: str) -> None:
    assert get(f"{url}/healthz").json() == {"status": "ok", "redis": "ok"}
    assert get(f"{url}/readyz").json() == {"status": "ok", "redis": "ok", "durable": "always", "queue": "open"}


def test_full_queue_is_not_ready(url: str) -> None:
    for _ in range(LIMIT):
        post(url, b"{}")
    answer = get(f"{url}/readyz")
    assert (answer.status_code, answer.json()["queue"]) == (503, "full")


def test_without_redis_deliveries_are_503_and_the_process_is_alive_but_not_ready(redis: Redis) -> None:
    with serving("unix:///nowhere/redis.sock", redis) as url:
        answer = post(url, b"{}")
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        assert get(f"{url}/healthz").status_code == 200
        assert get(f"{url}/readyz").status_code == 503


def test_nothing_of_a_payload_is_logged(url: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG"):
        post(url, b'{"canary": "c4n4ry"}')
        post(url, b'{"canary": "c4n4ry"')
    assert "c4n4ry" not in caplog.text
