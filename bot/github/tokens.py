"""The tokens of installations: each reaches what one job needs, and serves until shortly before its end."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
from pydantic import AwareDatetime, Field

from bot.errors import AssayError, Refused
from bot.github.answers import Seen, read
from bot.github.connection import Call
from bot.github.names import to_path

log = logging.getLogger(__name__)

# A token is not used in its last minutes, so that a job that starts with it can end with it.
TOKEN_MARGIN = 300.0
# Tokens that may be asked for at the same time.
_TURNS = 16


class _Token(Seen):
    token: str = Field(repr=False)
    expires_at: AwareDatetime


@dataclass(frozen=True)
class Scope:
    """What a token is for. `repository` None: all those of the installation."""

    installation: int
    repository: str | None
    permissions: frozenset[tuple[str, str]]


class Tokens:
    """Those of one App, which threads may share. `ask` sends a call as the App and decodes its answer, `send` sends one
    with a token; `current_name(installation, repository)` is what a repository is called now."""

    def __init__(
        self,
        ask: Callable[[Call], Any],
        send: Callable[[Call, str], httpx.Response],
        current_name: Callable[[int, str], str],
        clock: Callable[[], float],
    ) -> None:
        self._ask = ask
        self._send = send
        self._current_name = current_name
        self._clock = clock
        self._lock = threading.Lock()
        self._turns = tuple(threading.Lock() for _ in range(_TURNS))
        self._turns_of_installations = tuple(threading.Lock() for _ in range(_TURNS))
        self._held: dict[Scope, _Token] = {}

    def get(self, scope: Scope, rejected: str | None = None) -> str:
        """A token of that scope: valid for five minutes or more, never to be logged or put into a URL. One that GitHub
        has `rejected` is replaced.

        Raises Refused when the installation has not granted the permissions, Gone when it does not exist any more.
        """
        # Of several threads that want the same one asks, and the others have it too.
        with self._turn(scope):
            held = self._held.get(scope)
            if held and held.token != rejected and self._good(held):
                return held.token
            issued = self._issue(scope)
            with self._lock:
                self._held = {known: token for known, token in self._held.items() if self._good(token)}
                self._held[scope] = issued
            return issued.token

    def revoke(self, scope: Scope) -> None:
        """Have GitHub forget the token of a scope, if one is held. Where that fails it is dropped, and ends by itself
        within the hour."""
        with self._turn(scope):
            with self._lock:
                held = self._held.pop(scope, None)
            if held is None or not self._good(held):
                return
            try:
                self._send(Call("DELETE", "/installation/token"), held.token)
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
            return self._new(scope, scope.repository)
        except Refused as refusal:
            # A token names its repositories, and GitHub follows no renaming there.
            if refusal.status != 422 or scope.repository is None:
                raise
            name = self._current_name(scope.installation, scope.repository)
            if name.lower() == scope.repository.lower():
                raise
            return self._new(scope, name)

    def _new(self, scope: Scope, repository: str | None) -> _Token:
        body: dict[str, Any] = {"permissions": dict(sorted(scope.permissions))}
        if repository is not None:
            to_path(repository)
            body["repositories"] = [repository.split("/")[1]]
        # A token whose answer was lost harms nobody: it is never used and dies within the hour.
        path = f"/app/installations/{scope.installation}/access_tokens"
        return read(_Token, self._ask(Call("POST", path, body=body, repeatable=True)))
