"""The GitHub App as a client of GitHub's API.

`App` holds the credentials and hands out `Api`s. An `Api` speaks for one installation, with a token that reaches one
repository and has the permissions of one job: whoever steals it gets no more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any, Self

import httpx
from githubkit.auth.app import AppAuth
from jwt.exceptions import PyJWTError

from bot.domain.model import Frozen
from bot.errors import Misconfigured, Refused, Unavailable
from bot.github import graphql
from bot.github.answers import Seen, decoded, read
from bot.github.connection import Call, Connection, Options
from bot.github.etags import Answer, Etags
from bot.github.holds import Holds
from bot.github.names import to_path
from bot.github.tokens import Scope, Tokens

PAGE = 100
MAX_PAGES = 30

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


class App:
    """The App by its credentials. Threads may share it; open one a process. Close it, or use it in a `with`.

    `private_key` is a PEM, `options` are the connection's.
    """

    def __init__(self, app_id: int, private_key: str, options: Options | None = None) -> None:
        options = options or Options()
        self.id = app_id
        self.graphql_url = graphql.url(options.api_url)
        self.connection = Connection(options)
        self.etags = Etags()
        self.holds = Holds(options.clock, options.budget)
        self.tokens = Tokens(self._request, self.connection.send, self._current_name, options.clock)
        self._auth = AppAuth(self.connection.github, app_id, private_key)

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
        """An installation token for git; see `Tokens.get`."""
        return self.tokens.get(Scope(installation, repository, frozenset(permissions.items())))

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
        self._app.tokens.revoke(self._scope)

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
        return graphql.data_of(decoded(self._send(call).content))

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
        token = self._app.tokens.get(self._scope)
        try:
            return self._app.connection.send(call, token)
        except Refused as refusal:
            # Revoked before its time, or the clocks differ.
            if refusal.status != 401:
                raise
        try:
            return self._app.connection.send(call, self._app.tokens.get(self._scope, rejected=token))
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
