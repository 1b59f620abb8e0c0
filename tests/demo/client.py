"""A plain client of the stand-in GitHub: what an App's own code would send, without its help."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any, ClassVar

import httpx
import jwt

from bot.demo.github import StandInGitHub

REPO = "octo/demo"
FILES = {"app.py": "".join(f"line {number}\n" for number in range(1, 31)), "docs/read.md": "# Read\n"}


@dataclass
class Client:
    """Sends requests as the App (`jwt`) or as its installation (`token`)."""

    github: StandInGitHub
    headers: dict[str, str]
    http: ClassVar[httpx.Client] = httpx.Client(trust_env=False, verify=False)

    def call(self, method: str, path: str, json: Any = None, **headers: str) -> httpx.Response:
        """`path` starts after the API's base; header names are written with underscores."""
        extra = {name.replace("_", "-"): value for name, value in headers.items()}
        url = self.github.api_url + path
        return self.http.request(method, url, json=json, headers={**self.headers, **extra})

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self.call("GET", path, None, **headers)

    def post(self, path: str, json: Any = None) -> httpx.Response:
        return self.call("POST", path, json)

    def patch(self, path: str, json: Any = None) -> httpx.Response:
        return self.call("PATCH", path, json)

    def ok(self, method: str, path: str, json: Any = None) -> Any:
        """The JSON of an answer that must succeed."""
        answer = self.call(method, path, json)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None


def as_app(github: StandInGitHub, **claims: Any) -> Client:
    now = int(github.world.clock())
    signed = jwt.encode(
        {"iss": str(github.app_id), "iat": now - 60, "exp": now + 540} | claims, github.private_key, algorithm="RS256"
    )
    return Client(github, {"Authorization": f"Bearer {signed}", "User-Agent": "tests"})


def with_token(github: StandInGitHub, owner: str = "octo", **narrowing: Any) -> Client:
    path = f"/app/installations/{github.installation(owner)}/access_tokens"
    token = as_app(github).ok("POST", path, narrowing)["token"]
    return Client(github, {"Authorization": f"Bearer {token}", "User-Agent": "tests"})


def basic(client: Client) -> str:
    """The header that gives git the client's token."""
    token = client.headers["Authorization"].removeprefix("Bearer ")
    return "Authorization: Basic " + base64.b64encode(f"x-access-token:{token}".encode()).decode()


@dataclass
class Clock:
    """A clock that a test moves."""

    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now
