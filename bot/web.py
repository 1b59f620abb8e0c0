"""The web process: takes webhooks in, and says how it is.

`POST /webhook` does as little as it can: cap, verify, admit, answer. It is plain ASGI in front of the FastAPI app's
routes, because the framework's request handling costs more than all of that; and most of them come by a quicker way
still (`door.py`).
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

import redis.asyncio
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from redis.exceptions import RedisError, ResponseError
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from bot.bodies import LARGEST, PATIENCE, Bodies, NoRoom, TooLarge, TooSlow, payload_of
from bot.deliveries import Admission, Admissions, Arrival
from bot.github.envelope import nothing_asked, read_tenant
from bot.github.signature import verify
from bot.redis.connection import NONE, connect, connect_async
from bot.redis.retrying import refuses_writing
from bot.redis.watch import Watch
from bot.telemetry import tracing
from bot.telemetry.exposition import Page
from bot.telemetry.metrics import Answers

log = logging.getLogger(__name__)

PATH = "/webhook"
RETRY_AFTER = 30
_JSON = "application/json"
_FORM = "application/x-www-form-urlencoded"
_GUID = re.compile(r"[0-9A-Za-z-]{1,64}")
_EVENT = re.compile(r"[a-z_]{1,64}")


class Answer(NamedTuple):
    """What a webhook is answered: the status, why, and headers of its own."""

    status: int
    message: str
    own: tuple[tuple[bytes, bytes], ...] = ()

    @property
    def body(self) -> bytes:
        return _said(self.message)

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        return [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(self.body)), *self.own]


@lru_cache(64)
def _said(message: str) -> bytes:
    return json.dumps({"message": message}).encode()


_ACCEPTED = Answer(202, "accepted")
_SEEN = Answer(200, "this delivery was accepted before")


class Rejected(Exception):
    """An answer other than success. Raised and caught within this module."""

    def __init__(self, status: int, message: str, **headers: str) -> None:
        super().__init__(message)
        own = ((name.replace("_", "-").lower().encode(), value.encode()) for name, value in headers.items())
        self.answer = Answer(status, message, tuple(own))


class Webhook:
    """Answers `/webhook`, in front of an ASGI application that answers the rest. `secrets`: the current webhook secret
    and, while it is being rotated, the previous one."""

    def __init__(
        self,
        app: ASGIApp,
        secrets: Sequence[str],
        admissions: Admissions,
        answers: Answers,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._app = app
        self._answers = answers
        self._secrets = secrets
        self._admissions = admissions
        self._clock = clock
        self._refused = 0
        self._bodies = Bodies()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != PATH:
            await self._app(scope, receive, send)
            return
        try:
            headers, body = await self._read(scope, receive)
        except ClientDisconnect:
            return
        except Exception as error:  # noqa: BLE001 (it is told)
            answer = self.refuse(error)
        else:
            answer = await self._take_in(headers, body)
        await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
        await send({"type": "http.response.body", "body": answer.body})

    async def _read(self, scope: Scope, receive: Receive) -> tuple[Mapping[bytes, bytes], bytes]:
        if scope["method"] != "POST":
            raise Rejected(405, "send a POST", Allow="POST")
        # GitHub sends each header once; of a repeated one the last counts.
        headers: dict[bytes, bytes] = dict(scope["headers"])
        length = headers.get(b"content-length", b"0")
        if not length.isdigit():
            raise Rejected(400, "Content-Length is not a number")
        return headers, await self._bodies.read(int(length[:12]), receive)

    async def _take_in(self, headers: Mapping[bytes, bytes], raw: bytes) -> Answer:
        answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

        def tell(answer: Answer) -> None:
            # Nobody waits for it any more where the server ended first.
            if not answered.done():
                answered.set_result(answer)

        self.take(headers, raw, tell)
        return await answered

    def take(self, headers: Mapping[bytes, bytes], raw: bytes, tell: Callable[[Answer], object]) -> None:
        """Take in a webhook that was posted and is there. `tell` is called once, perhaps before this returns."""

        def settle(admission: Admission | Exception) -> None:
            try:
                answer = self._settle(arrival, admission)
            except Exception as error:  # noqa: BLE001 (it is told)
                answer = self.refuse(error)
            tell(answer)

        try:
            arrival = self._examine(headers, raw)
            self._admissions.admit(arrival, settle)
        except Exception as error:  # noqa: BLE001 (it is told)
            tell(self.refuse(error))

    def refuse(self, error: Exception) -> Answer:
        """The answer to a webhook that is not taken in for this reason."""
        match error:
            case Rejected(answer=answer):
                pass
            case TooLarge():
                answer = Rejected(413, f"the body is larger than {LARGEST} bytes", Connection="close").answer
            case TooSlow():
                words = f"the body did not arrive within {PATIENCE:.0f} s"
                answer = Rejected(408, words, Connection="close").answer
            case NoRoom():
                words = "too many large bodies are being read, send it again later"
                answer = Rejected(503, words, Retry_After=str(RETRY_AFTER), Connection="close").answer
            case _:
                log.error("a webhook failed", exc_info=error)
                answer = Answer(500, "this is a fault of Assay's, which its log tells of")
        self._answers.by_status[answer.status] += 1
        return answer

    def _examine(self, headers: Mapping[bytes, bytes], raw: bytes) -> Arrival:
        def header(name: bytes) -> str:
            return headers.get(name, b"").decode("latin-1")

        kind = header(b"content-type").partition(";")[0].strip().lower()
        if kind not in (_JSON, _FORM):
            raise Rejected(415, f"set the webhook's content type to {_JSON}")
        if not verify(raw, header(b"x-hub-signature-256"), self._secrets):
            raise Rejected(401, "X-Hub-Signature-256 is missing or does not match: is the webhook secret the same?")
        guid, event = header(b"x-github-delivery"), header(b"x-github-event")
        if not _GUID.fullmatch(guid) or not _EVENT.fullmatch(event):
            raise Rejected(400, "the headers X-GitHub-Delivery and X-GitHub-Event must name a delivery and an event")
        try:
            body = payload_of(raw) if kind == _FORM else raw
            installation, repository, action = read_tenant(body, event)
        except ValueError as error:
            raise Rejected(400, str(error)) from None
        # GitHub tells of every check that we write: that needs no job.
        ignored = nothing_asked(event, action) if action else ""
        return Arrival(guid, event, body, self._clock(), installation, repository, ignored)

    def _settle(self, arrival: Arrival, admission: Admission | Exception) -> Answer:
        if isinstance(admission, (RedisError, OSError)):
            # Said once: who watches over Redis tells that it is away, the next delivery how many were refused.
            if not self._refused and isinstance(admission, ResponseError) and not refuses_writing(admission):
                log.error("Redis refuses deliveries: %s", admission)
            self._refused += 1
            raise Rejected(503, "the queue is away, send it again later", Retry_After=str(RETRY_AFTER))
        if isinstance(admission, Exception):
            raise admission
        if self._refused:
            log.warning("%d deliveries were refused while Redis was away", self._refused)
            self._refused = 0
        log.debug("delivery %s %s: %s", arrival.guid, arrival.event, admission)
        if admission is Admission.FULL:
            words = "too many deliveries are waiting, send it again later"
            raise Rejected(503, words, Retry_After=str(RETRY_AFTER))
        answer = _ACCEPTED if admission is Admission.ACCEPTED else _SEEN
        self._answers.by_status[answer.status] += 1
        if answer is _ACCEPTED and (tracer := tracing.installed()):
            tracer.webhook(arrival.guid, arrival.at, self._clock(), {"assay.event": arrival.event})
        return answer


def _presence(watch: Watch) -> str:
    since = watch.away_since
    return "ok" if since is None else f"away since {datetime.fromtimestamp(since, UTC):%Y-%m-%dT%H:%M:%SZ}"


async def _durable(connection: redis.asyncio.Redis) -> str:
    """How often Redis writes to disk, in its own word; hosted ones may not tell."""
    try:
        found = await connection.config_get("append*")
    except ResponseError:
        return "unknown"
    return str(found.get("appendfsync", "unknown")) if found.get("appendonly") == "yes" else "no"


def create_app(
    redis_url: str,
    make_admissions: Callable[[redis.asyncio.Redis], Admissions],
    secrets: Sequence[str],
    watch: Watch | None = None,
    metrics_token: str = "",
) -> Webhook:
    """The whole web application; it owns its Redis connections. `watch` knows when Redis is away (without one nobody is
    told in the log). `metrics_token` is what a reader of the metrics has to show."""
    watch = watch or Watch(tells=False)
    # GitHub waits for 10 seconds, and a delivery perhaps for those before it.
    connection, pulse = connect_async(redis_url, patience=1.0, answer=4.0), connect(redis_url, NONE, answer=2.0)

    def write_nothing() -> None:
        """Ask for a write, which a Redis refuses that is full; this one changes nothing."""
        pulse.setrange("assay:pulse", 0, "")

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        with pulse, watch.looking(write_nothing):
            async with answers.sending(connection):
                yield
        await connection.aclose()
        tracing.close()

    admissions, answers = make_admissions(connection), Answers()
    app = FastAPI(title="Assay", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Alive: the process answers, and says since when Redis does not."""
        return {"status": "ok", "redis": _presence(watch)}

    @app.get("/readyz")
    async def readyz() -> JSONResponse:
        """Ready: Redis answers, and the queue has room. Says as well whether Redis is durable."""
        try:
            if watch.away_since is not None:
                return JSONResponse({"status": "unavailable", "redis": _presence(watch)}, 503)
            room, durable = await admissions.has_room(), await _durable(connection)
        except (RedisError, OSError) as error:
            return JSONResponse({"status": "unavailable", "redis": type(error).__name__}, 503)
        state = {"status": "ok" if room else "busy", "redis": "ok", "durable": durable, "queue": "open"}
        return JSONResponse(state if room else state | {"queue": "full"}, 200 if room else 503)

    app.add_route("/metrics", Page(connection, metrics_token).answer)
    return Webhook(app, secrets, admissions, answers)
