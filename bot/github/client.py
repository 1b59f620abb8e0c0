"""The GitHub App as a client of GitHub's API.

`App` holds the credentials and hands out `Api`s. An `Api` speaks for one installation, with a token that reaches one
repository and has the permissions of one job: whoever steals it gets no more.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import httpx
from githubkit.auth.app import AppAuth
from jwt.exceptions import PyJWTError
from pydantic import AwareDatetime, Field

from bot.domain.model import Frozen
from bot.errors import AssayError, Gone, Misconfigured, Refused, Unavailable
from bot.github.answers import Seen, decoded, read
from bot.github.connection import TIMEOUT, Around, Call, Connection, just_send
from bot.github.etags import Answer, Etags
from bot.github.limits import LONGEST
from bot.github.names import to_path
from bot.github.pacing import Budget, Paced

log = logging.getLogger(__name__)

PAGE = 100
MAX_PAGES = 30
# A token is not used in its last minutes, so that a job that starts with it can end with it.
TOKEN_MARGIN = 300.0
# Tokens that may be asked for at the same time.
_TURNS = 16

Params = Mapping[str, str | int | bool]


class AppInfo(Frozen):
    """What GitHub knows about the App: its permissions by name (`read`, `write`), the events it subscribes to."""

    slug: str
    name: str
    permissions: dict[str, str]
    events: tuple[str, ...]


class _App(Seen):
    slug: str
    name: str
    permissions: dict[str, str]
    events: tuple[str, ...]


class _Named(Seen):
    full_name: str


class _Token(Seen):
    token: str = Field(repr=False)
    expires_at: AwareDatetime


@dataclass(frozen=True)
class Scope:
    """What a token is for. `repository` None: all those of the installation."""

    installation: int
    repository: str | None
    permissions: frozenset[tuple[str, str]]


class App:
    """The App by its credentials. Threads may share it; open one a process. Close it, or use it in a `with`.

    `private_key` is a PEM, `api_url` the REST API's base, such as `https://HOST/api/v3` of an Enterprise Server.
    `patience` is how many seconds a request may wait for a rate limit before it raises Unavailable; `timeout` is for
    one try. `around` is put around every request that is sent. `budget` is asked before every write of an installation;
    without one they are not paced.
    """

    def __init__(
        self,
        app_id: int,
        private_key: str,
        *,
        api_url: str = "https://api.github.com",
        user_agent: str = "assay",
        patience: float = 2.0,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
        transport: httpx.BaseTransport | None = None,
        around: Around = just_send,
        timeout: httpx.Timeout = TIMEOUT,
        budget: Budget | None = None,
    ) -> None:
        self.id = app_id
        self.graphql_url = _graphql_url(api_url)
        self.connection = Connection(
            api_url,
            user_agent,
            patience=patience,
            clock=clock,
            sleep=sleep,
            transport=transport,
            around=around,
            timeout=timeout,
            budget=budget,
        )
        self.etags = Etags()
        self.holds = Holds(clock, budget)
        self._clock = clock
        self._auth = AppAuth(self.connection.github, app_id, private_key)
        self._lock = threading.Lock()
        self._turns = tuple(threading.Lock() for _ in range(_TURNS))
        self._turns_of_installations = tuple(threading.Lock() for _ in range(_TURNS))
        self._tokens: dict[Scope, _Token] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self.connection.close()

    @cached_property
    def info(self) -> AppInfo:
        """Asked once. Raises Misconfigured when GitHub does not take the credentials."""
        app = read(_App, self._request(Call("GET", "/app")))
        return AppInfo(slug=app.slug, name=app.name, permissions=app.permissions, events=app.events)

    @property
    def bot_login(self) -> str:
        """The login under which the App writes, by REST's spelling: `slug[bot]`."""
        return f"{self.info.slug}[bot]"

    def api(self, installation: int, repository: str, permissions: Mapping[str, str]) -> Api:
        """The API as one job on one repository may use it; `permissions` such as `{"checks": "write"}`."""
        return Api(self, Scope(installation, repository, frozenset(permissions.items())))

    def installation_api(self, installation: int, permissions: Mapping[str, str]) -> Api:
        """The API for looking over all repositories of an installation. Read permissions only: no token that may write
        reaches more than one repository."""
        if any(level != "read" for level in permissions.values()):
            raise ValueError("a token for a whole installation may only read")
        return Api(self, Scope(installation, None, frozenset(permissions.items())))

    def get(self, path: str, params: Params | None = None) -> Answer:
        """One page, asked for as the App itself, by its JWT. Raises as `Connection.send` says, and Misconfigured when
        GitHub does not take the credentials."""
        return _to_answer(self._respond(Call("GET", path, params=params)))

    def post(self, path: str, *, repeatable: bool) -> None:
        """As the App itself, without a body. Raises as `get`."""
        self._respond(Call("POST", path, repeatable=repeatable))

    def token(self, installation: int, repository: str, permissions: Mapping[str, str]) -> str:
        """An installation token for git: valid for five minutes or more, never to be logged or put into a URL.

        Raises Refused when the installation has not granted the permissions, Gone when it does not exist any more.
        """
        return self.token_for(Scope(installation, repository, frozenset(permissions.items())))

    def token_for(self, scope: Scope, rejected: str | None = None) -> str:
        """As `token`. One that GitHub has `rejected` is replaced."""
        # Of several threads that want the same one asks, and the others have it too.
        with self._turn(scope):
            held = self._tokens.get(scope)
            if held and held.token != rejected and self._good(held):
                return held.token
            issued = self._issue(scope)
            with self._lock:
                self._tokens = {known: token for known, token in self._tokens.items() if self._good(token)}
                self._tokens[scope] = issued
            return issued.token

    def revoke(self, scope: Scope) -> None:
        """Have GitHub forget the token of a scope, if one is held. Where that fails it is dropped, and ends by itself
        within the hour."""
        with self._turn(scope):
            with self._lock:
                held = self._tokens.pop(scope, None)
            if held is None or not self._good(held):
                return
            try:
                self.connection.send(Call("DELETE", "/installation/token"), held.token)
            except AssayError as error:
                log.warning("a token of installation %d is not revoked: %s", scope.installation, error)

    def _turn(self, scope: Scope) -> threading.Lock:
        # To issue a token of a repository may take one of its whole installation, never the other way round: with locks
        # of their own, nobody waits for himself, or for one who waits for him.
        turns = self._turns if scope.repository is not None else self._turns_of_installations
        return turns[hash(scope) % len(turns)]

    def _good(self, token: _Token) -> bool:
        return self._clock() < token.expires_at.timestamp() - TOKEN_MARGIN

    def _issue(self, scope: Scope) -> _Token:
        try:
            return self._ask_for_token(scope, scope.repository)
        except Refused as refusal:
            # A token names its repositories, and GitHub follows no renaming there.
            if refusal.status != 422 or scope.repository is None:
                raise
            name = self._current_name(scope.installation, scope.repository)
            if name.lower() == scope.repository.lower():
                raise
            return self._ask_for_token(scope, name)

    def _ask_for_token(self, scope: Scope, repository: str | None) -> _Token:
        body: dict[str, Any] = {"permissions": dict(sorted(scope.permissions))}
        if repository is not None:
            to_path(repository)
            body["repositories"] = [repository.split("/")[1]]
        # A token whose answer was lost harms nobody: it is never used and dies within the hour.
        path = f"/app/installations/{scope.installation}/access_tokens"
        return read(_Token, self._request(Call("POST", path, body=body, repeatable=True)))

    def _current_name(self, installation: int, repository: str) -> str:
        """What a repository is called now. Raises Gone for one that is gone, or not the installation's any more."""
        api = self.installation_api(installation, {"metadata": "read"})
        return read(_Named, api.request("GET", to_path(repository))).full_name

    def _request(self, call: Call) -> Any:
        return decoded(self._respond(call).content)

    def _respond(self, call: Call) -> httpx.Response:
        """As the App itself, by its JWT."""
        try:
            return self.connection.send(call, self._jwt())
        except Refused as refusal:
            if refusal.status != 401:
                raise
            self.connection.forget()
            raise Misconfigured(
                f"{refusal}. Check the App's id, its private key, the API's URL, and this machine's clock."
            ) from refusal

    def _jwt(self) -> str:
        try:
            return self._auth.get_jwt()
        except (PyJWTError, ValueError, TypeError) as error:
            raise Misconfigured("The App's private key is not an RSA key in PEM format.") from error


