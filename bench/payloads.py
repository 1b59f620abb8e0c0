"""Webhooks to measure with: a pull request's as GitHub words it, signed, 23 to 30 kB."""

from __future__ import annotations

import json
import random
import uuid
from itertools import count, islice
from typing import Any

from bench.load import Request
from bot.demo import payloads
from bot.demo.github import StandInGitHub
from bot.github.signature import sign

_SIZES = range(23_000, 30_000, 500)
_WORDS = ("the", "test", "fails", "when", "run", "on", "two", "hosts", "and", "is", "fixed", "by", "this", "change")


def pull_request(github: StandInGitHub) -> dict[str, Any]:
    """The payload of a pull request that has just been opened."""
    github.add_repository("octo/measured", {"README.md": "Measured\n"})
    github.push("octo/measured", "change", {"README.md": "Measured again\n"})
    number = github.open_pull("octo/measured", "change")
    with github.world.lock:
        pull = github.world.pulls["octo/measured", number]
        return payloads.pull_request(github.world, pull, "opened", pull.author)


def requests(payload: dict[str, Any], secret: str, repositories: int = 50) -> Request:
    """Signed deliveries, each with a GUID of its own, of so many repositories in turn."""
    chance = random.Random(1)
    made = [_request(_body(payload, number, chance), secret) for number in range(repositories)]
    run, numbers = uuid.uuid4().hex[:16].encode(), count()

    def request() -> tuple[bytes, bytes]:
        number = next(numbers)
        head, body = made[number % repositories]
        return head % (run, number), body

    return request


def _body(payload: dict[str, Any], number: int, chance: random.Random) -> bytes:
    """The payload as a repository's of its own, its description filled up with prose."""
    missing = _SIZES[number % len(_SIZES)] - len(_compact(payload))
    prose = " ".join(islice(iter(lambda: f"{chance.choice(_WORDS)} {chance.getrandbits(32):x}", ""), missing // 13))
    repository = {**payload["repository"], "full_name": f"octo/measured-{number}"}
    pull = {**payload["pull_request"], "body": prose}
    return _compact({**payload, "repository": repository, "pull_request": pull})


def _compact(payload: dict[str, Any]) -> bytes:
    return json.dumps(payload, separators=(",", ":")).encode()


def _request(body: bytes, secret: str) -> tuple[bytes, bytes]:
    lines = (
        "POST /webhook HTTP/1.1",
        "Host: 127.0.0.1",
        "User-Agent: GitHub-Hookshot/5tand1n",
        "Accept: */*",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "X-GitHub-Event: pull_request",
        "X-GitHub-Delivery: %s-%d",
        f"X-Hub-Signature-256: {sign(body, secret)}",
    )
    return ("\r\n".join(lines) + "\r\n\r\n").encode(), body
