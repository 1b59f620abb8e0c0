"""Pull requests, comments and reviews: nothing outside the diff, all of a review or none of it."""

from __future__ import annotations

from typing import Any

import pytest

from bot.demo.github import StandInGitHub
from tests.demo.client import FILES, REPO, Client, with_token

BOT = "assay-demo[bot]"


def place(**more: Any) -> dict[str, Any]:
    return {"path": "app.py", "line": 10, "side": "RIGHT", "body": "hm", **more}


def review(*comments: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"event": "COMMENT", "body": "Some remarks", "comments": list(comments), **more}


def reviews(pull: int) -> str:
    return f"/repos/{REPO}/pulls/{pull}/reviews"


def test_pull_request_counts_its_three_dot_diff(github: StandInGitHub, client: Client, pull: int) -> None:
    told = client.ok("GET", f"/repos/{REPO}/pulls/{pull}")
    assert (told["additions"], told["deletions"], told["changed_files"], told["commits"]) == (2, 2, 1, 1)
    assert told["base"]["sha"] == github.head(REPO, "main") != client.ok("GET", f"/repos/{REPO}/compare/main...topic")
    assert (told["mergeable"], told["author_association"], told["user"]["login"]) == (True, "MEMBER", "alice")
    files = client.ok("GET", f"/repos/{REPO}/pulls/{pull}/files")
    assert [(file["filename"], file["status"], file["patch"][:12]) for file in files] == [
        ("app.py", "modified", "@@ -7,7 +7,7")
    ]


def test_pull_request_that_conflicts_says_so(github: StandInGitHub, client: Client, pull: int) -> None:
    github.push(REPO, "main", {"app.py": FILES["app.py"].replace("line 10\n", "other 10\n")})
    github.update(REPO, pull, {"more.py": "x\n"})
    told = client.ok("GET", f"/repos/{REPO}/pulls/{pull}")
    assert (told["mergeable"], told["mergeable_state"], told["merge_commit_sha"]) == (False, "dirty", None)


def test_pull_requests_are_listed_by_state_head_and_base(github: StandInGitHub, client: Client, pull: int) -> None:
    def numbers(query: str) -> list[int]:
        return [told["number"] for told in client.ok("GET", f"/repos/{REPO}/pulls?{query}")]

    github.push(REPO, "second", {"b.py": "b\n"})
    other = github.open_pull(REPO, "second", "topic")
    assert numbers("") == [other, pull]
    assert numbers("base=topic") == [other]
    assert numbers("head=octo:topic") == [pull]
    github.close_pull(REPO, pull)
    assert numbers("") == [other]
    assert numbers("state=all&sort=updated&direction=desc") == [pull, other]


def test_commit_leads_to_its_open_pull_requests(github: StandInGitHub, client: Client, pull: int) -> None:
    first = github.head(REPO, "topic")
    github.update(REPO, pull, {"b.py": "b\n"})
    path = f"/repos/{REPO}/commits/{{}}/pulls"
    assert [told["number"] for told in client.ok("GET", path.format(first))] == [pull]
    assert client.ok("GET", path.format(github.head(REPO, "main"))) == []
    assert client.get(path.format("0" * 40)).status_code == 422


def test_comments_are_the_bots_and_paged(github: StandInGitHub, client: Client, pull: int) -> None:
    path = f"/repos/{REPO}/issues/{pull}/comments"
    github.comment(REPO, pull, "by a person")
    made = client.ok("POST", path, {"body": "x" * 65_536})
    assert (made["user"]["login"], made["user"]["type"]) == (BOT, "Bot")
    client.ok("PATCH", f"/repos/{REPO}/issues/comments/{made['id']}", {"body": "edited"})
    assert [comment.body for comment in github.comments(REPO, pull)] == ["by a person", "edited"]
    first = client.get(f"{path}?per_page=1")
    assert f'{path}?per_page=1&page=2>; rel="next"' in first.headers["Link"]
    assert client.ok("GET", f"{path}?per_page=1&page=2")[0]["id"] == made["id"]
    client.ok("DELETE", f"/repos/{REPO}/issues/comments/{made['id']}")
    assert client.get(f"/repos/{REPO}/issues/comments/{made['id']}").status_code == 404


def test_what_people_wrote_is_not_ours_to_edit(github: StandInGitHub, client: Client, pull: int) -> None:
    written = github.comment(REPO, pull, "mine")
    assert client.patch(f"/repos/{REPO}/issues/comments/{written}", {"body": "x"}).status_code == 403


@pytest.mark.parametrize("body", [{}, {"body": ""}, {"body": None}, {"body": "x" * 65_537}, {"text": "x"}], ids=len)
def test_comment_beyond_the_limits_is_refused(shared: Client, shared_pull: int, body: dict[str, Any]) -> None:
    assert shared.post(f"/repos/{REPO}/issues/{shared_pull}/comments", body).status_code == 422


def test_comment_on_nothing_is_refused(shared: Client) -> None:
    assert shared.post(f"/repos/{REPO}/issues/99/comments", {"body": "x"}).status_code == 404


def test_review_lies_on_lines_of_the_diff(github: StandInGitHub, client: Client, pull: int) -> None:
    sha = github.head(REPO, "topic")
    body = review(place(), place(line=13), place(start_line=24, line=26, start_side="RIGHT"), commit_id=sha)
    made = client.ok("POST", reviews(pull), body)
    assert (made["state"], made["commit_id"], made["user"]["login"]) == ("COMMENTED", sha, BOT)
    shown = client.ok("GET", f"/repos/{REPO}/pulls/{pull}/comments")
    assert [(told["start_line"], told["line"], told["pull_request_review_id"]) for told in shown] == [
        (None, 10, made["id"]),
        (None, 13, made["id"]),
        (24, 26, made["id"]),
    ]
    assert shown[0]["diff_hunk"].startswith("@@ -7,7 +7,7 @@")


