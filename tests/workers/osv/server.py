"""A server on loopback that speaks OSV's API and deps.dev's, with bounds and pages, and that can be made to fail."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

LODASH: dict[str, Any] = {
    "id": "GHSA-35jh-r3h4-6jhm",
    "modified": "2024-09-13T17:49:38Z",
    "aliases": ["CVE-2021-23337"],
    "summary": "Command Injection in lodash",
    "severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:H/UI:N/S:U/C:H/I:H/A:H"}],
    "affected": [
        {
            "package": {"ecosystem": "npm", "name": "lodash"},
            "ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}, {"fixed": "4.17.21"}]}],
        }
    ],
    "database_specific": {"cwe_ids": ["CWE-77", "CWE-94"], "severity": "HIGH"},
}
JINJA: dict[str, Any] = {
    "id": "PYSEC-2019-217",
    "modified": "2023-11-08T04:00:00Z",
    "aliases": ["CVE-2019-10906"],
    "details": "In Pallets Jinja before 2.10.1, str.format_map allows a sandbox escape.",
    "affected": [
        {
            "package": {"ecosystem": "PyPI", "name": "jinja2"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.10.1"}]}],
            "versions": ["2.9", "2.10"],
        }
    ],
}
EVIL: dict[str, Any] = {
    "id": "MAL-2024-1",
    "modified": "2024-01-01T00:00:00Z",
    "summary": "Malicious code in evil (npm)",
    "affected": [{"package": {"ecosystem": "npm", "name": "evil"}, "versions": ["1.0.0"]}],
}


class Osv:
    """What the server knows: records by package; `page` is how many it tells at once. `failures` are statuses that the
    next requests are answered with."""

    def __init__(self, *records: Mapping[str, Any], page: int = 1000) -> None:
        self.records = {record["id"]: record for record in records}
        self.page = page
        # deps.dev's, by `NPM/packages/NAME/versions/VERSION`.
        self.versions: dict[str, dict[str, Any]] = {}
        self.failures: list[int] = []
        self.requests: list[tuple[str, Any]] = []
        self.url = ""

    def answer(self, path: str, body: Any) -> tuple[int, Any]:
        self.requests.append((path, body))
        if self.failures:
            return self.failures.pop(0), {"code": 3, "message": "no"}
        if path == "/v1/querybatch":
            if len(body["queries"]) > 1000:
                return 400, {"code": 3, "message": "Too many queries."}
            return 200, {"results": [self._query(query) for query in body["queries"]]}
        if path.startswith("/v3/systems/"):
            facts = self.versions.get(unquote(path.removeprefix("/v3/systems/")))
            return (200, facts) if facts else (404, {"code": 5, "message": "Not found."})
        record = self.records.get(unquote(path.removeprefix("/v1/vulns/")))
        return (200, record) if record else (404, {"code": 5, "message": "Bug not found."})

    def _query(self, query: Mapping[str, Any]) -> dict[str, Any]:
        package, start = query["package"], int(query.get("page_token", 0))
        found = [
            {"id": id_, "modified": record["modified"]}
            for id_, record in self.records.items()
            if any(one["package"] == package for one in record["affected"]) and query["version"] != "999.0"
        ]
        page = found[start : start + self.page]
        more = {"next_page_token": str(start + self.page)} if start + self.page < len(found) else {}
        return ({"vulns": page} if page else {}) | more


@contextmanager
def osv(*records: Mapping[str, Any], page: int = 1000) -> Iterator[Osv]:
    known = Osv(*records, page=page)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _reply(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            status, answer = known.answer(self.path, body)
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = _reply  # noqa: N815 - the names that the library looks for

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the library
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    known.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield known
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
