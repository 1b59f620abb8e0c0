"""A GitHub that answers what a test tells it to, behind the HTTP client's own transport: no network, no patching.

It is strict where a test would not look: who signed the JWT, which token came, which headers.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any

import httpx
import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from bot.github.client import Api, App
from bot.github.connection import Options

APP_ID = 4711
REPOSITORY = "octo/spoon"
SHA = "a" * 40

Reply = httpx.Response | Exception | Callable[[httpx.Request], httpx.Response]


@cache
def private_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@cache
def pem() -> str:
    return (
        private_key()
        .private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
        .decode()
    )


def answer(data: Any, status: int = 200, **headers: str) -> httpx.Response:
    """Underscores in header names stand for dashes."""
    return httpx.Response(status, json=data, headers={name.replace("_", "-"): value for name, value in headers.items()})


def moved(status: int, place: str, host: str = "https://api.github.com") -> httpx.Response:
    return answer({"message": "Moved"}, status, location=f"{host}{place}")


@dataclass
class Hub:
    """Replies in the order they were planned; the last one stays. `slept` is what the client slept through."""

    now: float = 1_800_000_000.0
    prefix: str = ""
    lifetime: float = 3600.0
    slept: list[float] = field(default_factory=list)
    requests: list[httpx.Request] = field(default_factory=list)
    issued: list[dict[str, Any]] = field(default_factory=list)
    _plans: dict[tuple[str, str], list[Reply]] = field(default_factory=lambda: defaultdict(list))

    def plan(self, method: str, path: str, *replies: Reply) -> None:
        self._plans[method, self.prefix + path] += replies

    def app(self, **options: Any) -> App:
        options = {"api_url": "https://api.github.com", "user_agent": "assay/test", **options}
        transport = httpx.MockTransport(self._handle)
        return App(APP_ID, pem(), Options(clock=lambda: self.now, sleep=self._sleep, transport=transport, **options))

    def api(self, **options: Any) -> Api:
        return self.app(**options).api(7, REPOSITORY, {"checks": "write"})

    def sent(self, method: str, path: str) -> list[httpx.Request]:
        return [r for r in self.requests if (r.method, raw_path(r)) == (method, self.prefix + path)]

    def bodies(self, method: str, path: str) -> list[Any]:
        return [json.loads(request.content) for request in self.sent(method, path)]

    def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def _handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        path = raw_path(request)
        assert request.headers["x-github-api-version"] == "2022-11-28"
        assert request.headers["accept"] == "application/vnd.github+json"
        scheme, _, token = request.headers["authorization"].partition(" ")
        assert scheme == "Bearer"
        if "/app" in path or path.endswith("/installation"):
            claims = jwt.decode(token, private_key().public_key(), algorithms=["RS256"])
            assert claims["iss"] == str(APP_ID)
            assert claims["exp"] - claims["iat"] <= 600
        else:
            assert token.startswith("ghs_"), "an installation token is wanted here"
        if planned := self._plans.get((request.method, path)):
            return self._play(planned, request)
        if path.endswith("/access_tokens"):
            return self._issue(request)
        return answer({"message": "Not Found"}, 404)

    def _play(self, planned: list[Reply], request: httpx.Request) -> httpx.Response:
        reply = planned.pop(0) if len(planned) > 1 else planned[0]
        if isinstance(reply, Exception):
            raise reply
        if not isinstance(reply, httpx.Response):
            return reply(request)
        return httpx.Response(reply.status_code, headers=reply.headers, content=reply.content)

    def _issue(self, request: httpx.Request) -> httpx.Response:
        self.issued.append(json.loads(request.content))
        expires = datetime.fromtimestamp(self.now + self.lifetime, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return answer({"token": f"ghs_{len(self.issued)}", "expires_at": expires}, 201)


def raw_path(request: httpx.Request) -> str:
    """The path as it went over the wire, quoting included."""
    return request.url.raw_path.decode().partition("?")[0]