@pytest.mark.parametrize(
    "comment",
    [
        place(line=14),
        place(line=1),
        place(line=0),
        place(line=31),
        place(line=None),
        {"path": "app.py", "body": "hm"},
        place(path="docs/read.md", line=1),
        place(path="docs/more.md", line=1),
        place(path="missing.py"),
        place(path="/app.py"),
        place(start_line=10),
        place(start_line=11),
        place(start_line=5),
        place(start_line=10, line=25),
        place(body=""),
        place(side="MIDDLE"),
        place(position=3),
    ],
    ids=str,
)
def test_comment_outside_the_diff_refuses_the_entire_review(
    shared: Client, shared_pull: int, comment: dict[str, Any]
) -> None:
    assert shared.post(reviews(shared_pull), review(place(), comment)).status_code == 422
    assert shared.github.reviews(REPO, shared_pull) == []
    assert shared.github.review_comments(REPO, shared_pull) == []


def test_comment_on_a_removed_line_lies_on_the_left(client: Client, pull: int) -> None:
    assert client.post(reviews(pull), review(place(side="LEFT"))).status_code == 200
    assert client.post(reviews(pull), review(place(side="LEFT", line=20))).status_code == 422


def test_review_needs_words_and_a_commit_of_the_pull_request(shared: Client, shared_pull: int) -> None:
    main = shared.github.head(REPO, "main")
    for wrong in ({"body": ""}, {"commit_id": main}, {"event": "LIKE"}):
        assert shared.post(reviews(shared_pull), review(place(), **wrong)).status_code == 422


def test_pending_review_is_not_shown_and_there_is_but_one(github: StandInGitHub, client: Client, pull: int) -> None:
    pending = {"comments": [place()]}
    assert client.ok("POST", reviews(pull), pending)["state"] == "PENDING"
    assert client.post(reviews(pull), pending).status_code == 422
    assert github.review_comments(REPO, pull) == []


def test_thread_follows_its_line_until_the_line_changes(github: StandInGitHub, client: Client, pull: int) -> None:
    client.ok("POST", reviews(pull), review(place()))
    comment = github.review_comments(REPO, pull)[0]
    lines = FILES["app.py"].replace("line 10\n", "changed 10\n").replace("line 25\n", "changed 25\n")
    github.update(REPO, pull, {"app.py": "new first\n" + lines})
    assert [(thread.line, thread.outdated) for thread in github.threads(REPO, pull)] == [(11, False)]
    github.update(REPO, pull, {"app.py": FILES["app.py"].replace("line 25\n", "changed 25\n")})
    assert [(thread.line, thread.outdated) for thread in github.threads(REPO, pull)] == [(None, True)]
    told = client.ok("GET", f"/repos/{REPO}/pulls/comments/{comment.id}")
    assert (told["line"], told["original_line"], told["position"]) == (None, 10, None)


def test_answers_join_the_thread(github: StandInGitHub, client: Client, pull: int) -> None:
    client.ok("POST", reviews(pull), review(place()))
    root = github.review_comments(REPO, pull)[0].id
    said = github.reply(root, "why?")
    path = f"/repos/{REPO}/pulls/{pull}/comments"
    assert client.ok("POST", f"{path}/{root}/replies", {"body": "because"})["in_reply_to_id"] == root
    assert client.post(f"{path}/{said}/replies", {"body": "no"}).status_code == 404
    (thread,) = github.threads(REPO, pull)
    assert [(comment.author.login, comment.body) for comment in thread.comments] == [
        (BOT, "hm"),
        ("alice", "why?"),
        (BOT, "because"),
    ]


def test_single_comment_may_be_on_a_whole_file(github: StandInGitHub, client: Client, pull: int) -> None:
    body = {"path": "app.py", "body": "hm", "commit_id": github.head(REPO, "topic"), "subject_type": "file"}
    made = client.ok("POST", f"/repos/{REPO}/pulls/{pull}/comments", body)
    assert (made["line"], made["subject_type"]) == (None, "file")
    told = client.ok("POST", f"/repos/{REPO}/pulls/{pull}/comments/{made['id']}/replies", {"body": "well"})
    assert (told["line"], told["in_reply_to_id"]) == (None, made["id"])


def test_reviews_need_the_permission(github: StandInGitHub, pull: int) -> None:
    reader = with_token(github, permissions={"pull_requests": "read", "issues": "write"})
    assert reader.get(reviews(pull)).status_code == 200
    assert reader.post(reviews(pull), review(place())).status_code == 403


def test_pull_request_of_a_fork_shows_its_head_in_the_base(github: StandInGitHub, client: Client) -> None:
    fork = github.fork(REPO, "mallory")
    sha = github.push(fork, "evil", {"app.py": FILES["app.py"].replace("line 3\n", "evil\n")}, author="mallory")
    number = github.open_pull(REPO, "evil", author="mallory", head_repo=fork)
    told = client.ok("GET", f"/repos/{REPO}/pulls/{number}")
    assert (told["head"]["repo"]["full_name"], told["head"]["repo"]["fork"]) == (fork, True)
    assert (told["head"]["label"], told["author_association"]) == ("mallory:evil", "NONE")
    assert client.ok("GET", f"/repos/{REPO}/git/ref/pull/{number}/head")["object"]["sha"] == sha
    assert client.post(reviews(number), review(place(line=3))).status_code == 200
    assert client.get(f"/repos/{fork}").status_code == 404
