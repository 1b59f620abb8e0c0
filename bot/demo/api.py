"""The stand-in's HTTP side: who is asking, may they, have they asked too often, and what goes wrong today.

A raw ASGI application, because a fault may have to cut the connection. Handlers run in threads, one at a time under
the world's lock.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import time
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from bot.demo.access import AppCaller, TokenCaller, demand, identify
from bot.demo.answers import Problem, Reply, not_found
from bot.demo.githttp import GIT_PATH, serve_git
from bot.demo.github_state import World
from bot.demo.limits import Fault, Faults, Limits, Meter, secondary
from bot.demo.routing import Call, Route

BODY_LIMIT = 32 << 20  # bytes
API_VERSIONS = {"2022-11-28", "2026-03-10"}
_ACCEPTED = re.compile(r"(\*/\*|application/(\*|json|vnd\.github(\.[\w-]+)*(\+json)?))(;.*)?")
_PREFIX = re.compile(r"/api(/v3)?(?=/)")
_UNSAID = {"authorization", "cookie"}


@dataclass(frozen=True)
class Recorded:
    """One request as it came, without its credentials, and the status of its answer (0: the connection was cut).

    `path` has no `/api/v3` prefix; `body` is the parsed JSON, or None.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any
    status: int
    answer: Any = None
    at: float = 0.0


@dataclass
class Api:
    """The application. `requests`, `git_requests` and `unexpected` are what a test looks at."""

    world: World
    routes: Sequence[Route]
    limits: Limits
    faults: Faults = field(default_factory=Faults)
    requests: list[Recorded] = field(default_factory=list)
    git_requests: list[Recorded] = field(default_factory=list)
    unexpected: list[Recorded] = field(default_factory=list)
    active: int = 0

    def __post_init__(self) -> None:
        self.meter = Meter(self.limits, lambda: self.world.clock())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"only HTTP is served here, not {scope['type']}")
        request = Request(scope, receive)
        body = await request.body()
        path = _PREFIX.sub("", unquote(scope["raw_path"].decode("latin-1")), count=1)
        fault = self.faults.take(request.method, path)
        if fault is not None and fault.kind == "slow":
            await asyncio.sleep(fault.seconds)
        response = await self._respond(request, path, body, fault)
        if response is None:
            # The transport is uvicorn's own; there is no other way to answer with a reset.
            receive.__self__.transport.abort()  # type: ignore[attr-defined]
            return
        await response(scope, receive, send)
