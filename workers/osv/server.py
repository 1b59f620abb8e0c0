"""A server of the operator's that answers in JSON: bounded, with a few tries, and without redirects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx

from bot.errors import Theirs, Unavailable

T = TypeVar("T")
U = TypeVar("U")

_TIMEOUT = 20.0
_LARGEST = 32_000_000
_TRIES = 3
_AT_ONCE = 8


class Server:
    """A context manager."""

    def __init__(self, url: str, timeout: float = _TIMEOUT) -> None:
        self._url = url
        self._client = httpx.Client(timeout=timeout, follow_redirects=False, headers={"user-agent": "assay"})

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def each(self, call: Callable[[T], U], values: Sequence[T]) -> list[U]:
        """The answers to several calls, some at once."""
        with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
            return list(pool.map(call, values))

    def ask(self, method: str, path: str, body: object = None) -> dict[str, Any] | None:
        """The answer, None for what is not there. Raises Unavailable when it cannot be asked, Theirs for an answer that
        is none."""
        for last in range(_TRIES - 1, -1, -1):
            try:
                with self._client.stream(method, self._url + path, json=body) as answer:
                    data = _read(answer)
                    if answer.status_code < 500 and answer.status_code != 429:
                        return _parse(answer.status_code, data)
                    words = f"it answered {answer.status_code}"
            except httpx.HTTPError as error:
                words = f"{type(error).__name__}: {error}"[:200]
            if not last:
                raise Unavailable(words)
        raise AssertionError("unreachable")


def host_of(url: str) -> str:
    return urlsplit(url).hostname or url


def _read(answer: httpx.Response) -> bytes:
    data = bytearray()
    for chunk in answer.iter_bytes():
        data += chunk
        if len(data) > _LARGEST:
            raise Theirs("its answer is too large")
    return bytes(data)


def _parse(status: int, data: bytes) -> dict[str, Any] | None:
    if status == 404:
        return None
    if status != 200:
        raise Theirs(f"it answered {status}")
    try:
        # The whole is in hand; httpx would want to read it itself.
        document = httpx.Response(200, content=data).json()
    except (ValueError, RecursionError):
        raise Theirs("its answer is no JSON") from None
    if not isinstance(document, dict):
        raise Theirs("its answer is no JSON object")
    return document
