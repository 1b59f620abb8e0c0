"""The quick way to `/webhook`: most deliveries are taken in without ASGI.

For each request uvicorn makes a scope, a task, an event and a cycle, and sends the head of its answer and the body one
after the other: a quarter of the time that a delivery takes. Here the parser's calls lead to the one that sends the
answer. What is not a small body posted to `/webhook`, as GitHub's are, goes uvicorn's way, to the same `Webhook`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from functools import lru_cache, partial
from typing import Any

from uvicorn import Config
from uvicorn.protocols.http.flow_control import CLOSE_HEADER
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from bot.bodies import PATIENCE, SMALL, TooSlow
from bot.web import PATH, Answer, Webhook

_PATH = PATH.encode()


class Door(HttpToolsProtocol):
    """A connection to a server whose application is a `Webhook`."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        assert isinstance(config.app, Webhook)
        self._webhook = config.app
        self._coming: _Post | None = None

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        post = self._coming
        if post is not None and post.limit is None:
            post.limit = self.loop.call_later(PATIENCE, self._give_up, post)

    def on_headers_complete(self) -> None:
        headers = dict(self.headers)
        if self._is_plain(headers):
            self._coming = self.cycle = _Post(headers, self.parser.should_keep_alive())
        else:
            super().on_headers_complete()

    def _is_plain(self, headers: dict[bytes, bytes]) -> bool:
        length = headers.get(b"content-length", b"")
        return (
            self.url == _PATH
            and self.parser.get_method() == b"POST"
            and self.parser.get_http_version() == "1.1"
            and length.isdigit()
            and len(length) < 10
            and int(length) <= SMALL
            # Those before it have their answers, and the client reads them.
            and (self.cycle is None or self.cycle.response_complete)
            and not self.flow.write_paused
            and not self.expect_100_continue
            and not self.parser.should_upgrade()
        )

    def on_body(self, body: bytes) -> None:
        if self._coming is None:
            super().on_body(body)
        else:
            self._coming.pieces.append(body)

    def on_message_complete(self) -> None:
        post, self._coming = self._coming, None
        if post is None:
            super().on_message_complete()
            return
        if post.limit is not None:
            post.limit.cancel()
        self._webhook.take(post.headers, b"".join(post.pieces), partial(self._tell, post))

    def _give_up(self, post: _Post) -> None:
        if not self.transport.is_closing():
            self._coming = None
            self._tell(post, self._webhook.refuse(TooSlow()))

    def _tell(self, post: _Post, answer: Answer) -> None:
        if self.transport.is_closing():
            return
        text, closing = _written(answer, post.keep_alive)
        dated = _lines(self.server_state.default_headers)
        self.transport.write(b"".join((STATUS_LINE[answer.status], dated, text)))
        post.response_complete = True
        if closing:
            self.transport.close()
        self.on_response_complete()


def _lines(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    return b"".join([b"%b: %b\r\n" % header for header in headers])


@lru_cache(64)
def _written(answer: Answer, keep_alive: bool) -> tuple[bytes, bool]:
    """An answer from its own headers on, and whether the connection ends with it."""
    headers = answer.headers if keep_alive else [*answer.headers, CLOSE_HEADER]
    return b"%b\r\n%b" % (_lines(headers), answer.body), CLOSE_HEADER in headers


class _Post(RequestResponseCycle):
    """A request under way, for what uvicorn asks of one: whether it has been answered."""

    # It tells an application of what comes, and there is none.
    message_event = asyncio.Event()

    def __init__(self, headers: dict[bytes, bytes], keep_alive: bool) -> None:
        self.headers = headers
        self.pieces: list[bytes] = []
        self.keep_alive = keep_alive
        self.limit: asyncio.TimerHandle | None = None
        self.response_complete = False
        self.disconnected = False
