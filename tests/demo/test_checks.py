"""Check runs and statuses, with GitHub's limits."""

from __future__ import annotations

from typing import Any

import pytest

from bot.demo.github import StandInGitHub
from tests.demo.client import REPO, Client, with_token

RUNS = f"/repos/{REPO}/check-runs"
NOTE = {"path": "app.py", "start_line": 1, "end_line": 1, "annotation_level": "notice", "message": "m"}
BUTTON = {"label": "Re-run", "description": "Again", "identifier": "rerun"}


def new(github: StandInGitHub, **more: Any) -> dict[str, Any]:
    return {"name": "assay", "head_sha": github.head(REPO, "main"), **more}


def output(**more: Any) -> dict[str, Any]:
    return {"title": "t", "summary": "s", **more}


def test_check_moves_from_queued_to_completed(github: StandInGitHub, client: Client) -> None:
    made = client.ok("POST", RUNS, new(github, external_id="run-1"))
    assert (made["status"], made["conclusion"], made["app"]["slug"]) == ("queued", None, "assay-demo")
    path = f"{RUNS}/{made['id']}"
    assert client.ok("PATCH", path, {"status": "in_progress"})["status"] == "in_progress"
    done = client.ok("PATCH", path, {"conclusion": "success", "output": output()})
    assert (done["status"], done["conclusion"], done["external_id"]) == ("completed", "success", "run-1")
    assert client.ok("GET", path) == done
    suite = client.ok("GET", f"/repos/{REPO}/check-suites/{done['check_suite']['id']}")
    assert (suite["status"], suite["conclusion"], suite["latest_check_runs_count"]) == ("completed", "success", 1)
    assert github.check(REPO, github.head(REPO, "main"), "assay").title == "t"


def test_annotations_are_appended(github: StandInGitHub, client: Client) -> None:
    path = f"{RUNS}/{client.ok('POST', RUNS, new(github, output=output(annotations=[NOTE] * 50)))['id']}"
    shown = client.ok("PATCH", path, {"output": output(annotations=[NOTE | {"start_column": 2, "end_column": 4}])})
    assert shown["output"]["annotations_count"] == 51
    first = client.get(f"{path}/annotations?per_page=50")
    assert 'page=2>; rel="next"' in first.headers["Link"]
    assert client.ok("GET", f"{path}/annotations?per_page=50&page=2")[0]["start_column"] == 2


@pytest.mark.parametrize(
    "change",
    [
        {"status": "completed"},
        {"status": "finished"},
        {"completed_at": "2026-01-01T00:00:00Z"},
        {"status": "queued", "conclusion": "success"},
        {"conclusion": "stale"},
        {"conclusion": None},
        {"started_at": "yesterday"},
        {"started_at": "2026-01-01T00:00:00"},
        {"details_url": "ftp://example.com"},
        {"colour": "green"},
        {"output": {"summary": "s"}},
        {"output": {"title": "t"}},
        {"output": output(title="t" * 256)},
        {"output": output(summary="s" * 65_536)},
        {"output": output(text="s" * 65_536)},
        {"output": output(annotations=[NOTE] * 51)},
        {"output": output(annotations=[NOTE | {"start_line": 0}])},
        {"output": output(annotations=[NOTE | {"start_line": "1"}])},
        {"output": output(annotations=[NOTE | {"start_line": 3, "end_line": 2}])},
        {"output": output(annotations=[NOTE | {"end_line": 2, "start_column": 1}])},
        {"output": output(annotations=[NOTE | {"start_column": 3, "end_column": 1}])},
        {"output": output(annotations=[NOTE | {"path": "/etc/passwd"}])},
        {"output": output(annotations=[NOTE | {"path": "../up.py"}])},
        {"output": output(annotations=[NOTE | {"annotation_level": "error"}])},
        {"output": output(annotations=[NOTE | {"message": "m" * 65_537}])},
        {"output": output(annotations=[NOTE | {"title": "t" * 256}])},
        {"output": output(annotations=[{"path": "app.py"}])},
        {"actions": [BUTTON] * 4},
        {"actions": [BUTTON | {"label": "l" * 21}]},
        {"actions": [BUTTON | {"description": "d" * 41}]},
        {"actions": [BUTTON | {"identifier": "i" * 21}]},
    ],
    ids=str,
)
def test_check_beyond_the_limits_is_refused(shared: Client, change: dict[str, Any]) -> None:
    github = shared.github
    made = shared.ok("POST", RUNS, new(github))
    assert shared.post(RUNS, new(github, **change)).status_code == 422
    assert shared.patch(f"{RUNS}/{made['id']}", change).status_code == 422
    run = github.check(REPO, github.head(REPO, "main"), "assay")
    assert (run.id, run.writes) == (made["id"], 1)


