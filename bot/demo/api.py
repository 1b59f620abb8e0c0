"""The stand-in's HTTP side: who is asking, may they, have they asked too often, and what goes wrong today.

A raw ASGI application, because a fault may have to cut the connection. Handlers run in threads, one at a time under
the world's lock.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from bot.demo.access import FORBIDDEN, AppCaller, Caller, TokenCaller, demand, identify
from bot.demo.answers import Problem, Reply, not_found
from bot.demo.githttp import GIT_PATH, serve_git
from bot.demo.github_state import World
from bot.demo.limits import Fault, Faults, Limits, Meter, secondary
from bot.demo.routing import Call, Route

BODY_LIMIT = 32 << 20  # bytes
API_VERSIONS = {"2022-11-28", "2026-03-10"}
_ACCEPTED = re.compile(r"(\*/\*|application/(\*|json|vnd\.github(\.[\w-]+)*(\+json)?))(;.*)?")
_PREFIX = re.compile(r"/api(/v3)?(?=/)")
_BY_ID = re.compile(r"/repositories/(\d+)(?=/|$)")
_BY_NAME = re.compile(r"/repos/([^/]+/[^/]+)(?=/|$)")
_UNSAID = {"authorization", "cookie"}


@dataclass(frozen=True)
class Recorded:
    """One request as it came, without its credentials, and its answer. `status` 0 means the connection was cut.

    `path` has no `/api/v3` prefix; `body` and `answer` are parsed JSON, or None.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any
    status: int
    answer: Any
    at: float


