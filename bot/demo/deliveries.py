"""Webhooks as GitHub sends them: signed, once, with ten seconds to answer, and a log to redeliver from.

https://docs.github.com/webhooks/webhook-events-and-payloads
"""

from __future__ import annotations

import hashlib
import hmac
import json
import select
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from itertools import count
from typing import Any, Literal
from urllib.parse import urlencode, urlsplit

TIMEOUT = 10.0
# For how long a delivery is listed and can be sent again; seconds.
KEPT = 3 * 86400.0
# GitHub tells an App of these whether or not it subscribed.
ALWAYS = frozenset({"ping", "installation", "installation_repositories", "check_suite", "check_run"})


@dataclass(frozen=True)
class Delivery:
    """One attempt. `status` is GitHub's word for it, `status_code` 0 where nobody answered, `duration` in seconds."""

    id: int
    guid: str
    event: str
    payload: Mapping[str, Any]
    delivered_at: float
    duration: float
    status: str
    status_code: int
    redelivery: bool
    request_headers: Mapping[str, str]
    response_headers: Mapping[str, str] = field(default_factory=dict)
    response: str = ""

    @property
    def ok(self) -> bool:
        return 200 <= self.status_code < 300


@dataclass
class Hook:
    """The App's webhook. Without a `url` it is inactive and nothing is sent.

    `lost` deliveries to come fail without a request being made, as in an outage on the way.
    """

    app_id: int
    secret: str
    events: tuple[str, ...]
    clock: Callable[[], float]
    url: str | None = None
    content_type: Literal["json", "form"] = "json"
    lost: int = 0
    log: list[Delivery] = field(default_factory=list)
    _lines: threading.local = field(default_factory=threading.local)
    _open: list[HTTPConnection] = field(default_factory=list)
    _ids: count[int] = field(default_factory=lambda: count(90_001))
    _later: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "stand-in-webhooks"))
    _waiting: list[Future[Delivery | None]] = field(default_factory=list)

    def wants(self, event: str) -> bool:
        return event in ALWAYS or event in self.events

    def kept(self) -> list[Delivery]:
        """The attempts that GitHub still tells of, the newest first."""
        oldest = self.clock() - KEPT
        return [delivery for delivery in reversed(self.log) if delivery.delivered_at > oldest]

    def send(
        self, event: str, payload: Mapping[str, Any], guid: str | None = None, *, redelivery: bool = False
    ) -> Delivery | None:
        """Post it and log the attempt; None while the webhook is inactive. Never raises for the receiver's faults."""
        if self.url is None:
            return None
        guid = guid or str(uuid.uuid4())
        body, media_type = self._encode(payload)
        headers = {
            "Accept": "*/*",
            "Content-Type": media_type,
            "User-Agent": "GitHub-Hookshot/5tand1n",
            "X-GitHub-Delivery": guid,
            "X-GitHub-Event": event,
            "X-GitHub-Hook-ID": "4242",
            "X-GitHub-Hook-Installation-Target-ID": str(self.app_id),
            "X-GitHub-Hook-Installation-Target-Type": "integration",
            "X-Hub-Signature": f"sha1={hmac.new(self.secret.encode(), body, hashlib.sha1).hexdigest()}",
            "X-Hub-Signature-256": f"sha256={hmac.new(self.secret.encode(), body, hashlib.sha256).hexdigest()}",
        }
        began = time.monotonic()
        code, words, answer_headers, answer = self._post(self.url, body, headers)
        delivery = Delivery(
            id=next(self._ids),
            guid=guid,
            event=event,
            payload=payload,
            delivered_at=self.clock(),
            duration=round(time.monotonic() - began, 2),
            status=words,
            status_code=code,
            redelivery=redelivery,
            request_headers=headers,
            response_headers=answer_headers,
            response=answer,
        )
        self.log.append(delivery)
        return delivery

    def later(
        self, event: str, payload: Mapping[str, Any], guid: str | None = None, *, redelivery: bool = False
    ) -> None:
        """Send it in the background, in the order of these calls."""
        self._waiting = [future for future in self._waiting if not future.done()]
        self._waiting.append(self._later.submit(self.send, event, payload, guid, redelivery=redelivery))

    def settle(self) -> None:
        """Wait until everything that was to be sent later has been."""
        for future in list(self._waiting):
            future.result()

    def close(self) -> None:
        self._later.shutdown(wait=True, cancel_futures=True)
        for line in self._open:
            line.close()

    def _encode(self, payload: Mapping[str, Any]) -> tuple[bytes, str]:
        text = json.dumps(payload, separators=(",", ":"), ensure_ascii=False)
        if self.content_type == "form":
            return urlencode({"payload": text}).encode(), "application/x-www-form-urlencoded"
        return text.encode(), "application/json"

    def _post(self, url: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, str, Mapping[str, str], str]:
        if self.lost > 0:
            self.lost -= 1
            return 0, "failed to connect to host", {}, ""
        line = self._line_to(url)
        try:
            line.request("POST", urlsplit(url).path, body, dict(headers))
            answer = line.getresponse()
            text = answer.read()
        except TimeoutError:
            line.close()
            return 0, "timed out", {}, ""
        except (OSError, HTTPException):
            line.close()
            return 0, "failed to connect to host", {}, ""
        words = "OK" if 200 <= answer.status < 300 else f"Invalid HTTP Response: {answer.status}"
        headers = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, words, headers, text.decode(errors="replace")[:4096]

    def _line_to(self, url: str) -> HTTPConnection:
        """This thread's connection to the receiver, which is kept open, as GitHub does.

        Of the standard library: what a client does that can do more would be measured with Assay.
        """
        place = urlsplit(url)
        line: HTTPConnection | None = getattr(self._lines, "line", None)
        if line is None or (line.host, line.port) != (place.hostname, place.port):
            line = self._lines.line = HTTPConnection(place.hostname or "", place.port, timeout=TIMEOUT)
            self._open.append(line)
        # Where there is anything to read before anything was asked, the receiver has closed it.
        if line.sock is not None and select.select([line.sock], [], [], 0)[0]:
            line.close()
        return line
