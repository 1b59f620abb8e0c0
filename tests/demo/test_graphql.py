"""Review threads through GraphQL."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from bot.demo.github import StandInGitHub
from tests.demo.client import FILES, REPO, Client, with_token

THREADS = """
query Threads($owner: String!, $name: String!, $number: Int!, $after: String) {
  repository(owner: $owner, name: $name) {
    pullRequest(number: $number) {
      reviewThreads(first: 2, after: $after) {  # two at a time
        nodes { id, isResolved isOutdated path line comments(first: 1) { nodes { databaseId body author { login } } } }
        pageInfo { hasNextPage endCursor }
      }
    }
  }
}
"""
RESOLVE = "mutation($id: ID!) { resolveReviewThread(input: {threadId: $id}) { thread { id isResolved } } }"


def ask(client: Client, query: str, path: str = "/api/graphql", **variables: Any) -> dict[str, Any]:
    body = {"query": query, "variables": variables}
    answer: httpx.Response = client.http.post(client.github.url + path, json=body, headers=client.headers)
    assert answer.status_code == 200
    told: dict[str, Any] = answer.json()
    return told


def threads(client: Client, pull: int, after: str | None = None) -> dict[str, Any]:
    told = ask(client, THREADS, owner="octo", name="demo", number=pull, after=after)
    shown: dict[str, Any] = told["data"]["repository"]["pullRequest"]["reviewThreads"]
    return shown


@pytest.fixture
def reviewed(client: Client, pull: int) -> int:
    """The pull request with three threads."""
    comments = [{"path": "app.py", "line": line, "body": f"on {line}"} for line in (10, 11, 25)]
    client.ok("POST", f"/repos/{REPO}/pulls/{pull}/reviews", {"event": "COMMENT", "body": "b", "comments": comments})
    return pull


def test_threads_come_in_pages(github: StandInGitHub, client: Client, reviewed: int) -> None:
    first = threads(client, reviewed)
    assert first["pageInfo"]["hasNextPage"]
    second = threads(client, reviewed, first["pageInfo"]["endCursor"])
    assert not second["pageInfo"]["hasNextPage"]
    nodes = first["nodes"] + second["nodes"]
    assert [node["line"] for node in nodes] == [10, 11, 25]
    comment = github.review_comments(REPO, reviewed)[0]
    # A bot's login has no suffix here.
    said = {"databaseId": comment.id, "body": "on 10", "author": {"login": "assay-demo"}}
    assert nodes[0]["comments"]["nodes"] == [said]


def test_thread_is_resolved_and_opened_again(github: StandInGitHub, client: Client, reviewed: int) -> None:
    id_ = threads(client, reviewed)["nodes"][1]["id"]
    told = ask(client, RESOLVE, id=id_)
    assert told["data"]["resolveReviewThread"]["thread"] == {"id": id_, "isResolved": True}
    assert [thread.resolved for thread in github.threads(REPO, reviewed)] == [False, True, False]
    ask(client, RESOLVE.replace("resolveReview", "unresolveReview"), path="/api/v3/graphql", id=id_)
    assert not any(thread.resolved for thread in github.threads(REPO, reviewed))


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ('{ repository(owner: "octo", name: "demo") { stars } }', "'stars' doesn't exist on type 'Repository'"),
        ('{ repository(owner: "octo", name: "gone") { id } }', "Not Found"),
        ("{ viewer }", "must have selections"),
        ("{ viewer { login { x } } }", "scalars"),
        ("{ viewer { login ", "Unexpected end"),
        ("subscription { viewer { login } }", "Unknown operation"),
        ('query($a: ID!) { repository(owner: $b, name: "demo") { id } }', "$b was not provided"),
        (THREADS.replace("first: 2, ", ""), "must provide a `first`"),
        (THREADS.replace("first: 2", "first: 101"), "exceeds"),
        ('mutation { resolveReviewThread(input: {threadId: "PRRT_x"}) { thread { id } } }', "global id"),
        ("mutation { addStar(input: {}) { thread { id } } }", "'addStar' doesn't exist"),
        ("{ viewer; }", "Unexpected character"),
    ],
)
def test_wrong_query_is_told(shared: Client, shared_pull: int, query: str, words: str) -> None:
    told = ask(shared, query, owner="octo", name="demo", number=shared_pull, after=None)
    assert told["data"] is None
    assert words in told["errors"][0]["message"]


def test_resolving_needs_to_write_pull_requests(github: StandInGitHub, client: Client, reviewed: int) -> None:
    id_ = threads(client, reviewed)["nodes"][0]["id"]
    told = ask(with_token(github, permissions={"pull_requests": "read"}), RESOLVE, id=id_)
    assert told["errors"][0] == {"type": "FORBIDDEN", "message": "Resource not accessible by integration"}


def test_resolving_can_be_made_to_need_more() -> None:
    """GitHub itself wants `contents: write` for it, whatever its documentation says."""
    needs = {"pull_requests": "write", "contents": "write"}
    with StandInGitHub(resolving_needs=needs) as github:
        github.add_repository(REPO, FILES)
        github.push(REPO, "topic", {"app.py": "new\n"})
        pull, client = github.open_pull(REPO, "topic"), with_token(github)
        body = {"event": "COMMENT", "body": "b", "comments": [{"path": "app.py", "line": 1, "body": "hm"}]}
        client.ok("POST", f"/repos/{REPO}/pulls/{pull}/reviews", body)
        told = ask(client, RESOLVE, id=github.threads(REPO, pull)[0].id)
        assert told["errors"][0]["type"] == "FORBIDDEN"


def test_threads_of_other_repositories_are_unknown(github: StandInGitHub, client: Client, reviewed: int) -> None:
    github.add_repository("octo/second", FILES)
    stranger = with_token(github, repositories=["second"])
    told = ask(stranger, THREADS, owner="octo", name="demo", number=reviewed, after=None)
    assert told["errors"][0]["type"] == "NOT_FOUND"
    told = ask(stranger, RESOLVE, id=threads(client, reviewed)["nodes"][0]["id"])
    assert told["errors"][0]["type"] == "NOT_FOUND"
