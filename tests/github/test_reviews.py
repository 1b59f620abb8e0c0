from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from bot.domain.views import InlineComment
from bot.errors import Gone, Refused, Unavailable
from bot.github.reviews import ReviewCommentSeen, Reviews, Thread, to_json
from tests.github.hub import REPOSITORY, SHA, Hub, answer

PULL = f"/repos/{REPOSITORY}/pulls/5"


def inline(first: int, last: int) -> InlineComment:
    return InlineComment(fingerprint="f", path="a.py", start_line=first, end_line=last, body="b")


def thread(number: int, author: dict[str, str] | None, resolved: bool = False) -> dict[str, Any]:
    first = {"fullDatabaseId": str(number + (1 << 33)), "body": f"body {number}", "author": author}
    return {"id": f"T{number}", "isResolved": resolved, "path": "a.py", "comments": {"nodes": [first]}}


def page(nodes: list[Any], end: str | None = None) -> httpx.Response:
    threads = {"pageInfo": {"hasNextPage": end is not None, "endCursor": end}, "nodes": nodes}
    return answer({"data": {"repository": {"pullRequest": {"reviewThreads": threads}}}})


def test_one_line_has_no_start() -> None:
    assert to_json(inline(3, 3)) == {"path": "a.py", "line": 3, "side": "RIGHT", "body": "b"}


def test_several_lines_have_a_start_on_the_same_side() -> None:
    body = to_json(inline(3, 5))
    assert (body["start_line"], body["start_side"], body["line"], body["side"]) == (3, "RIGHT", 5, "RIGHT")


def test_create_posts_one_review_that_neither_approves_nor_blocks() -> None:
    hub = Hub()
    hub.plan("POST", f"{PULL}/reviews", answer({"id": 1}))
    Reviews(hub.api(), REPOSITORY).create(5, SHA, "summary", [inline(1, 1), inline(2, 3)])
    (body,) = hub.bodies("POST", f"{PULL}/reviews")
    assert (body["commit_id"], body["event"], body["body"]) == (SHA, "COMMENT", "summary")
    assert len(body["comments"]) == 2


def test_a_review_outside_the_diff_is_refused() -> None:
    hub = Hub()
    hub.plan("POST", f"{PULL}/reviews", answer({"message": "Unprocessable Entity", "errors": ["Line"]}, 422))
    with pytest.raises(Refused) as caught:
        Reviews(hub.api(), REPOSITORY).create(5, SHA, "", [inline(1, 1)])
    assert caught.value.status == 422


def test_a_review_whose_answer_was_lost_is_not_posted_twice() -> None:
    hub = Hub()
    hub.plan("POST", f"{PULL}/reviews", httpx.ReadTimeout(""), answer({"id": 1}))
    with pytest.raises(Unavailable):
        Reviews(hub.api(), REPOSITORY).create(5, SHA, "", [inline(1, 1)])
    assert len(hub.sent("POST", f"{PULL}/reviews")) == 1


def test_comments() -> None:
    hub = Hub()
    first = {"id": 1, "body": "b", "path": "a.py", "line": 3, "user": {"login": "assay[bot]"}}
    outdated = {"id": 2, "body": "c", "path": "a.py", "line": None, "user": None, "in_reply_to_id": 1}
    hub.plan("GET", f"{PULL}/comments", answer([first, outdated]))
    assert Reviews(hub.api(), REPOSITORY).comments(5) == (
        ReviewCommentSeen(id=1, body="b", path="a.py", line=3, author="assay[bot]", in_reply_to=None),
        ReviewCommentSeen(id=2, body="c", path="a.py", line=None, author="", in_reply_to=1),
    )


def test_reply() -> None:
    hub = Hub()
    hub.plan("POST", f"{PULL}/comments/1/replies", answer({"id": 2}, 201))
    Reviews(hub.api(), REPOSITORY).reply(5, 1, "fixed")
    assert hub.bodies("POST", f"{PULL}/comments/1/replies") == [{"body": "fixed"}]


def test_threads_over_all_pages_with_bots_spelled_as_rest_does() -> None:
    hub = Hub()
    bot, person = {"__typename": "Bot", "login": "assay"}, {"__typename": "User", "login": "mona"}
    empty = {"id": "T4", "isResolved": False, "path": "a.py", "comments": {"nodes": []}}
    hub.plan(
        "POST",
        "/graphql",
        page([thread(1, bot, resolved=True), thread(2, person)], "c"),
        page([thread(3, None), empty]),
    )
    threads = Reviews(hub.api(), REPOSITORY).threads(5)
    assert threads[0] == Thread(
        id="T1",
        resolved=True,
        path="a.py",
        author="assay[bot]",
        first_comment_id=1 + (1 << 33),
        first_comment_body="body 1",
    )
    assert [thread.author for thread in threads] == ["assay[bot]", "mona", "", ""]
    assert threads[3].first_comment_id is None
    sent = [body["variables"] for body in hub.bodies("POST", "/graphql")]
    assert sent == [{"owner": "octo", "name": "spoon", "number": 5, "after": after} for after in (None, "c")]


@pytest.mark.parametrize("repository", [None, {"pullRequest": None}])
def test_threads_of_a_pull_request_that_is_gone(repository: object) -> None:
    hub = Hub()
    hub.plan("POST", "/graphql", answer({"data": {"repository": repository}}))
    with pytest.raises(Gone):
        Reviews(hub.api(), REPOSITORY).threads(5)


def test_resolve_is_repeated_after_a_lost_answer() -> None:
    hub = Hub()
    hub.plan("POST", "/graphql", httpx.ReadError(""), answer({"data": {"resolveReviewThread": {"thread": {}}}}))
    Reviews(hub.api(), REPOSITORY).resolve("T1")
    last = json.loads(hub.requests[-1].content)
    assert last["variables"] == {"thread": "T1"}
    assert "resolveReviewThread(input: {threadId: $thread})" in last["query"]
