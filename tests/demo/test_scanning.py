"""Code scanning, with GitHub's limits."""

from __future__ import annotations

import base64
import gzip
import json
from copy import deepcopy
from typing import Any

import pytest

from bot.demo.github import StandInGitHub
from bot.demo.scan_routes import LARGEST, OFF
from tests.contract.openapi import validate_answers, validate_requests
from tests.demo.client import REPO, Client, with_token

SCANNING = f"/repos/{REPO}/code-scanning"
RULE = {"id": "R1", **{name: {"text": "R1"} for name in ("shortDescription", "fullDescription", "help")}}


def result(number: int = 1) -> dict[str, Any]:
    place = {"artifactLocation": {"uri": "app.py"}, "region": {"startLine": number}}
    return {
        "ruleId": "R1",
        "ruleIndex": 0,
        "level": "warning",
        "message": {"text": "m"},
        "locations": [{"physicalLocation": place}],
        "partialFingerprints": {"primaryLocationLineHash": f"{number}:1"},
    }


def run(*results: dict[str, Any], category: str = "one") -> dict[str, Any]:
    driver = {"name": "tool", "rules": [deepcopy(RULE)]}
    return {"tool": {"driver": driver}, "automationDetails": {"id": f"{category}/"}, "results": list(results)}


def log(*runs: dict[str, Any]) -> dict[str, Any]:
    return {"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": list(runs)}


def packed(content: Any) -> str:
    return base64.b64encode(gzip.compress(json.dumps(content).encode())).decode()


@pytest.fixture
def scanning(github: StandInGitHub, client: Client) -> Client:
    github.buy_code_security(REPO)
    return client


def body(github: StandInGitHub, content: Any = None, **more: Any) -> dict[str, Any]:
    sarif = packed(log(run(result())) if content is None else content)
    return {"commit_sha": github.head(REPO, "main"), "ref": "refs/heads/main", "sarif": sarif, **more}


def test_a_file_becomes_an_analysis_a_category(github: StandInGitHub, scanning: Client) -> None:
    file = log(run(result(1), result(2)), run(category="two/three"))
    receipt = scanning.ok("POST", f"{SCANNING}/sarifs", body(github, file, tool_name="tool"))
    told = scanning.ok("GET", f"{SCANNING}/sarifs/{receipt['id']}")
    assert told["processing_status"] == "complete"
    newest, older = scanning.ok("GET", f"{SCANNING}/analyses?tool_name=tool&ref=main")
    assert (newest["category"], newest["results_count"]) == ("two/three", 0)
    assert (older["category"], older["results_count"], older["sarif_id"]) == ("one", 2, receipt["id"])
    assert validate_answers(github.requests) == []
    assert validate_requests(github.requests) == []


def test_processing_takes_its_time(github: StandInGitHub, scanning: Client) -> None:
    github.world.scan_seconds = 10**6
    receipt = scanning.ok("POST", f"{SCANNING}/sarifs", body(github))
    assert scanning.ok("GET", f"{SCANNING}/sarifs/{receipt['id']}") == {"processing_status": "pending"}
    assert scanning.get(f"{SCANNING}/analyses").json()["message"] == "no analysis found"


def bad_location() -> dict[str, Any]:
    return {**result(), "locations": []}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (log(*(run(category=str(number)) for number in range(21))), "more runs than allowed (21 > 20)"),
        (log(run(), run()), "multiple runs with the same category"),
        (log(run(*map(result, range(1, 25_002)))), "more results per run than allowed (25001 > 25000)"),
        (log(run(bad_location())), "expected at least one location"),
        (log(run(result(), result())), "2 results have the fingerprint"),
        ({**log(), "version": "2.0.0"}, "only version 2.1.0"),
        ({}, "Invalid SARIF"),
        ([], "Invalid SARIF"),
    ],
    ids=["runs", "categories", "results", "location", "fingerprints", "version", "nothing", "a list"],
)
def test_a_file_beyond_the_limits_fails_as_a_whole(
    github: StandInGitHub, scanning: Client, content: Any, why: str
) -> None:
    receipt = scanning.ok("POST", f"{SCANNING}/sarifs", body(github, content))
    told = scanning.ok("GET", f"{SCANNING}/sarifs/{receipt['id']}")
    assert told["processing_status"] == "failed"
    assert any(why in error for error in told["errors"])
    assert github.analyses(REPO) == []


def test_results_that_are_not_shown_are_counted(github: StandInGitHub, scanning: Client) -> None:
    scanning.ok("POST", f"{SCANNING}/sarifs", body(github, log(run(*map(result, range(1, 5_003))))))
    (made,) = github.analyses(REPO)
    assert (len(made.results), made.warning) == (5_000, "2 results were ignored")


@pytest.mark.parametrize(
    ("change", "status", "message"),
    [
        ({"sarif": "***"}, 400, "Invalid SARIF"),
        ({"sarif": base64.b64encode(b"plain").decode()}, 400, "Invalid SARIF"),
        ({"sarif": base64.b64encode(b"\0" * (LARGEST + 1)).decode()}, 413, "too large"),
        ({"commit_sha": "f" * 40}, 404, "commit not found"),
        ({"commit_sha": "main"}, 422, "commit_sha"),
        ({"ref": "main"}, 422, "ref"),
        ({"ref": "refs/heads/nowhere"}, 404, "not found in this repository"),
        ({"ref": "refs/pull/7/head"}, 404, "not found in this repository"),
        ({"colour": "green"}, 422, "colour"),
    ],
)
def test_what_is_refused_at_once(
    github: StandInGitHub, scanning: Client, change: dict[str, Any], status: int, message: str
) -> None:
    answer = scanning.call("POST", f"{SCANNING}/sarifs", body(github) | change)
    assert (answer.status_code, message in answer.json()["message"]) == (status, True)


def test_it_is_off_in_a_private_repository_and_on_in_a_public_one(github: StandInGitHub, client: Client) -> None:
    refused = client.call("POST", f"{SCANNING}/sarifs", body(github))
    assert (refused.status_code, refused.json()["message"]) == (403, OFF)
    github.world.repositories[REPO].private = False
    client.ok("POST", f"{SCANNING}/sarifs", body(github))


def test_it_takes_the_permission(github: StandInGitHub, scanning: Client) -> None:
    client = with_token(github, permissions={"security_events": "read"})
    refused = client.call("POST", f"{SCANNING}/sarifs", body(github))
    assert refused.headers["X-Accepted-GitHub-Permissions"] == "security_events=write"
