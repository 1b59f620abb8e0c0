"""The stand-in GitHub: a real HTTP server with GitHub's rules, for the demo and for tests.

It is built to GitHub's public documentation and meant to be harder to satisfy than GitHub: what GitHub tolerates in
silence is refused here. Its state lives in memory, its repositories in a temporary directory.
"""

from __future__ import annotations

import asyncio
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from copy import deepcopy
from functools import cache
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import uvicorn
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from bot.demo.api import Api, Recorded
from bot.demo.app_routes import app_routes
from bot.demo.check_routes import CHECK_ROUTES
from bot.demo.deliveries import Delivery, Hook
from bot.demo.github_state import (
    Analysis,
    AppRecord,
    CheckRun,
    Comment,
    Review,
    ReviewComment,
    Status,
    Thread,
    User,
    World,
)
from bot.demo.graphql import GRAPHQL_ROUTE
from bot.demo.limits import Fault, FaultKind, Limits
from bot.demo.pull_routes import PULL_ROUTES
from bot.demo.pull_shapes import comments_of, threads_of
from bot.demo.repo_routes import REPO_ROUTES
from bot.demo.scan_routes import SCAN_ROUTES, analyses_of
from bot.demo.story import Story

PERMISSIONS: Mapping[str, str] = {
    "checks": "write",
    "contents": "read",
    "issues": "write",
    "members": "read",
    "merge_queues": "read",
    "pull_requests": "write",
    "security_events": "write",
    "statuses": "write",
}
EVENTS = (
    *("push", "pull_request", "check_run", "check_suite", "merge_group", "issue_comment"),
    *("pull_request_review_comment", "pull_request_review_thread"),
)


@cache
def _key_pair() -> tuple[str, bytes]:
    """The App's private and public key (PEM). One pair a process, for making one takes a tenth of a second."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), public


class QuickServer(uvicorn.Server):
    """Stops at once, cutting what is under way: uvicorn's patience would cost every test a fifth of a second. Until
    then it wakes once a second, for it shares its interpreter with tests and with what measures."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended = asyncio.Event()

    def stop(self) -> None:
        """From another thread."""
        self.should_exit = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._ended.set)

    async def main_loop(self) -> None:
        self._loop = asyncio.get_running_loop()
        while not await self.on_tick(0):
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), 1)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)


