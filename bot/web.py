"""The web process: takes webhooks in, and says how it is.

`POST /webhook` does as little as it can: cap, verify, admit, answer. It is a raw ASGI endpoint within the FastAPI app,
because the framework's request handling costs more than all of that.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from urllib.parse import parse_qs

import redis.asyncio
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from pydantic_core import from_json
from redis.exceptions import RedisError, ResponseError
from starlette.requests import ClientDisconnect, Request
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from bot.deliveries import Admission, Admissions
from bot.github.signature import verify

log = logging.getLogger(__name__)

# GitHub never sends more (https://docs.github.com/webhooks/webhook-events-and-payloads#payload-cap).
BODY_LIMIT = 25 * 1024 * 1024
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
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class Webhook:
    """The ASGI endpoint. `secrets`: the current webhook secret and, while it is being rotated, the previous one."""

    def __init__(self, secrets: Sequence[str], admissions: Admissions, clock: Callable[[], float] = time.time) -> None:
        self._secrets = secrets
        self._admissions = admissions
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers: dict[str, str] = {}
        try:
            status, message = await self._handle(Request(scope, receive))
        except Rejected as error:
            status, message, headers = error.status, str(error), error.headers
        except ClientDisconnect:
            return
        await JSONResponse({"message": message}, status, headers)(scope, receive, send)

    async def _handle(self, request: Request) -> tuple[int, str]:
        if request.method != "POST":
            raise Rejected(405, "send a POST", Allow="POST")
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in (_JSON, _FORM):
            raise Rejected(415, f"set the webhook's content type to {_JSON}")
        raw = await _body(request)
        if not verify(raw, request.headers.get("x-hub-signature-256"), self._secrets):
            raise Rejected(401, "X-Hub-Signature-256 is missing or does not match: is the webhook secret the same?")
        guid, event = request.headers.get("x-github-delivery", ""), request.headers.get("x-github-event", "")
        if not _GUID.fullmatch(guid) or not _EVENT.fullmatch(event):
            raise Rejected(400, "the headers X-GitHub-Delivery and X-GitHub-Event must name a delivery and an event")
        body = _payload(raw) if kind == _FORM else raw
        _check(body)
        try:
            admission = await self._admissions.admit(guid, event, body, self._clock())
        except (RedisError, OSError) as error:
            log.warning("delivery %s is refused: Redis is away (%s)", guid, type(error).__name__)
            raise Rejected(503, "the queue is away, send it again later", Retry_After=str(RETRY_AFTER)) from None
        log.info("delivery %s %s: %s", guid, event, admission)
        match admission:
            case Admission.ACCEPTED:
                return 202, "accepted"
            case Admission.SEEN:
                return 200, "this delivery was accepted before"
            case Admission.FULL:
                raise Rejected(
                    503, "too many deliveries are waiting, send it again later", Retry_After=str(RETRY_AFTER)
                )


async def _body(request: Request) -> bytes:
    """The raw body, never more than the limit in memory."""
    too_large = Rejected(413, f"the body is larger than {BODY_LIMIT} bytes", Connection="close")
    length = request.headers.get("content-length", "0")
    if not length.isascii() or not length.isdigit():
        raise Rejected(400, "Content-Length is not a number")
    if int(length[:12]) > BODY_LIMIT:
        raise too_large
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > BODY_LIMIT:
            raise too_large
        chunks.append(chunk)
    return b"".join(chunks)


def _payload(form: bytes) -> bytes:
    try:
        return parse_qs(form.decode("ascii"), strict_parsing=True, max_num_fields=5)["payload"][0].encode()
    except (ValueError, KeyError):
        raise Rejected(400, "the form has no field `payload`") from None


def _check(body: bytes) -> None:
    """That the body is a JSON object; what it means is the intake's business."""
    try:
        value = from_json(body)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise Rejected(400, "the payload is not a JSON object")


async def _durable(connection: redis.asyncio.Redis) -> str:
    """How often Redis writes to disk, in its own word; hosted ones may not tell."""
    try:
        found = await connection.config_get("append*")
    except ResponseError:
        return "unknown"
    return str(found.get("appendfsync", "unknown")) if found.get("appendonly") == "yes" else "no"


def create_app(
    redis_url: str, make_admissions: Callable[[redis.asyncio.Redis], Admissions], secrets: Sequence[str]
) -> FastAPI:
    """The whole web application; it owns its Redis connection."""
    connection = redis.asyncio.Redis.from_url(redis_url, socket_timeout=5, socket_connect_timeout=5)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await connection.aclose()

    admissions = make_admissions(connection)
    app = FastAPI(title="Assay", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    app.router.routes.append(Route("/webhook", Webhook(secrets, admissions), methods=None))

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Alive: the process answers."""
        return {"status": "ok"}

    @app.get("/readyz")
    async def readyz() -> JSONResponse:
        """Ready: Redis answers, and the queue has room. Says as well whether Redis is durable."""
        try:
            room, durable = await admissions.has_room(), await _durable(connection)
        except (RedisError, OSError) as error:
            return JSONResponse({"status": "unavailable", "redis": type(error).__name__}, 503)
        state = {"status": "ok" if room else "busy", "redis": "ok", "durable": durable, "queue": "open"}
        return JSONResponse(state if room else state | {"queue": "full"}, 200 if room else 503)

    return app
