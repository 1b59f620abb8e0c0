"""Rate limits, conditional requests, what every request must carry, and faults that were ordered."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from bot.demo.github import StandInGitHub
from bot.demo.limits import Limits
from tests.demo.client import FILES, REPO, Client, Clock, with_token

PATH = f"/repos/{REPO}"


def test_requests_are_counted_and_run_out() -> None:
    clock = Clock()
    with StandInGitHub(limits=Limits(hourly=3), clock=clock) as github:
        github.add_repository(REPO, FILES)
        client = with_token(github)
        left = [client.get(PATH).headers["X-RateLimit-Remaining"] for _ in range(3)]
        assert left == ["2", "1", "0"]
        refused = client.get(PATH)
        assert (refused.status_code, refused.headers["X-RateLimit-Remaining"]) == (403, "0")
        assert "rate limit exceeded" in refused.json()["message"]
        assert int(refused.headers["X-RateLimit-Reset"]) == clock.now + 3600
        clock.now += 3600
        assert with_token(github).get(PATH).status_code == 200


def test_limit_can_be_used_up_at_once(github: StandInGitHub, client: Client) -> None:
    github.exhaust("octo", resets_in=120)
    refused = client.get(PATH)
    assert refused.status_code == 403
    assert 100 < int(refused.headers["X-RateLimit-Reset"]) - time.time() <= 120
    assert with_token(github).get(PATH).status_code == 403


def test_unchanged_answer_costs_nothing(client: Client) -> None:
    first = client.get(PATH)
    again = client.get(PATH, if_none_match=first.headers["ETag"])
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["X-RateLimit-Remaining"] == first.headers["X-RateLimit-Remaining"]
    assert client.get(PATH, if_none_match='W/"other"').status_code == 200


def test_many_writes_meet_the_secondary_limit() -> None:
    clock = Clock()
    with StandInGitHub(limits=Limits(writes_a_minute=2, writes_an_hour=3), clock=clock) as github:
        sha = github.add_repository(REPO, FILES)
        client = with_token(github)

        def write() -> httpx.Response:
            return client.post(f"{PATH}/statuses/{sha}", {"state": "success"})

        assert [write().status_code for _ in range(3)] == [201, 201, 403]
        refused = write()
        assert "secondary rate limit" in refused.json()["message"]
        assert int(refused.headers["Retry-After"]) == 60
        assert client.get(PATH).status_code == 200
        clock.now += 60
        assert write().status_code == 201
        assert int(write().headers["Retry-After"]) == 3540


def test_too_many_at_once_meet_the_secondary_limit() -> None:
    with StandInGitHub(limits=Limits(concurrent=1)) as github, ThreadPoolExecutor(2) as pool:
        github.add_repository(REPO, FILES)
        client = with_token(github)
        github.fail("slow", seconds=0.5)
        slow = pool.submit(client.get, PATH)
        while not github.api.active:
            time.sleep(0.01)
        refused = client.get(PATH)
        assert (refused.status_code, refused.headers["Retry-After"]) == (403, "60")
        assert slow.result().status_code == 200


@pytest.mark.parametrize(
    ("header", "value", "status"),
    [
        ("user_agent", "", 403),
        ("accept", "text/html", 415),
        ("accept", "application/vnd.github+json", 200),
        ("accept", "application/vnd.github.v3.raw, application/json;q=0.5", 200),
        ("x_github_api_version", "1999-01-01", 400),
        ("x_github_api_version", "2022-11-28", 200),
    ],
)
def test_headers_are_checked(shared: Client, header: str, value: str, status: int) -> None:
    assert shared.get(PATH, **{header: value}).status_code == status


@pytest.mark.parametrize("content", [b"{", b"[]", b'"x"', b"[" * 100_000])
def test_body_that_is_no_object_is_refused(shared: Client, content: bytes) -> None:
    url = f"{shared.github.api_url}{PATH}/check-runs"
    assert shared.http.post(url, content=content, headers=shared.headers).status_code == 400


def test_unknown_route_is_told_and_remembered(github: StandInGitHub, client: Client) -> None:
    answer = client.get(f"{PATH}/nonsense")
    assert (answer.status_code, answer.json()["message"], answer.json()["status"]) == (404, "Not Found", "404")
    client.get(f"{PATH}/pulls/77")
    assert [request.path for request in github.unexpected] == [f"{PATH}/nonsense"]


def test_requests_are_remembered_without_their_secrets(github: StandInGitHub, client: Client) -> None:
    client.post(f"{PATH}/issues/1/comments?x=1", {"body": "hello"})
    said = github.requests[-1]
    assert (said.method, said.path, said.status) == ("POST", f"{PATH}/issues/1/comments", 404)
    assert (said.query, said.body) == ({"x": "1"}, {"body": "hello"})
    token = client.headers["Authorization"].removeprefix("Bearer ")
    assert token not in repr(github.requests)


def test_errors_are_answered_as_ordered(github: StandInGitHub, client: Client) -> None:
    github.fail(path="/contents/", times=2, status=500)
    assert client.get(PATH).status_code == 200
    assert [client.get(f"{PATH}/contents/app.py").status_code for _ in range(3)] == [500, 500, 200]
    github.fail("secondary", method="GET", seconds=7)
    refused = client.get(PATH)
    assert (refused.status_code, refused.headers["Retry-After"]) == (403, "7")


def test_connection_is_cut_as_ordered(github: StandInGitHub, client: Client) -> None:
    github.fail("reset")
    with pytest.raises(httpx.TransportError):
        client.get(PATH)
    assert github.requests[-1].status == 0
    assert client.get(PATH).status_code == 200


def test_answer_can_be_lost_after_the_deed(github: StandInGitHub, client: Client) -> None:
    body = {"name": "assay", "head_sha": github.head(REPO, "main")}
    github.fail("reset", path="/check-runs", after=True)
    with pytest.raises(httpx.TransportError):
        client.post(f"{PATH}/check-runs", body)
    assert len(github.checks(REPO, body["head_sha"])) == 1


def test_answer_comes_late_as_ordered(github: StandInGitHub, client: Client) -> None:
    github.fail("slow", seconds=0.3)
    began = time.monotonic()
    assert client.get(PATH).status_code == 200
    assert time.monotonic() - began >= 0.3


def test_answer_never_comes_as_ordered(github: StandInGitHub, client: Client) -> None:
    body = {"name": "assay", "head_sha": github.head(REPO, "main")}
    github.fail("hang", path="/check-runs", seconds=0.2, after=True)
    began = time.monotonic()
    with pytest.raises(httpx.TransportError):
        client.post(f"{PATH}/check-runs", body)
    assert time.monotonic() - began >= 0.2
    assert len(github.checks(REPO, body["head_sha"])) == 1


def test_refusal_is_worded_as_ordered(github: StandInGitHub, client: Client) -> None:
    github.fail(status=429, message="Slow down", headers=lambda: {"Retry-After": "7"})
    refused = client.get(PATH)
    assert (refused.status_code, refused.json(), refused.headers["Retry-After"]) == (429, {"message": "Slow down"}, "7")
    github.fail(status=502, raw=b"<html>Bad gateway</html>")
    page = client.get(PATH)
    assert (page.status_code, page.text, page.headers["Content-Type"]) == (502, "<html>Bad gateway</html>", "text/html")


@pytest.mark.parametrize(("method", "status"), [("GET", 301), ("POST", 307)])
def test_renamed_repository_says_where_it_is(github: StandInGitHub, client: Client, method: str, status: int) -> None:
    sha = github.head(REPO, "main")
    client.ok("POST", f"{PATH}/check-runs", {"name": "assay", "head_sha": sha})
    github.rename_repository(REPO, "octo/renamed")
    path = f"{PATH}/commits/{sha}/check-runs?filter=all" if method == "GET" else f"{PATH}/check-runs"
    body = None if method == "GET" else {"name": "lint", "head_sha": sha}
    moved = client.call(method, path, body)
    assert moved.status_code == status
    place = moved.headers["Location"].removeprefix(github.api_url)
    assert place.startswith("/repositories/")
    answer = client.ok(method, place, body)
    assert answer["total_count"] == 1 if method == "GET" else answer["name"] == "lint"
    assert github.checks("octo/renamed", sha)[0].name == "assay"
    assert client.get("/repos/octo/renamed").json()["full_name"] == "octo/renamed"


def test_renamed_repository_is_not_told_of_to_strangers(github: StandInGitHub) -> None:
    github.add_repository("acme/other", FILES)
    github.rename_repository(REPO, "octo/renamed")
    assert with_token(github, "acme").get(PATH).status_code == 404


def test_name_that_was_given_up_may_be_taken(github: StandInGitHub) -> None:
    github.rename_repository(REPO, "octo/renamed")
    github.rename_repository("octo/renamed", "octo/again")
    assert with_token(github).get(PATH).status_code == 301
    github.world.repositories["octo/again"].git.path.rename(github.world.root / "elsewhere")
    github.add_repository(REPO, FILES)
    assert with_token(github).get(PATH).json()["full_name"] == REPO
