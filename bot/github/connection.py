"""One conversation with one GitHub: sending a request, and what to do when it does not work out.

githubkit builds the HTTP client (base URL, headers, proxies, redirects). Its own retrying is off, because it sends a
POST again whose answer was lost and so creates a check or a comment twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import httpx
from githubkit import GitHubCore, UnauthAuthStrategy
from githubkit.cache import MemCacheStrategy

from bot.errors import Gone, Refused, Unavailable
from bot.github.limits import backoff, hold, retry_after

API_VERSION = "2022-11-28"
TIMEOUT = httpx.Timeout(30, connect=10)
TRIES = 4

_REPEATABLE = ("GET", "HEAD", "PUT", "PATCH", "DELETE")
# After these the request cannot have reached GitHub.
_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


@dataclass(frozen=True)
class Call:
    """A request. `repeatable` says whether it may be sent again when its answer was lost or was a 5xx; by default
    every method but POST may."""

    method: str
    path: str
    params: Mapping[str, Any] | httpx.QueryParams | None = None
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    repeatable: bool | None = None

    @property
    def may_repeat(self) -> bool:
        return self.method in _REPEATABLE if self.repeatable is None else self.repeatable

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class Connection:
    """A pool of connections to one API. Threads may share it; processes may not, so open it after a fork."""

    def __init__(
        self,
        api_url: str,
        user_agent: str,
        *,
        patience: float = 10.0,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.github = GitHubCore(
            UnauthAuthStrategy(),
            base_url=api_url,
            user_agent=user_agent,
            timeout=TIMEOUT,
            transport=transport,
            # The default one is shared by every App of a process, key or no key.
            cache_strategy=MemCacheStrategy(),
            http_cache=False,
            auto_retry=False,
        )
        self.clock = clock
        self._sleep = sleep
        self._patience = patience
        self._open = ExitStack()
        self._client = self._open.enter_context(self.github.get_sync_client())

    def close(self) -> None:
        self._open.close()

    def send(self, call: Call, token: str) -> httpx.Response:
        """The answer to the call: 2xx or 304.

        Waits for a rate limit as long as patience lasts, and tries again after a failure that passes, where the call
        may be repeated. Raises Unavailable when that was not enough, Gone for 404 and 410, Refused for any other 4xx.
        """
        patience = self._patience
        for attempt in range(TRIES):
            pause = backoff(attempt)
            try:
                response = self._exchange(call, token)
            except httpx.RequestError as error:
                if not (call.may_repeat or isinstance(error, _UNSENT)):
                    raise Unavailable(f"GitHub's answer to {call} was lost ({type(error).__name__})") from error
                trouble = Unavailable(f"GitHub does not answer {call} ({type(error).__name__}: {error})")
            else:
                now = self.clock()
                asked = hold(response, now)
                if asked is None and response.status_code < 500:
                    return _checked(call, response)
                trouble = _trouble(call, response, asked, now)
                if (asked is None and not call.may_repeat) or (trouble.retry_after or 0) > patience:
                    raise trouble
                patience -= trouble.retry_after or 0
                pause = max(pause, trouble.retry_after or 0)
            if attempt + 1 < TRIES:
                self._sleep(pause)
        raise trouble

    def _exchange(self, call: Call, token: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}", "X-GitHub-Api-Version": API_VERSION, **call.headers}
        return self._client.request(call.method, call.path, params=call.params, json=call.body, headers=headers)


def _trouble(call: Call, response: httpx.Response, asked: float | None, now: float) -> Unavailable:
    if asked is not None:
        return Unavailable(f"GitHub's rate limit is used up ({call}); it asks to wait {asked:.0f} s", asked)
    return Unavailable(f"GitHub answers {response.status_code} to {call}", retry_after(response, now))


def _checked(call: Call, response: httpx.Response) -> httpx.Response:
    if response.status_code < 300 or response.status_code == 304:
        return response
    if response.status_code in (404, 410):
        raise Gone(f"GitHub does not know {call}, or the App may not see it")
    raise Refused(f"GitHub refuses {call} with {response.status_code}: {_words(response)}", response.status_code)


def _words(response: httpx.Response) -> str:
    """What GitHub says about an error, in a line: its message and the fields it complains about."""
    try:
        body = response.json()
    except ValueError:
        return "no reason given"
    if not isinstance(body, dict):
        return "no reason given"
    errors = body.get("errors")
    details = "; ".join(_detail(error) for error in errors[:5]) if isinstance(errors, list) else ""
    return f"{body.get('message')}{f' ({details})' if details else ''}"[:500]


def _detail(error: object) -> str:
    if not isinstance(error, dict):
        return str(error)
    return str(
        error.get("message") or " ".join(str(error[key]) for key in ("resource", "field", "code") if key in error)
    )
