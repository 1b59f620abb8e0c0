"""What the stand-in says is held against GitHub's own description of its answers and of its webhooks."""

from __future__ import annotations

from bot.demo.github import StandInGitHub
from tests.contract.openapi import validate_answers, validate_payloads, validate_requests
from tests.demo.client import REPO, Client, as_app, with_token
from tests.demo.receiver import Receiver

NOTE = {"path": "app.py", "start_line": 1, "end_line": 1, "annotation_level": "notice", "message": "m"}
BUTTON = {"label": "Re-run", "description": "Again", "identifier": "rerun"}


def a_check(client: Client, sha: str) -> int:
    """One that ran through."""
    output = {"title": "t", "summary": "s", "annotations": [NOTE]}
    body = {"name": "assay", "head_sha": sha, "status": "queued", "output": output}
    id_ = client.ok("POST", f"/repos/{REPO}/check-runs", body)["id"]
    done = {"status": "completed", "conclusion": "failure", "actions": [BUTTON]}
    client.ok("PATCH", f"/repos/{REPO}/check-runs/{id_}", done)
    return int(id_)


def a_review(client: Client, pull: int) -> int:
    """One comment on line 10, and an answer to it. Returns the comment's id."""
    review = {"event": "COMMENT", "body": "b", "comments": [{"path": "app.py", "line": 10, "body": "hm"}]}
    client.ok("POST", f"/repos/{REPO}/pulls/{pull}/reviews", review)
    id_ = client.ok("GET", f"/repos/{REPO}/pulls/{pull}/comments")[0]["id"]
    client.ok("POST", f"/repos/{REPO}/pulls/{pull}/comments/{id_}/replies", {"body": "well"})
    return int(id_)


def test_answers_have_the_shape_that_github_describes(github: StandInGitHub, client: Client, pull: int) -> None:
    sha, base = github.head(REPO, "topic"), f"/repos/{REPO}"
    run, comment = a_check(client, sha), a_review(client, pull)
    suite = client.ok("GET", f"{base}/check-runs/{run}")["check_suite"]["id"]
    client.ok("POST", f"{base}/check-runs/{run}/rerequest")
    client.ok("POST", f"{base}/check-suites/{suite}/rerequest")
    client.ok("POST", f"{base}/statuses/{sha}", {"state": "success"})
    note = client.ok("POST", f"{base}/issues/{pull}/comments", {"body": "hello"})["id"]
    client.ok("PATCH", f"{base}/issues/comments/{note}", {"body": "hello again"})
    client.ok("PATCH", f"{base}/pulls/comments/{comment}", {"body": "hm hm"})
    single = {"path": "app.py", "line": 25, "commit_id": sha, "body": "here"}
    client.ok("POST", f"{base}/pulls/{pull}/comments", single)
    review = client.ok("GET", f"{base}/pulls/{pull}/reviews")[0]["id"]
    client.ok("PUT", f"{base}/pulls/{pull}/reviews/{review}", {"body": "better"})
    for path in (
        "",
        f"/check-runs/{run}/annotations",
        f"/check-suites/{suite}",
        f"/check-suites/{suite}/check-runs",
        f"/commits/{sha}/check-runs",
        f"/commits/{sha}/check-suites",
        f"/commits/{sha}/statuses",
        f"/commits/{sha}/status",
        f"/commits/{sha}/pulls",
        f"/commits/{sha}",
        "/pulls",
        f"/pulls/{pull}",
        f"/pulls/{pull}/files",
        f"/pulls/{pull}/commits",
        f"/pulls/{pull}/reviews/{review}/comments",
        f"/pulls/comments/{comment}",
        f"/issues/{pull}/comments",
        f"/issues/comments/{note}",
        "/contents/app.py",
        "/contents/docs",
        "/compare/main...topic",
        "/branches/main",
        "/activity",
        "/git/ref/heads/main",
        "/collaborators/alice/permission",
    ):
        client.ok("GET", base + path)
    client.ok("DELETE", f"{base}/pulls/comments/{comment}")
    client.ok("DELETE", f"{base}/issues/comments/{note}")
    assert github.unexpected == []
    assert validate_requests(github.requests) == []
    assert validate_answers(github.requests) == []


