"""A server that speaks OSV's API (https://google.github.io/osv.dev/api/): which advisories versions have."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from bot.errors import Theirs
from workers.osv.server import Server, host_of

# OSV's own bound of one call.
_BATCH = 1_000
_PAGES = 10
_TIMEOUT = 20.0
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
        return f"OSV at {host_of(self._url)}"

    def find(self, packages: Sequence[tuple[str, str, str]]) -> Sequence[Sequence[tuple[str, str]] | None]:
        """Raises Unavailable when it cannot be asked, Theirs for an answer that is none."""
        found: list[list[tuple[str, str]]] = [[] for _ in packages]
        queries: list[tuple[int, dict[str, Any]]] = [
            (index, {"package": {"ecosystem": ecosystem, "name": name}, "version": version})
            for index, (ecosystem, name, version) in enumerate(packages)
        ]
        with Server(self._url, self._timeout) as server:
            for _ in range(_PAGES):
                further: list[tuple[int, dict[str, Any]]] = []
                for start in range(0, len(queries), _BATCH):
                    further += self._ask(server, queries[start : start + _BATCH], found)
                queries = further
                if not queries:
                    return found
        raise Theirs("it has more pages of an answer than are read")

    def _ask(
        self, server: Server, queries: Sequence[tuple[int, dict[str, Any]]], found: list[list[tuple[str, str]]]
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """Put a page of answers into `found`; the queries that have another page."""
        body = {"queries": [query for _, query in queries]}
        results = (server.ask("POST", "/v1/querybatch", body) or {}).get("results")
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
        with Server(self._url, self._timeout) as server:
            records = server.each(lambda id_: server.ask("GET", f"/v1/vulns/{quote(id_, safe='')}"), ids)
        gone = [id_ for id_, record in zip(ids, records, strict=True) if record is None]
        if gone:
            raise Theirs(f"it does not have {gone[0]}, which it told of")
        return {id_: record for id_, record in zip(ids, records, strict=True) if record is not None}