class Holds:
    """Until when each installation was told to wait. Others hear of it by the write budget, before they write."""

    def __init__(self, clock: Callable[[], float], budget: Budget | None) -> None:
        self._clock = clock
        self._budget = budget
        self._until: dict[int, float] = {}

    def check(self, installation: int) -> None:
        """Raises Unavailable while it has to wait."""
        left = self._until.get(installation, 0.0) - self._clock()
        # A longer one was noted by a clock that was ahead.
        if 0 < left <= LONGEST:
            raise Unavailable(f"GitHub's rate limit is used up; it asks to wait {left:.0f} s more", left)

    def note(self, installation: int, error: Unavailable) -> None:
        if error.retry_after and not isinstance(error, Paced):
            self._until[installation] = self._clock() + error.retry_after
            if self._budget is not None:
                self._budget.hold(installation, error.retry_after)


class Api:
    """GitHub's API within one scope. Every method raises Gone, Refused or Unavailable as `Connection.send` says."""

    def __init__(self, app: App, scope: Scope) -> None:
        self._app = app
        self._scope = scope

    @property
    def app_id(self) -> int:
        return self._app.id

    def let_go(self) -> None:
        """Revoke the token of this scope. The next request asks for another one."""
        self._app.revoke(self._scope)

    def request(
        self, method: str, path: str, *, json: Any = None, params: Params | None = None, repeatable: bool | None = None
    ) -> Any:
        """The decoded answer; None where it is empty. `path` comes from `names.to_path`.

        `repeatable` says whether the request may be sent again after its answer was lost; by default all but POST may.
        """
        if method == "GET":
            return decoded(self._get(path, httpx.QueryParams(dict(params or {}))).content)
        call = Call(method, path, params=params, body=json, repeatable=repeatable, writes=True)
        return decoded(self._send(call).content)

    def pages(self, path: str, params: Params | None = None, key: str | None = None, size: int = PAGE) -> Iterator[Any]:
        """The items of a list, over at most `MAX_PAGES` pages of `size`, each asked for when its first item is wanted.
        `key` names the list where it is in an object."""
        query = httpx.QueryParams({**(params or {}), "per_page": size})
        for _ in range(MAX_PAGES):
            answer = self._get(path, query)
            yield from items_of(path, answer, key)
            if answer.next_url is None:
                return
            query = answer.next_query

    def page(self, path: str, params: Params, key: str | None = None) -> tuple[list[Any], bool]:
        """One page of a list, and whether there is another after it."""
        answer = self._get(path, httpx.QueryParams(dict(params)))
        return items_of(path, answer, key), answer.next_url is not None

    def graphql(
        self, query: str, variables: Mapping[str, Any], *, repeatable: bool = False, writes: bool = False
    ) -> dict[str, Any]:
        """The `data` of the answer. An answer with errors is an error, even where it has data too. `writes`: the query
        is a mutation."""
        body = {"query": query, "variables": dict(variables)}
        call = Call("POST", self._app.graphql_url, body=body, repeatable=repeatable, writes=writes)
        answer = decoded(self._send(call).content)
        if not isinstance(answer, dict):
            raise Unavailable("GitHub's GraphQL answer is not an object")
        if answer.get("errors"):
            raise _graphql_error(answer["errors"])
        if not isinstance(answer.get("data"), dict):
            raise Unavailable("GitHub's GraphQL answer has no data")
        return dict(answer["data"])

    def _get(self, path: str, query: httpx.QueryParams) -> Answer:
        key = (self._scope, path, str(query))
        kept = self._app.etags.get(key)
        headers = {"If-None-Match": kept.etag} if kept and kept.etag else {}
        response = self._send(Call("GET", path, params=query, headers=headers))
        if kept and response.status_code == 304:
            return kept
        answer = _to_answer(response)
        # A look over thousands of repositories would only push out what is asked for again; and by its next round it
        # has another token, with which GitHub gives other ETags (github/docs#34689).
        if self._scope.repository is not None:
            self._app.etags.keep(key, answer)
        return answer

    def _send(self, call: Call) -> httpx.Response:
        """Raises Unavailable without asking while GitHub has told this installation to wait: asking all the same could
        get the App banned."""
        self._app.holds.check(self._scope.installation)
        try:
            return self._authorised(replace(call, installation=self._scope.installation))
        except Unavailable as error:
            self._app.holds.note(self._scope.installation, error)
            raise

    def _authorised(self, call: Call) -> httpx.Response:
        token = self._app.token_for(self._scope)
        try:
            return self._app.connection.send(call, token)
        except Refused as refusal:
            # Revoked before its time, or the clocks differ.
            if refusal.status != 401:
                raise
        try:
            return self._app.connection.send(call, self._app.token_for(self._scope, rejected=token))
        except Refused as refusal:
            if refusal.status != 401:
                raise
            # It was issued this moment, so that is not for good: not all of GitHub knows of it yet.
            raise Unavailable(f"GitHub does not take the token that it has just issued ({call})") from refusal