@dataclass
class Asked:
    """A request being answered."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    raw: bytes
    body: Any = None
    account: str | None = None
    known: bool = True


@dataclass
class Api:
    """The application. `requests`, `git_requests` and `unexpected` (no such route) are for tests to look at."""

    world: World
    routes: Sequence[Route]
    limits: Limits
    faults: Faults = field(default_factory=Faults)
    requests: list[Recorded] = field(default_factory=list)
    git_requests: list[Recorded] = field(default_factory=list)
    unexpected: list[Recorded] = field(default_factory=list)
    active: int = 0

    def __post_init__(self) -> None:
        self.meter = Meter(self.limits, self.world.clock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        raw_path = unquote(scope["raw_path"].decode("latin-1"))
        asked = Asked(
            method=request.method,
            path=_PREFIX.sub("", raw_path, count=1),
            query=scope["query_string"].decode("latin-1"),
            headers={name.lower(): value for name, value in request.headers.items()},
            raw=await request.body(),
        )
        self.active += 1
        try:
            reply = await self._with_fault(asked)
        finally:
            self.active -= 1
        self._record(asked, reply)
        if reply is None:
            # The transport is uvicorn's own; there is no other way to answer with a reset.
            receive.__self__.transport.abort()  # type: ignore[attr-defined]
            # Until it is, uvicorn would miss an answer, and say so.
            await receive()
            return
        await _response(reply)(scope, receive, send)

    async def _with_fault(self, asked: Asked) -> Reply | None:
        fault = self.faults.take(asked.method, asked.path)
        if fault is None:
            return await run_in_threadpool(self._answer, asked)
        if fault.kind == "slow":
            await asyncio.sleep(fault.seconds)
        if fault.kind == "slow" or fault.after:
            reply = await run_in_threadpool(self._answer, asked)
            if fault.kind == "slow":
                return reply
        else:
            with suppress(Problem):
                asked.body = _parsed(asked.raw)
        if fault.kind == "hang":
            await asyncio.sleep(fault.seconds)
        return _faulty(fault)

    def _answer(self, asked: Asked) -> Reply:
        try:
            if GIT_PATH.fullmatch(asked.path):
                return serve_git(self.world, asked.method, asked.path, asked.query, asked.headers, asked.raw)
            self._admit(asked)
            with self.world.lock:
                return self._call(asked)
        except Problem as problem:
            return self._limited(asked, _refusal(problem))

    def _admit(self, asked: Asked) -> None:
        """Everything that can be refused without knowing the route."""
        if not asked.headers.get("user-agent"):
            raise Problem(
                403,
                "Request forbidden by administrative rules. Please make sure your request has a "
                "User-Agent header (https://docs.github.com/rest/overview/resources#user-agent).",
            )
        if self.active > self.limits.concurrent:
            raise secondary(60)
        accept = asked.headers.get("accept", "*/*")
        if not any(_ACCEPTED.fullmatch(part.strip()) for part in accept.split(",")):
            raise Problem(415, f"Unsupported 'Accept' header: ['{accept}']. Must accept 'application/json'.")
        if asked.headers.get("x-github-api-version", "2022-11-28") not in API_VERSIONS:
            raise Problem(400, "The API version you specified is not supported.")
        asked.body = _parsed(asked.raw)

    def _call(self, asked: Asked) -> Reply:
        caller = identify(self.world, asked.headers.get("authorization"))
        if caller is None:
            raise Problem(401, "Requires authentication")
        asked.account = caller.account
        self.meter.check(caller.account)
        try:
            if (moved := self._moved(asked, caller)) is not None:
                return moved
            route, arguments = self._route(asked)
            query = dict(parse_qsl(asked.query, keep_blank_values=True))
            accept = asked.headers.get("accept", "*/*")
            call = Call(self.world, caller, asked.path, arguments, query, asked.body, accept)
            _authorise(call, route)
            if route.creates or _mutates(asked):
                self.meter.write(caller.account)
            reply = _tagged(asked, route.handler(call))
        except Problem:
            self.meter.charge(caller.account)
            raise
        if reply.status != 304:
            self.meter.charge(caller.account)
        return self._limited(asked, reply)

    def _moved(self, asked: Asked, caller: Caller) -> Reply | None:
        """Where a renamed repository is now, for who may know: at its id, which is an address too."""
        world = self.world
        if match := _BY_ID.match(asked.path):
            name = next((repo.full_name for repo in world.repositories.values() if repo.id == int(match[1])), "")
            asked.path = _BY_ID.sub(f"/repos/{name}", asked.path, count=1)
        match = _BY_NAME.match(asked.path)
        if match is None or match[1].lower() not in world.renamed:
            return None
        repo = world.repository(match[1])
        if not isinstance(caller, TokenCaller) or not caller.sees(world, repo):
            raise not_found()
        url = f"{world.api}/repositories/{repo.id}{asked.path[match.end() :]}{asked.query and '?'}{asked.query}"
        told = {"message": "Moved Permanently", "url": url}
        return Reply(told, 301 if asked.method == "GET" else 307, headers={"Location": url})

    def _route(self, asked: Asked) -> tuple[Route, dict[str, str]]:
        for route in self.routes:
            if route.method == asked.method and (arguments := route.match(asked.path)) is not None:
                return route, arguments
        asked.known = False
        raise not_found()

    def _limited(self, asked: Asked, reply: Reply) -> Reply:
        """The reply with what every answer says of the rate limit."""
        limit = self.meter.headers(asked.account) if asked.account else {}
        return Reply(reply.body, reply.status, reply.raw, reply.media_type, {**limit, **reply.headers})

    def _record(self, asked: Asked, reply: Reply | None) -> None:
        recorded = Recorded(
            method=asked.method,
            path=asked.path,
            query=dict(parse_qsl(asked.query, keep_blank_values=True)),
            headers={name: value for name, value in asked.headers.items() if name not in _UNSAID},
            body=asked.body,
            status=reply.status if reply else 0,
            answer=_without_token(reply.body) if reply else None,
            at=self.world.clock(),
        )
        (self.git_requests if GIT_PATH.fullmatch(asked.path) else self.requests).append(recorded)
        if not asked.known:
            self.unexpected.append(recorded)


def _authorise(call: Call, route: Route) -> None:
    """Raises `Problem`: the wrong kind of caller, a repository it may not know of, a permission it does not hold."""
    caller: Caller = call.caller
    if route.who == "app":
        if not isinstance(caller, AppCaller):
            raise Problem(401, "A JSON web token could not be decoded")
        return
    if route.who == "anyone":
        return
    if not isinstance(caller, TokenCaller):
        raise Problem(403, FORBIDDEN)
    if "owner" not in call.arguments:
        demand(caller, route.needs, public_read=False)
        return
    public = not call.repo.private
    if not caller.sees(call.world, call.repo):
        if not public:
            raise not_found()
        if route.method != "GET":
            raise Problem(403, FORBIDDEN)
        return
    demand(caller, route.needs, public_read=public)


def _mutates(asked: Asked) -> bool:
    return asked.path == "/graphql" and isinstance(asked.body, dict) and "mutation" in str(asked.body.get("query"))


def _parsed(raw: bytes) -> Any:
    if len(raw) > BODY_LIMIT:
        raise Problem(413, "Payload Too Large")
    if not raw:
        return None
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        raise Problem(400, "Problems parsing JSON") from None
    if not isinstance(body, dict):
        raise Problem(400, "Body should be a JSON object")
    return body


def _tagged(asked: Asked, reply: Reply) -> Reply:
    """A read's reply with its ETag, or 304 where the caller has it already."""
    if asked.method != "GET" or reply.status != 200:
        return reply
    content = reply.raw if reply.raw is not None else json.dumps(reply.body).encode()
    tag = f'W/"{hashlib.sha256(content).hexdigest()}"'
    # The 60 seconds are GitHub's: a client that believes them reads stale checks.
    caching = {"ETag": tag, "Cache-Control": "private, max-age=60, s-maxage=60", "Vary": "Accept, Authorization"}
    headers = {**caching, **reply.headers}
    known = [item.strip().removeprefix("W/") for item in asked.headers.get("if-none-match", "").split(",")]
    if tag.removeprefix("W/") in known:
        return Reply(status=304, headers=headers)
    return Reply(reply.body, reply.status, reply.raw, reply.media_type, headers)


def _faulty(fault: Fault) -> Reply | None:
    if fault.kind in ("hang", "reset"):
        return None
    if fault.kind == "secondary":
        return _refusal(secondary(fault.seconds))
    if fault.raw is not None:
        return Reply(status=fault.status, raw=fault.raw, media_type="text/html", headers=fault.headers())
    return Reply({"message": fault.message}, fault.status, headers=fault.headers())


def _refusal(problem: Problem) -> Reply:
    return Reply(problem.body(), problem.status, headers=problem.headers)


def _response(reply: Reply) -> Response:
    headers = {"X-GitHub-Request-Id": uuid.uuid4().hex[:16].upper(), "X-GitHub-Media-Type": "github.v3; format=json"}
    if reply.status in (204, 304):
        return Response(status_code=reply.status, headers={**headers, **reply.headers})
    content = reply.raw if reply.raw is not None else json.dumps(reply.body).encode()
    return Response(content, reply.status, {**headers, **reply.headers, "Content-Type": reply.media_type})


def _without_token(answer: Any) -> Any:
    return {**answer, "token": "***"} if isinstance(answer, dict) and "token" in answer else answer