class StandInGitHub(Story):
    """A GitHub of its own, with one App registered. A context manager; or call `start` and `stop`.

    `private_key` (PEM), `app_id` and `webhook_secret` are what the App's owner would have; set `webhook_url` once the
    App listens. `clock` gives seconds since the epoch. With `echo`, the App is also told of what it did itself, as
    GitHub does; in the background.
    """

    def __init__(
        self,
        *,
        webhook_url: str | None = None,
        webhook_secret: str = "stand-in-webhook-secret",  # noqa: S107  a stand-in's
        permissions: Mapping[str, str] = PERMISSIONS,
        events: tuple[str, ...] = EVENTS,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.time,
        resolving_needs: Mapping[str, str] | None = None,
        echo: bool = True,
    ) -> None:
        self.private_key, public_key = _key_pair()
        self._folder = tempfile.TemporaryDirectory(prefix="stand-in-github-")
        ids = count(1_000_001)
        app = AppRecord(
            id=4711,
            client_id="Iv23stand1n",
            slug="assay-demo",
            name="Assay demo",
            public_key=public_key,
            webhook_secret=webhook_secret,
            permissions=permissions,
            events=events,
            bot=User(next(ids), "assay-demo[bot]", "Bot"),
            owner=User(next(ids), "assay-owner"),
            created_at=clock(),
        )
        world = World(app, Path(self._folder.name), ids, clock)
        world.resolving_needs = resolving_needs or world.resolving_needs
        super().__init__(world, Hook(app.id, webhook_secret, events, clock, webhook_url))
        if echo:
            world.announce = self._echo
        routes = [*app_routes(self.hook), *CHECK_ROUTES, *PULL_ROUTES, *REPO_ROUTES, *SCAN_ROUTES, GRAPHQL_ROUTE]
        self.api = Api(world, routes, limits or Limits())
        self._server: QuickServer | None = None
        self._thread: threading.Thread | None = None

    # Running

    def start(self) -> Self:
        """Listen on a free port of 127.0.0.1 and serve in a thread."""
        # With the protocol named, asyncio turns Nagle's algorithm off; without, each answer waits 40 ms for an ACK.
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.bind(("127.0.0.1", 0))
        listener.listen(512)
        config = uvicorn.Config(self.api, http="httptools", loop="uvloop", ws="none", lifespan="off", log_level="error")
        self._server = QuickServer(config)
        self._thread = threading.Thread(
            target=self._server.run, args=([listener],), name="stand-in-github", daemon=True
        )
        self.world.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop serving and remove the repositories. May be called again."""
        self.hook.close()
        if self._server and self._thread:
            self._server.stop()
            self._thread.join(timeout=10)
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The base of web pages and of git."""
        return self.world.url

    @property
    def api_url(self) -> str:
        """The base of the REST API, as an Enterprise Server has it; GraphQL is at `{url}/api/graphql`."""
        return self.world.api

    @property
    def app_id(self) -> int:
        return self.world.app.id

    @property
    def webhook_secret(self) -> str:
        return self.world.app.webhook_secret

    @property
    def webhook_url(self) -> str | None:
        return self.hook.url

    @webhook_url.setter
    def webhook_url(self, url: str | None) -> None:
        self.hook.url = url

    def installation(self, owner: str) -> int:
        """The id of the App's installation on that account."""
        return next(id_ for id_, account in self.world.installations.items() if account.login == owner)

    # What happened

    @property
    def requests(self) -> list[Recorded]:
        """Every API request so far, those of git aside."""
        return list(self.api.requests)

    @property
    def git_requests(self) -> list[Recorded]:
        return list(self.api.git_requests)

    @property
    def unexpected(self) -> list[Recorded]:
        """Requests for which there is no route."""
        return list(self.api.unexpected)

    @property
    def deliveries(self) -> list[Delivery]:
        """Every webhook attempt so far."""
        return list(self.hook.log)

    def checks(self, repo: str, sha: str) -> list[CheckRun]:
        """Every check run of that commit, oldest first."""
        with self.world.lock:
            runs = self.world.runs.values()
            return deepcopy([run for run in runs if (run.repo, run.head_sha) == (repo, sha)])

    def check(self, repo: str, sha: str, name: str) -> CheckRun:
        """The newest check run of that name. Raises `LookupError`."""
        return [run for run in self.checks(repo, sha) if run.name == name][-1]

    def statuses(self, repo: str, sha: str) -> list[Status]:
        with self.world.lock:
            return deepcopy([made for made in self.world.statuses if (made.repo, made.sha) == (repo, sha)])

    def comments(self, repo: str, number: int) -> list[Comment]:
        """The conversation's comments, oldest first."""
        with self.world.lock:
            made = self.world.comments.values()
            return deepcopy([comment for comment in made if (comment.repo, comment.number) == (repo, number)])

    def reviews(self, repo: str, number: int) -> list[Review]:
        with self.world.lock:
            made = self.world.reviews.values()
            return deepcopy([review for review in made if (review.repo, review.number) == (repo, number)])

    def review_comments(self, repo: str, number: int) -> list[ReviewComment]:
        """The published comments on lines, oldest first."""
        with self.world.lock:
            return deepcopy(comments_of(self.world, self.world.pulls[repo, number]))

    def threads(self, repo: str, number: int) -> list[Thread]:
        with self.world.lock:
            return deepcopy(threads_of(self.world, self.world.pulls[repo, number]))

    def analyses(self, repo: str) -> list[Analysis]:
        """What code scanning has, the newest first."""
        with self.world.lock:
            return deepcopy(analyses_of(self.world, repo))

    def head(self, repo: str, branch: str) -> str:
        """The commit a branch points at."""
        sha = self.world.repositories[repo].git.resolve(f"refs/heads/{branch}")
        if sha is None:
            raise KeyError(branch)
        return sha

    # What goes wrong

    def fail(
        self,
        kind: FaultKind = "error",
        *,
        method: str | None = None,
        path: str = "",
        times: int = 1,
        status: int = 502,
        seconds: float = 1.0,
        after: bool = False,
        message: str = "Server Error",
        headers: Callable[[], Mapping[str, str]] = dict,
        raw: bytes | None = None,
    ) -> Fault:
        """Order a fault for the next `times` requests of that method whose path contains `path`; see `Fault`."""

        def matches(its_method: str, its_path: str) -> bool:
            return (method is None or its_method == method) and path in its_path

        fault = Fault(kind, matches, times, status, seconds, after, message, headers, raw)
        self.api.faults.pending.append(fault)
        return fault

    def lose_deliveries(self, times: int) -> None:
        """The next webhooks fail on the way; they stay in the log, to be redelivered."""
        self.hook.lost = times

    def expire_tokens(self) -> None:
        """Every installation token that is out expires now."""
        with self.world.lock:
            for token in self.world.tokens.values():
                token.expires_at = 0.0

    def exhaust(self, owner: str, resets_in: float = 60.0) -> None:
        """The installation on that account has used up its requests for `resets_in` seconds."""
        with self.world.lock:
            self.api.meter.exhaust(f"installation:{self.installation(owner)}", resets_in)

    def _echo(self, event: str, payload: dict[str, Any]) -> None:
        if self.hook.wants(event) and event in self.world.app.events:
            self.hook.later(event, payload)