def items_of(path: str, answer: Answer, key: str | None = None) -> list[Any]:
    """The items of a page. Raises Unavailable for what is no list."""
    data = decoded(answer.content)
    items = data.get(key) if key and isinstance(data, dict) else data
    if not isinstance(items, list):
        raise Unavailable(f"GitHub's answer to GET {path} is not a list")
    return items


def _to_answer(response: httpx.Response) -> Answer:
    return Answer(response.content, response.headers.get("etag"), response.links.get("next", {}).get("url"))


def _graphql_url(api_url: str) -> str:
    """On an Enterprise Server GraphQL lives beside the REST API's `/api/v3`, not below it."""
    enterprise = re.sub(r"/api/v3/?$", "/api/graphql", api_url)
    return enterprise if enterprise != api_url else "/graphql"


def _graphql_error(errors: Any) -> AssayError:
    first = errors[0] if isinstance(errors, list) and isinstance(errors[0], dict) else {}
    text = str(first.get("message", "no reason given"))[:500]
    match first.get("type"):
        case "NOT_FOUND":
            return Gone(f"GitHub does not know what a GraphQL query asks for: {text}")
        case "FORBIDDEN":
            return Refused(f"GitHub refuses a GraphQL query: {text}", 403)
        case _:
            return Refused(f"GitHub refuses a GraphQL query: {text}", 422)
