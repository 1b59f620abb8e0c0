"""A server that speaks OSV's API (https://google.github.io/osv.dev/api/): which advisories versions have."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from bot.errors import Theirs, Unavailable

# OSV's own bound of one call.
_BATCH = 1_000
_PAGES = 10
_AT_ONCE = 8
_TIMEOUT = 20.0
_LARGEST = 32_000_000
_TRIES = 3
_MOST_RECORDS = 2_000
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9:._-]{2,99}")


class OsvApi:
    """The operator names the server; nothing of a repository can."""

    matches = True
    version = ""

    def __init__(self, url: str, timeout: float = _TIMEOUT) -> None:
        self._url = url
        self._timeout = timeout

    @property
    def name(self) -> str:
        return f"OSV at {urlsplit(self._url).hostname}"

    def find(self, packages: Sequence[tuple[str, str, str]]) -> Sequence[Sequence[tuple[str, str]] | None]:
        """Raises Unavailable when it cannot be asked, Theirs for an answer that is none."""
        found: list[list[tuple[str, str]]] = [[] for _ in packages]
        queries: list[tuple[int, dict[str, Any]]] = [
            (index, {"package": {"ecosystem": ecosystem, "name": name}, "version": version})
            for index, (ecosystem, name, version) in enumerate(packages)
        ]
        with self._client() as client:
            for _ in range(_PAGES):
                further: list[tuple[int, dict[str, Any]]] = []
                for start in range(0, len(queries), _BATCH):
                    further += self._ask(client, queries[start : start + _BATCH], found)
                queries = further
                if not queries:
                    return found
        raise Theirs("it has more pages of an answer than are read")

    def _ask(
        self, client: httpx.Client, queries: Sequence[tuple[int, dict[str, Any]]], found: list[list[tuple[str, str]]]
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """Put a page of answers into `found`; the queries that have another page."""
        body = {"queries": [query for _, query in queries]}
        results = self._json(client, "POST", "/v1/querybatch", body).get("results")
        if not isinstance(results, list) or len(results) != len(queries):
            raise Theirs("it did not answer every question")
        for (index, query), said in zip(queries, results, strict=True):
            result = said if isinstance(said, dict) else {}
            for one in result.get("vulns") or ():
                if isinstance(one, dict) and isinstance(one.get("id"), str) and _ID.fullmatch(one["id"]):
                    found[index].append((one["id"], str(one.get("modified", ""))))
            if isinstance(token := result.get("next_page_token"), str) and token:
                yield index, {**query, "page_token": token}

    def records(self, ids: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
        """Raises Unavailable when it cannot be asked, Theirs for an answer that is none."""
        if len(ids) > _MOST_RECORDS:
            raise Theirs(f"it knows more than {_MOST_RECORDS:,} advisories of these packages")
        if not ids:
            return {}
        with self._client() as client, ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
            records = pool.map(lambda id_: self._json(client, "GET", f"/v1/vulns/{quote(id_, safe='')}"), ids)
            return dict(zip(ids, records, strict=True))

    def _client(self) -> httpx.Client:
        return httpx.Client(timeout=self._timeout, follow_redirects=False, headers={"user-agent": "assay"})

    def _json(self, client: httpx.Client, method: str, path: str, body: object = None) -> dict[str, Any]:
        for last in range(_TRIES - 1, -1, -1):
            try:
                with client.stream(method, self._url + path, json=body) as answer:
                    data = _read(answer)
                    if answer.status_code < 500 and answer.status_code != 429:
                        return _parse(answer, data)
                    words = f"it answered {answer.status_code}"
            except httpx.HTTPError as error:
                words = f"{type(error).__name__}: {error}"[:200]
            if not last:
                raise Unavailable(words)
        raise AssertionError("unreachable")


def _read(answer: httpx.Response) -> bytes:
    data = bytearray()
    for chunk in answer.iter_bytes():
        data += chunk
        if len(data) > _LARGEST:
            raise Theirs("its answer is too large")
    return bytes(data)


def _parse(answer: httpx.Response, data: bytes) -> dict[str, Any]:
    if answer.status_code != 200:
        raise Theirs(f"it answered {answer.status_code}")
    try:
        # The whole is in hand; httpx would want to read it itself.
        document = httpx.Response(200, content=data).json()
    except (ValueError, RecursionError):
        raise Theirs("its answer is no JSON") from None
    if not isinstance(document, dict):
        raise Theirs("its answer is no JSON object")
    return document