def test_check_needs_a_commit_that_is_there(client: Client) -> None:
    answer = client.post(RUNS, {"name": "assay", "head_sha": "0" * 39 + "1"})
    assert (answer.status_code, answer.json()["message"][:23]) == (422, "No commit found for SHA")
    assert client.post(RUNS, {"name": "assay", "head_sha": "main"}).status_code == 422
    assert client.post(RUNS, {"name": "assay"}).status_code == 422
    assert client.patch(f"{RUNS}/1", {"status": "queued"}).status_code == 404


def test_list_shows_the_latest_of_each_name(github: StandInGitHub, client: Client) -> None:
    ids = [client.ok("POST", RUNS, new(github, name=name))["id"] for name in ("assay", "lint", "assay")]
    path = f"/repos/{REPO}/commits/main/check-runs"
    told = client.ok("GET", path)
    assert (told["total_count"], [run["id"] for run in told["check_runs"]]) == (2, [ids[2], ids[1]])
    assert client.ok("GET", f"{path}?filter=all")["total_count"] == 3
    assert client.ok("GET", f"{path}?check_name=lint")["check_runs"][0]["id"] == ids[1]
    assert client.ok("GET", f"{path}?filter=all&per_page=1&page=3")["check_runs"][0]["id"] == ids[0]


def test_check_knows_its_pull_request_but_not_one_from_a_fork(github: StandInGitHub, client: Client, pull: int) -> None:
    def numbers(sha: str) -> list[int]:
        made = client.ok("POST", RUNS, {"name": "assay", "head_sha": sha})
        return [reference["number"] for reference in made["pull_requests"]]

    fork = github.fork(REPO, "mallory")
    sha = github.push(fork, "evil", {"evil.py": "x\n"}, author="mallory")
    github.open_pull(REPO, "evil", author="mallory", head_repo=fork)
    assert numbers(github.head(REPO, "topic")) == [pull]
    assert numbers(sha) == []


def test_rerequest_resets_the_suite_but_not_the_run(github: StandInGitHub, client: Client) -> None:
    made = client.ok("POST", RUNS, new(github, conclusion="failure"))
    assert client.post(f"{RUNS}/{made['id']}/rerequest").status_code == 201
    suite = client.ok("GET", f"/repos/{REPO}/commits/main/check-suites")["check_suites"][0]
    assert (suite["status"], suite["conclusion"]) == ("queued", None)
    assert client.ok("GET", f"{RUNS}/{made['id']}")["conclusion"] == "failure"


def test_statuses_are_combined_by_context(github: StandInGitHub, client: Client) -> None:
    sha = github.head(REPO, "main")
    path = f"/repos/{REPO}/statuses/{sha}"
    for state in ("pending", "success"):
        client.ok("POST", path, {"state": state, "context": "assay", "description": "d" * 140})
    combined = client.ok("GET", f"/repos/{REPO}/commits/main/status")
    assert (combined["state"], combined["total_count"]) == ("success", 1)
    assert [made.state for made in github.statuses(REPO, sha)] == ["pending", "success"]
    assert len(client.ok("GET", f"/repos/{REPO}/commits/{sha}/statuses")) == 2


@pytest.mark.parametrize(
    "body",
    [{}, {"state": "good"}, {"state": "success", "description": "d" * 141}, {"state": "error", "target_url": "x"}],
)
def test_status_beyond_the_limits_is_refused(shared: Client, body: dict[str, str]) -> None:
    assert shared.post(f"/repos/{REPO}/statuses/{shared.github.head(REPO, 'main')}", body).status_code == 422


def test_thousand_statuses_of_a_context_are_enough(github: StandInGitHub, client: Client) -> None:
    sha = github.head(REPO, "main")
    client.ok("POST", f"/repos/{REPO}/statuses/{sha}", {"state": "success"})
    github.world.statuses *= 1000
    assert client.post(f"/repos/{REPO}/statuses/{sha}", {"state": "success"}).status_code == 422


def test_checks_need_the_permission(github: StandInGitHub) -> None:
    stranger = with_token(github, permissions={"contents": "read"})
    assert stranger.get(f"/repos/{REPO}/commits/main/check-runs").status_code == 403
    assert stranger.post(RUNS, new(github)).status_code == 403
