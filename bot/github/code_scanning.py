"""Code scanning: telling GitHub what was found, as SARIF.

Source: docs.github.com, "REST API endpoints for code scanning" and "SARIF support for code scanning". Paths in the file
are relative to the repository's root, so `checkout_uri`, which makes absolute ones relative, has nothing to do.
"""

from __future__ import annotations

import base64
import gzip
from datetime import UTC, datetime
from typing import Literal

from bot.domain.model import Frozen
from bot.domain.sarif import TOOL
from bot.errors import Gone
from bot.github.answers import Seen, read
from bot.github.client import PAGE, Api, Params
from bot.github.names import to_path

# Results that are shown of a SARIF run; GitHub drops the rest of up to 25,000, and refuses more.
RESULTS = 5_000
# Bytes of a file after compression. GitHub says 10 MB.
LARGEST = 10_000_000


class UploadSeen(Frozen):
    """What became of an upload; `errors` are GitHub's words."""

    state: Literal["pending", "complete", "failed"]
    errors: tuple[str, ...]


class AnalysisSeen(Frozen):
    """What GitHub has of one category of one upload."""

    upload: str
    sha: str
    ref: str
    category: str


class _Receipt(Seen):
    id: str


class _Status(Seen):
    processing_status: Literal["pending", "complete", "failed"]
    errors: tuple[str, ...] | None = None


class _Analysis(Seen):
    sarif_id: str
    commit_sha: str
    ref: str
    category: str = ""


class CodeScanning:
    """Code scanning of one repository. Needs `security_events: write`."""

    def __init__(self, api: Api, repository: str) -> None:
        self._api = api
        self._repository = repository

    def upload(self, sha: str, ref: str, sarif: bytes, started_at: float) -> str:
        """Upload what `compressed` made; the id by which to ask what became of it.

        An upload takes the place of an earlier one of the same commit, ref and categories. Raises Unavailable when the
        answer was lost: whether it arrived, `analyses` tells once it is processed.
        """
        body = {
            "commit_sha": sha,
            "ref": ref,
            "sarif": base64.b64encode(sarif).decode("ascii"),
            "started_at": datetime.fromtimestamp(started_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "tool_name": TOOL,
        }
        return read(_Receipt, self._api.request("POST", self._path("sarifs"), json=body)).id

    def status(self, upload: str) -> UploadSeen:
        """What became of an upload. Raises Gone for one that GitHub does not know."""
        seen = read(_Status, self._api.request("GET", self._path("sarifs", upload)))
        return UploadSeen(state=seen.processing_status, errors=seen.errors or ())

    def analyses(self, where: Params) -> tuple[AnalysisSeen, ...]:
        """Our latest ones of a pull request (`{"pr": 7}`) or of a ref (`{"ref": "refs/heads/main"}`)."""
        try:
            items, _ = self._api.page(self._path("analyses"), {**where, "tool_name": TOOL, "per_page": PAGE})
        except Gone:  # "no analysis found"
            return ()
        return tuple(_to_analysis(read(_Analysis, item)) for item in items)

    def _path(self, *segments: str) -> str:
        return to_path(self._repository, "code-scanning", *segments)


def compressed(sarif: str) -> bytes:
    """The file as GitHub takes it; the same bytes for the same text."""
    return gzip.compress(sarif.encode("utf-8", "backslashreplace"), mtime=0)


def _to_analysis(seen: _Analysis) -> AnalysisSeen:
    return AnalysisSeen(upload=seen.sarif_id, sha=seen.commit_sha, ref=seen.ref, category=seen.category)
