"""The web process: takes webhooks in, and says how it is.

`POST /webhook` does as little as it can: cap, verify, admit, answer. It is plain ASGI in front of the FastAPI app's
routes, because the framework's request handling costs more than all of that.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import lru_cache

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
from bot.redis.watch import Watch
from bot.telemetry import tracing
from bot.telemetry.exposition import Page
from bot.telemetry.metrics import Answers

log = logging.getLogger(__name__)

RETRY_AFTER = 30
_JSON = "application/json"
_FORM = "application/x-www-form-urlencoded"
_GUID = re.compile(r"[0-9A-Za-z-]{1,64}")
_EVENT = re.compile(r"[a-z_]{1,64}")


class Rejected(Exception):
    """An answer other than success. Raised and caught within this module."""

    def __init__(self, status: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.headers = {name.replace("_", "-").lower(): value for name, value in headers.items()}


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
        if scope["type"] != "http" or scope["path"] != "/webhook":
            await self._app(scope, receive, send)
            return
        headers: Mapping[str, str] = {}
        try:
            status, message = await self._handle(scope, receive)
        except Rejected as error:
            status, message, headers = error.status, str(error), error.headers
        except ClientDisconnect:
            return
        self._answers.by_status[status] += 1
        await _answer(send, status, message, headers)

    async def _handle(self, scope: Scope, receive: Receive) -> tuple[int, str]:
        if scope["method"] != "POST":
            raise Rejected(405, "send a POST", Allow="POST")
        # GitHub sends each header once; of a repeated one the last counts.
        headers: dict[bytes, bytes] = dict(scope["headers"])

        def header(name: bytes, otherwise: bytes = b"") -> str:
            return headers.get(name, otherwise).decode("latin-1")

        kind = header(b"content-type").partition(";")[0].strip().lower()
        if kind not in (_JSON, _FORM):
            raise Rejected(415, f"set the webhook's content type to {_JSON}")
        raw = await self._body(header(b"content-length", b"0"), receive)
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
        return await self._admit(Arrival(guid, event, body, self._clock(), installation, repository, ignored))

    async def _body(self, length: str, receive: Receive) -> bytes:
        if not length.isascii() or not length.isdigit():
            raise Rejected(400, "Content-Length is not a number")
        try:
            return await self._bodies.read(int(length[:12]), receive)
        except TooLarge:
            raise Rejected(413, f"the body is larger than {LARGEST} bytes", Connection="close") from None
        except TooSlow:
            raise Rejected(408, f"the body did not arrive within {PATIENCE:.0f} s", Connection="close") from None
        except NoRoom:
            words = "too many large bodies are being read, send it again later"
            raise Rejected(503, words, Retry_After=str(RETRY_AFTER), Connection="close") from None

    async def _admit(self, arrival: Arrival) -> tuple[int, str]:
        try:
            admission = await self._admissions.admit(arrival)
        except (RedisError, OSError) as error:
            # Said once: who watches over Redis tells that it is away, the next delivery how many were refused.
            if not self._refused and isinstance(error, ResponseError):
                log.error("Redis refuses deliveries: %s", error)
            self._refused += 1
            raise Rejected(503, "the queue is away, send it again later", Retry_After=str(RETRY_AFTER)) from None
        if self._refused:
            log.warning("%d deliveries were refused while Redis was away", self._refused)
            self._refused = 0
        log.debug("delivery %s %s: %s", arrival.guid, arrival.event, admission)
        match admission:
            case Admission.ACCEPTED:
                if tracer := tracing.installed():
                    tracer.webhook(arrival.guid, arrival.at, self._clock(), {"assay.event": arrival.event})
                return 202, "accepted"
            case Admission.SEEN:
                return 200, "this delivery was accepted before"
            case Admission.FULL:
                raise Rejected(
                    503, "too many deliveries are waiting, send it again later", Retry_After=str(RETRY_AFTER)
                )


@lru_cache(64)
def _said(message: str) -> bytes:
    return json.dumps({"message": message}).encode()


async def _answer(send: Send, status: int, message: str, headers: Mapping[str, str]) -> None:
    body = _said(message)
    head = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    head += [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})


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

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        with pulse, watch.looking(pulse.ping):
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