def test_answers_about_the_app_have_the_shape_that_github_describes(github: StandInGitHub) -> None:
    app, client = as_app(github), with_token(github, repositories=["demo"])
    id_ = github.installation("octo")
    with Receiver() as receiver:
        github.webhook_url = receiver.url
        github.ping()
        for path in ("/app", "/app/installations", f"/app/installations/{id_}", f"/repos/{REPO}/installation"):
            app.ok("GET", path)
        app.ok("GET", "/app/hook/config")
        delivery = app.ok("GET", "/app/hook/deliveries")[0]["id"]
        app.ok("GET", f"/app/hook/deliveries/{delivery}")
        app.ok("POST", f"/app/hook/deliveries/{delivery}/attempts")
        github.hook.settle()
    client.ok("GET", "/installation/repositories")
    client.ok("GET", "/users/assay-demo[bot]")
    client.ok("DELETE", "/installation/token")
    assert validate_requests(github.requests) == []
    # In lists of installations the description wants an account to be a user and an enterprise at once.
    known_gap = "GET /app/installations: $[0].account"
    assert [problem for problem in validate_answers(github.requests) if known_gap not in problem] == []


def test_payloads_have_the_shape_that_github_describes(github: StandInGitHub, client: Client) -> None:
    with Receiver() as receiver:
        github.webhook_url = receiver.url
        tell_everything(github, client)
        github.hook.settle()
    told = {(delivery.event, delivery.payload.get("action")) for delivery in github.deliveries}
    assert len(told) > 20
    assert all(delivery.ok for delivery in github.deliveries)
    # GitHub's list of an App's events lacks one that its Apps can subscribe to.
    known_gap = "'merge_group' is not one of"
    assert [problem for problem in validate_payloads(github.deliveries) if known_gap not in problem] == []


def tell_everything(github: StandInGitHub, client: Client) -> None:
    """Every verb once."""
    github.ping()
    github.push(REPO, "topic", {"app.py": "new\n", "more.py": "x = 1\n"})
    github.push_tag(REPO, "v1", github.head(REPO, "main"))
    pull = github.open_pull(REPO, "topic", draft=True)
    github.mark_ready(REPO, pull)
    github.to_draft(REPO, pull)
    github.update(REPO, pull, {"app.py": "newer\n"})
    github.edit_pull(REPO, pull, title="Better", body="Told")
    github.push(REPO, "other", {})
    github.retarget(REPO, pull, "other")
    github.close_pull(REPO, pull)
    github.reopen(REPO, pull)
    github.comment(REPO, pull, "/assay rerun")
    run = a_check(client, github.head(REPO, "topic"))
    github.click_action(run, "rerun")
    github.click_rerun(run)
    github.rerequest_suite(REPO, github.head(REPO, "topic"))
    a_check(client, github.head(REPO, "other"))
    note = client.ok("POST", f"/repos/{REPO}/issues/{pull}/comments", {"body": "hello"})["id"]
    client.ok("PATCH", f"/repos/{REPO}/issues/comments/{note}", {"body": "hello again"})
    github.merge_group(REPO, pull)
    fork = github.fork(REPO, "mallory")
    github.push(fork, "evil", {"evil.py": "x\n"}, author="mallory")
    github.open_pull(REPO, "evil", author="mallory", head_repo=fork)
    github.close_pull(REPO, pull, merged=True)
    github.push(REPO, "topic", {"app.py": "forced\n"}, parent=github.head(REPO, "main"))
    github.delete_branch(REPO, "topic")
    github.announce_installation("octo", "created")
    github.announce_installation("octo", "deleted")
