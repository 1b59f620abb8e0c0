"""Check runs: what stands on a commit, and writing it.

Source: docs.github.com, "REST API endpoints for check runs". The limits are GitHub's; those it counts in characters
are kept in bytes, which is never more.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from bot.domain.model import Frozen
from bot.domain.views import ANNOTATIONS_A_CALL, Action, Annotation, CheckView
from bot.github.answers import Seen, read
from bot.github.client import Api, Params
from bot.github.names import to_path
from bot.github.text import fit

OUTPUT = 65_535
MESSAGE = 64_000
TITLE = 255
ACTIONS = 3


class CheckSeen(Frozen):
    """A check run as GitHub has it. `annotations_count` tells which chunks of annotations arrived."""

    id: int
    name: str
    external_id: str
    status: str
    conclusion: str | None
    title: str
    annotations_count: int


class _App(Seen):
    id: int


class _Output(Seen):
    title: str | None = None
    annotations_count: int = 0


class _Check(Seen):
    id: int
    name: str
    external_id: str | None = None
    status: str
    conclusion: str | None = None
    output: _Output = _Output()
    app: _App | None = None


class Checks:
    """The App's check runs in one repository. Needs `checks: write`."""

    def __init__(self, api: Api, repository: str) -> None:
        self._api = api
        self._repository = repository

    def list(self, sha: str) -> tuple[CheckSeen, ...]:
        """Our check runs of the commit, those of earlier attempts included."""
        path = to_path(self._repository, "commits", sha, "check-runs")
        params: Params = {"app_id": self._api.app_id, "filter": "all"}
        checks = (read(_Check, item) for item in self._api.pages(path, params, key="check_runs"))
        return tuple(_to_seen(check) for check in checks if check.app is None or check.app.id == self._api.app_id)

    def create(self, sha: str, view: CheckView, annotations: Sequence[Annotation] = ()) -> int:
        """Create the check run with a first chunk of annotations; its id.

        Raises Unavailable when the answer was lost: whether it was created, `list` tells.
        """
        body = {"head_sha": sha, **to_json(view, annotations)}
        return read(_Check, self._api.request("POST", to_path(self._repository, "check-runs"), json=body)).id

    def update(self, check_id: int, view: CheckView, annotations: Sequence[Annotation] = ()) -> None:
        """Bring the check run up to date and append a chunk of annotations.

        GitHub appends them at every call, so with annotations a lost answer raises Unavailable, and
        `CheckSeen.annotations_count` tells whether they arrived.
        """
        path = to_path(self._repository, "check-runs", check_id)
        self._api.request("PATCH", path, json=to_json(view, annotations), repeatable=not annotations)


def to_json(view: CheckView, annotations: Sequence[Annotation] = ()) -> dict[str, Any]:
    """The body of a request that makes a check run look like `view`, within GitHub's limits. Pure.

    `view.annotations` is not read: its chunks are given one by one, as `annotations`. Raises ValueError for a chunk of
    more than `ANNOTATIONS_A_CALL`, for dropping some of them would lose findings.
    """
    if len(annotations) > ANNOTATIONS_A_CALL:
        raise ValueError(f"{len(annotations)} annotations in one call; GitHub takes {ANNOTATIONS_A_CALL}")
    body: dict[str, Any] = {
        "name": fit(view.name, TITLE),
        "external_id": view.external_id,
        "status": view.status,
        "output": _output(view, annotations),
        "actions": [_action(action) for action in view.actions[:ACTIONS]],
    }
    if view.started_at is not None:
        body["started_at"] = _iso(view.started_at)
    if view.status == "completed" and view.conclusion is not None:
        # GitHub completes a check that is given a conclusion, whatever its status says.
        body["conclusion"] = view.conclusion.value
        if view.completed_at is not None:
            body["completed_at"] = _iso(view.completed_at)
    return body


def _output(view: CheckView, annotations: Sequence[Annotation]) -> dict[str, Any]:
    # GitHub refuses an empty title or summary.
    title = view.title or view.name
    output: dict[str, Any] = {"title": fit(title, TITLE), "summary": fit(view.summary or title, OUTPUT)}
    if view.text:
        output["text"] = fit(view.text, OUTPUT)
    if annotations:
        output["annotations"] = [_annotation(annotation) for annotation in annotations]
    return output


def _annotation(annotation: Annotation) -> dict[str, Any]:
    start, end = annotation.start_line, max(annotation.start_line, annotation.end_line)
    body: dict[str, Any] = {
        "path": fit(annotation.path, OUTPUT),
        "start_line": start,
        "end_line": end,
        "annotation_level": annotation.level,
        "message": fit(annotation.message or annotation.title or annotation.level, MESSAGE),
    }
    if annotation.title:
        body["title"] = fit(annotation.title, TITLE)
    if start == end and annotation.start_column is not None:
        body["start_column"] = annotation.start_column
        body["end_column"] = max(annotation.start_column, annotation.end_column or 0)
    return body


def _action(action: Action) -> dict[str, str]:
    return {
        "label": fit(action.label, 20),
        "description": fit(action.description, 40),
        "identifier": fit(action.identifier, 20),
    }


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _to_seen(check: _Check) -> CheckSeen:
    return CheckSeen(
        id=check.id,
        name=check.name,
        external_id=check.external_id or "",
        status=check.status,
        conclusion=check.conclusion,
        title=check.output.title or "",
        annotations_count=check.output.annotations_count,
    )
