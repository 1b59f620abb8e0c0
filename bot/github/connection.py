"""One conversation with one GitHub: sending a request, and what to do when it does not work out.

githubkit builds the HTTP client (base URL, headers, proxies). Its own retrying is off, because it sends a POST again
whose answer was lost and so creates a check or a comment twice. So is httpx's following of redirects, because it makes
a GET of a POST; GitHub wants the same request again (docs.github.com, "Best practices for using the REST API").
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any, NamedTuple

import httpx
from githubkit import GitHubCore, UnauthAuthStrategy
from githubkit.cache import MemCacheStrategy

from bot.errors import Gone, Refused, Unavailable
from bot.github.limits import backoff, hold, retry_after
from bot.github.pacing import Budget

API_VERSION = "2022-11-28"
# Seconds. GitHub itself ends a request after ten.
TIMEOUT = httpx.Timeout(15, connect=5)
TRIES = 4
# After so many seconds a request is not tried again: who publishes holds a lock, and others wait for the process.
ENOUGH = 15.0

_REPEATABLE = ("GET", "HEAD", "PUT", "PATCH", "DELETE")
# Where GitHub says that something is somewhere else: a renamed repository, for one.
_MOVED = (301, 302, 307, 308)
_MOVES = 3
# After these the request cannot have reached GitHub.
_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)

# Whom a client believes. Reading all the authorities takes 50 ms, so a process does it once.
_authorities = cache(httpx.create_ssl_context)


@dataclass(frozen=True)
class Call:
    """A request. `repeatable` says whether it may be sent again when its answer was lost or was a 5xx; by default
    every method but POST may. `installation` is the one that asks, 0 the App itself. `writes`: it counts as a write of
    that installation."""

    method: str
    path: str
    params: Mapping[str, Any] | httpx.QueryParams | None = None
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    repeatable: bool | None = None
    installation: int = 0
    writes: bool = False

    @property
    def may_repeat(self) -> bool:
        return self.method in _REPEATABLE if self.repeatable is None else self.repeatable

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


# Is given a request and what sends it, once; returns the answer and raises what that raises.
Around = Callable[[Call, Callable[[], httpx.Response]], httpx.Response]


def just_send(_: Call, exchange: Callable[[], httpx.Response]) -> httpx.Response:
    """The plainest `Around`."""
    return exchange()


class Options(NamedTuple):
    """How GitHub is spoken to.

    `api_url` is the REST API's base, such as `https://HOST/api/v3` of an Enterprise Server. `patience` is how many
    seconds a request may wait for a rate limit before it raises Unavailable; `timeout` is for one try. `around` is put
    around every request that is sent. `budget` is asked before every write of an installation; without one they are not
    paced.
    """

    api_url: str = "https://api.github.com"
    user_agent: str = "assay"
    patience: float = 2.0
    clock: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    transport: httpx.BaseTransport | None = None
    around: Around = just_send
    timeout: httpx.Timeout = TIMEOUT
    budget: Budget | None = None


class Connection:
    """A pool of connections to one API. Threads may share it; processes may not, so open it after a fork."""

    def __init__(self, options: Options) -> None:
        # The default one is shared by every App of a process, key or no key.
        self._kept = MemCacheStrategy()
        self.github = GitHubCore(
            UnauthAuthStrategy(),
            base_url=options.api_url,
            user_agent=options.user_agent,
            timeout=options.timeout,
            transport=options.transport,
            ssl_verify=_authorities(),
            follow_redirects=False,
            cache_strategy=self._kept,
            http_cache=False,
            auto_retry=False,
        )
        self._options = options
        self._open = ExitStack()
        self._client = self._open.enter_context(self.github.get_sync_client())

    def close(self) -> None:
        self._open.close()

    def forget(self) -> None:
        """Sign anew: githubkit would go on with a JWT that was dated by a clock ahead of GitHub's for as long as that
        clock was ahead."""
        self._kept.cleanup()

    def send(self, call: Call, token: str) -> httpx.Response:
        """The answer to the call: 2xx or 304.

        Waits for a rate limit as long as patience lasts, and tries again after a failure that passes, where the call
        may be repeated. Raises Unavailable when that was not enough (Paced, where nothing was sent because the
        installation has written enough), Gone for 404 and 410, Refused for any other 4xx.
        """
        patience, began = self._options.patience, self._options.clock()
        for attempt in range(TRIES):
            pause = backoff(attempt)
            try:
                response = self._exchange(call, token)
            except httpx.RequestError as error:
                if not (call.may_repeat or isinstance(error, _UNSENT)):
                    raise Unavailable(f"GitHub's answer to {call} was lost ({type(error).__name__})") from error
                trouble = Unavailable(f"GitHub does not answer {call} ({type(error).__name__}: {error})")
            else:
                now = self._options.clock()
                asked = hold(response, now)
                if asked is None and response.status_code < 500:
                    return _checked(call, response)
                trouble = _trouble(call, response, asked, now)
                if (asked is None and not call.may_repeat) or (trouble.retry_after or 0) > patience:
                    raise trouble
                patience -= trouble.retry_after or 0
                pause = max(pause, trouble.retry_after or 0)
            if attempt + 1 == TRIES or self._options.clock() - began > ENOUGH:
                break
            self._options.sleep(pause)
        raise trouble

    def _exchange(self, call: Call, token: str) -> httpx.Response:
        """One try, wherever GitHub sends it."""
        headers = {"Authorization": f"Bearer {token}", "X-GitHub-Api-Version": API_VERSION, **call.headers}
        url, params = httpx.URL(call.path), call.params
        for _ in range(_MOVES):
            if call.writes and self._options.budget is not None:
                self._options.budget.take(call.installation)
            request = partial(self._client.request, call.method, url, params=params, json=call.body, headers=headers)
            response = self._options.around(call, request)
            if response.status_code not in _MOVED:
                break
            # The address that GitHub gives has the query in it.
            url, params = _moved(call, response), None
        return response


def _moved(call: Call, response: httpx.Response) -> httpx.URL:
    """Where to send the call instead. Raises Refused for another host: a token goes nowhere but to GitHub."""
    try:
        new = response.request.url.join(response.headers.get("location", ""))
    except httpx.InvalidURL:
        new = httpx.URL()
    old = response.request.url
    if (new.scheme, new.host, new.port) != (old.scheme, old.host, old.port):
        raise Refused(f"GitHub answers {call} with an address elsewhere", response.status_code)
    return new


def _trouble(call: Call, response: httpx.Response, asked: float | None, now: float) -> Unavailable:
    if asked is not None:
        return Unavailable(f"GitHub's rate limit is used up ({call}); it asks to wait {asked:.0f} s", asked)
    return Unavailable(f"GitHub answers {response.status_code} to {call}", retry_after(response, now))


def _checked(call: Call, response: httpx.Response) -> httpx.Response:
    if response.status_code < 300 or response.status_code == 304:
        return response
    if response.status_code in _MOVED:
        raise Refused(f"GitHub sends {call} round in circles", response.status_code)
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
