"""The judge of requests is judged: what GitHub documents passes, what it does not is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.contract import openapi
from tests.contract.openapi import validate_answers, validate_payloads, validate_requests

SHA = "ce587453ced02b1526dfb4cb910479d431683101"
REPO = "/repos/octo/demo"


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    body: Any = None
    query: dict[str, str] = field(default_factory=dict)
    status: int = 200
    answer: Any = None


@dataclass(frozen=True)
class Sent:
    event: str
    payload: dict[str, Any]


GOOD = [
    Asked("GET", REPO),
    Asked("GET", f"/api/v3{REPO}/commits/feature/x/check-runs", query={"per_page": "100", "filter": "latest"}),
    Asked("GET", f"{REPO}/compare/main...feature/x"),
    Asked("GET", f"{REPO}/contents/.github/assay.yml", query={"ref": "main"}),
    Asked("GET", f"{REPO}/pulls/1/comments", query={"page": "2"}),
    Asked("POST", f"{REPO}/check-runs", {"name": "assay", "head_sha": SHA, "status": "queued"}),
    Asked("PATCH", f"{REPO}/check-runs/7", {"status": "completed", "conclusion": "success"}),
    Asked("POST", f"{REPO}/issues/1/comments", {"body": "hello"}),
    Asked("POST", f"{REPO}/statuses/{SHA}", {"state": "success", "description": None}),
    Asked("POST", "/app/installations/3/access_tokens", {"permissions": {"checks": "write"}}),
    Asked("POST", "/app/hook/deliveries/9/attempts"),
    Asked("POST", "/graphql", {"query": "{viewer{login}}"}),
]

BAD = {
    "no such operation": Asked("GET", f"{REPO}/nonsense"),
    "no such operation ": Asked("DELETE", f"{REPO}/check-runs/7"),
    "unknown query parameter per-page": Asked("GET", f"{REPO}/pulls", query={"per-page": "3"}),
    "'most' is not of type 'integer'": Asked("GET", f"{REPO}/pulls", query={"per_page": "most"}),
    "'newest' is not one of": Asked("GET", f"{REPO}/commits/main/check-runs", query={"filter": "newest"}),
    "path parameter check_run_id": Asked("PATCH", f"{REPO}/check-runs/seven", {"status": "queued"}),
    "'head_sha' is a required property": Asked("POST", f"{REPO}/check-runs", {"name": "x", "status": "queued"}),
    "'perfect' is not one of": Asked("PATCH", f"{REPO}/check-runs/7", {"status": "completed", "conclusion": "perfect"}),
    "unknown key sate": Asked("POST", f"{REPO}/statuses/{SHA}", {"state": "success", "sate": "success"}),
    "is too long": Asked("PATCH", f"{REPO}/check-runs/7", {"output": {"title": "t", "summary": "x" * 65_536}}),
    "None is not of type 'string'": Asked("POST", f"{REPO}/issues/1/comments", {"body": None}),
    "the body is missing": Asked("POST", f"{REPO}/issues/1/comments"),
    "a body where none is described": Asked("GET", REPO, {"page": 1}),
}


@pytest.mark.parametrize("request_", GOOD, ids=lambda one: f"{one.method} {one.path}")
def test_documented_request_passes(request_: Asked) -> None:
    assert validate_requests([request_]) == []


@pytest.mark.parametrize(("reason", "request_"), BAD.items(), ids=list(BAD))
def test_undocumented_request_is_told(reason: str, request_: Asked) -> None:
    violations = validate_requests([GOOD[0], request_])
    assert violations
    assert all(reason.strip() in violation for violation in violations)


def test_answer_that_lacks_a_field_is_told() -> None:
    violations = validate_answers([Asked("GET", f"{REPO}/git/ref/heads/main", answer={"ref": "refs/heads/main"})])
    assert any("'object' is a required property" in violation for violation in violations)


def test_payload_that_lacks_a_field_is_told() -> None:
    violations = validate_payloads([Sent("pull_request", {"action": "opened", "number": 1})])
    assert any("'pull_request' is a required property" in violation for violation in violations)


def test_without_the_package_the_test_is_skipped_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openapi, "FILE", openapi.FILE / "missing")
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="npm ci"):
        validate_requests(GOOD)


def test_without_the_package_ci_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openapi, "FILE", openapi.FILE / "missing")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="npm ci"):
        validate_requests(GOOD)
