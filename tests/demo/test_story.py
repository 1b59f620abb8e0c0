"""What people do, and the webhooks that tell of it."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from urllib.parse import parse_qs

import pytest

from bot.demo.github import StandInGitHub
from tests.demo.client import FILES, REPO, Client, Clock, as_app
from tests.demo.receiver import Receiver

ZEROS = "0" * 40


@pytest.fixture
def receiver(github: StandInGitHub) -> Iterator[Receiver]:
    with Receiver() as receiver:
        github.webhook_url = receiver.url
        yield receiver


def told(github: StandInGitHub) -> list[str]:
    """What was delivered since this was last asked, as `event.action`."""
    github.hook.settle()
    said = [f"{one.event}.{one.payload.get('action', '')}".rstrip(".") for one in github.deliveries]
    github.hook.log.clear()
    return said


def test_delivery_is_signed_over_its_bytes(github: StandInGitHub, receiver: Receiver) -> None:
    delivery = github.ping()
    assert delivery is not None
    headers, body = receiver.received[0]
    key = github.webhook_secret.encode()
    assert headers["X-Hub-Signature-256"] == "sha256=" + hmac.new(key, body, hashlib.sha256).hexdigest()
    assert headers["X-Hub-Signature"] == "sha1=" + hmac.new(key, body, hashlib.sha1).hexdigest()
    assert (headers["X-GitHub-Event"], headers["X-GitHub-Delivery"]) == ("ping", delivery.guid)
    assert headers["X-GitHub-Hook-Installation-Target-ID"] == str(github.app_id)
    assert headers["User-Agent"].startswith("GitHub-Hookshot/")
    assert (delivery.status, delivery.status_code) == ("OK", 202)


def test_delivery_may_be_form_encoded(github: StandInGitHub, receiver: Receiver) -> None:
    github.hook.content_type = "form"
    github.deliver("star", {"text": "a+b&c"}, guid="same")
    headers, body = receiver.received[0]
    assert headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert json.loads(parse_qs(body.decode())["payload"][0]) == {"text": "a+b&c"}


def test_nothing_is_sent_without_an_address(github: StandInGitHub) -> None:
    github.push(REPO, "topic", {"a.py": "a\n"})
    assert github.ping() is None
    assert github.deliveries == []


def test_push_tells_of_commit_and_suite_and_pull_request(github: StandInGitHub, receiver: Receiver) -> None:
    github.push(REPO, "topic", {"a.py": "a\n"})
    assert told(github) == ["push", "check_suite.requested"]
    number = github.open_pull(REPO, "topic")
    assert told(github) == ["pull_request.opened"]
    before = github.head(REPO, "topic")
    after = github.update(REPO, number, {"a.py": "b\n"})
    payload = github.deliveries[-1].payload
    assert (payload["before"], payload["after"], payload["pull_request"]["head"]["sha"]) == (before, after, after)
    assert told(github) == ["push", "check_suite.requested", "pull_request.synchronize"]


def test_push_tells_what_it_changed(github: StandInGitHub, receiver: Receiver) -> None:
    github.push(REPO, "main", {"app.py": None, "new.py": "x\n", "docs/read.md": "# Other\n"})
    payload = github.deliveries[0].payload
    (commit,) = payload["commits"]
    assert (commit["added"], commit["removed"], commit["modified"]) == (["new.py"], ["app.py"], ["docs/read.md"])
    assert (payload["created"], payload["deleted"], payload["forced"]) == (False, False, False)
    assert payload["installation"]["id"] == github.installation("octo")
    assert payload["sender"]["login"] == payload["pusher"]["name"] == "alice"


def test_force_push_new_branch_tag_and_deletion_are_told_apart(github: StandInGitHub, receiver: Receiver) -> None:
    first = github.head(REPO, "main")
    github.push(REPO, "main", {"a.py": "a\n"})
    github.push(REPO, "main", {"a.py": "b\n"}, parent=first)
    github.push(REPO, "topic", sha=first)
    github.push_tag(REPO, "v1", first)
    github.delete_branch(REPO, "topic")
    pushes = [one.payload for one in github.deliveries if one.event == "push"]
    assert [push["forced"] for push in pushes] == [False, True, False, False, False]
    assert [push["created"] for push in pushes] == [False, False, True, True, False]
    assert [push["deleted"] for push in pushes] == [False, False, False, False, True]
    assert [push["ref"] for push in pushes[2:]] == ["refs/heads/topic", "refs/tags/v1", "refs/heads/topic"]
    assert (pushes[2]["before"], pushes[4]["after"], pushes[4]["head_commit"]) == (ZEROS, ZEROS, None)


def test_commit_is_silent_although_the_pull_request_moves(
    github: StandInGitHub, client: Client, receiver: Receiver, pull: int
) -> None:
    told(github)
    sha = github.commit(REPO, "topic", {"a.py": "a\n"})
    assert told(github) == []
    assert client.ok("GET", f"/repos/{REPO}/pulls/{pull}")["head"]["sha"] == sha


def test_life_of_a_pull_request(github: StandInGitHub, receiver: Receiver, pull: int) -> None:
    told(github)
    github.to_draft(REPO, pull)
    github.mark_ready(REPO, pull)
    github.edit_pull(REPO, pull, title="Other")
    assert github.deliveries[-1].payload["changes"] == {"title": {"from": "Change two lines"}}
    github.push(REPO, "other", sha=github.head(REPO, "main"))
    github.retarget(REPO, pull, "other")
    assert github.deliveries[-1].payload["changes"]["base"]["ref"] == {"from": "main"}
    github.close_pull(REPO, pull)
    github.reopen(REPO, pull)
    github.close_pull(REPO, pull, merged=True)
    payload = [one.payload for one in github.deliveries if one.event == "pull_request"][-1]
    assert payload["pull_request"]["merged"]
    assert github.head(REPO, "other") == payload["pull_request"]["merge_commit_sha"]
    times = [one.payload["pull_request"]["updated_at"] for one in github.deliveries if one.event == "pull_request"]
    assert times == sorted(set(times))
    actions = ["converted_to_draft", "ready_for_review", "edited", "edited", "closed", "reopened", "closed"]
    assert [one for one in told(github) if one.startswith("pull_request")] == [f"pull_request.{a}" for a in actions]
    with pytest.raises(ValueError, match="reopened"):
        github.reopen(REPO, pull)


def test_deleted_branch_closes_its_pull_request(github: StandInGitHub, receiver: Receiver, pull: int) -> None:
    told(github)
    github.delete_branch(REPO, "topic")
    assert told(github) == ["push", "pull_request.closed"]


def test_fork_tells_of_pull_requests_only(github: StandInGitHub, receiver: Receiver) -> None:
    fork = github.fork(REPO, "mallory")
    github.push(fork, "evil", {"evil.py": "x\n"}, author="mallory")
    assert told(github) == []
    number = github.open_pull(REPO, "evil", author="mallory", head_repo=fork)
    payload = github.deliveries[-1].payload
    assert payload["pull_request"]["head"]["repo"]["full_name"] == "mallory/demo"
    assert payload["repository"]["full_name"] == REPO
    github.update(REPO, number, {"evil.py": "y\n"}, author="mallory")
    assert told(github) == ["pull_request.opened", "pull_request.synchronize"]


def test_merge_queue_asks_for_checks(github: StandInGitHub, receiver: Receiver, pull: int) -> None:
    told(github)
    sha = github.merge_group(REPO, pull)
    group = github.deliveries[-1].payload["merge_group"]
    assert (group["head_sha"], group["base_ref"]) == (sha, "refs/heads/main")
    assert group["head_ref"].startswith("refs/heads/gh-readonly-queue/main/pr-")
    assert told(github) == ["push", "check_suite.requested", "merge_group.checks_requested"]


def test_buttons_are_told(github: StandInGitHub, client: Client, receiver: Receiver) -> None:
    sha = github.head(REPO, "main")
    button = {"label": "Fix", "description": "Apply fixes", "identifier": "fix"}
    made = client.ok("POST", f"/repos/{REPO}/check-runs", {"name": "assay", "head_sha": sha, "actions": [button]})
    with pytest.raises(ValueError, match="no button"):
        github.click_action(made["id"], "fix")
    client.ok("PATCH", f"/repos/{REPO}/check-runs/{made['id']}", {"conclusion": "failure"})
    assert told(github) == ["check_run.created", "check_run.completed", "check_suite.completed"]
    github.click_action(made["id"], "fix", author="bob")
    payload = github.deliveries[-1].payload
    assert (payload["requested_action"], payload["sender"]["login"]) == ({"identifier": "fix"}, "bob")
    assert payload["check_run"]["check_suite"]["head_sha"] == sha
    with pytest.raises(ValueError, match="no button"):
        github.click_action(made["id"], "other")
    github.click_rerun(made["id"])
    github.rerequest_suite(REPO, sha)
    assert told(github) == ["check_run.requested_action", "check_run.rerequested", "check_suite.rerequested"]


def test_bot_hears_of_its_own_comment(github: StandInGitHub, client: Client, receiver: Receiver, pull: int) -> None:
    told(github)
    client.ok("POST", f"/repos/{REPO}/issues/{pull}/comments", {"body": "hello"})
    github.hook.settle()
    assert github.deliveries[-1].payload["sender"]["type"] == "Bot"
    github.comment(REPO, pull, "/assay rerun", author="bob")
    assert github.deliveries[-1].payload["comment"]["user"]["login"] == "bob"
    assert told(github) == ["issue_comment.created", "issue_comment.created"]


def test_unsubscribed_event_is_not_sent() -> None:
    with StandInGitHub(events=("push",)) as github, Receiver() as receiver:
        github.add_repository(REPO, FILES)
        github.webhook_url = receiver.url
        github.push(REPO, "topic", {"a.py": "a\n"})
        github.open_pull(REPO, "topic")
        assert told(github) == ["push", "check_suite.requested"]


def test_failed_delivery_is_listed_and_sent_again_with_its_guid(github: StandInGitHub, receiver: Receiver) -> None:
    github.lose_deliveries(1)
    github.ping()
    receiver.status = 500
    github.ping()
    receiver.status = 202
    github.ping()
    app = as_app(github)
    listed = app.ok("GET", "/app/hook/deliveries")
    assert [one["status_code"] for one in listed] == [202, 500, 0]
    failed = app.ok("GET", "/app/hook/deliveries?status=failure")
    assert [one["status"] for one in failed] == ["Invalid HTTP Response: 500", "failed to connect to host"]
    app.ok("POST", f"/app/hook/deliveries/{failed[1]['id']}/attempts")
    github.hook.settle()
    again = app.ok("GET", "/app/hook/deliveries")[0]
    assert (again["guid"], again["redelivery"], again["status_code"]) == (failed[1]["guid"], True, 202)
    assert receiver.received[-1][0]["X-GitHub-Delivery"] == failed[1]["guid"]
    assert app.post("/app/hook/deliveries/1/attempts").status_code == 404


def test_deliveries_are_paged_by_cursor(github: StandInGitHub, receiver: Receiver) -> None:
    for _ in range(3):
        github.ping()
    app = as_app(github)
    first = app.get("/app/hook/deliveries?per_page=2")
    following = first.links["next"]["url"].removeprefix(github.api_url)
    assert len(first.json()) == 2
    assert [one["id"] for one in app.ok("GET", following)] == [github.deliveries[0].id]
    assert app.get("/app/hook/deliveries?cursor=x").status_code == 422


def test_delivery_to_nobody_is_logged(github: StandInGitHub) -> None:
    github.webhook_url = "http://127.0.0.1:9/webhook"
    delivery = github.ping()
    assert delivery is not None
    assert (delivery.ok, delivery.status) == (False, "failed to connect to host")


def test_deliveries_are_let_go_after_three_days() -> None:
    clock = Clock()
    with StandInGitHub(clock=clock, webhook_url="http://127.0.0.1:1/") as github:
        delivery = github.ping()
        assert delivery is not None
        clock.now += 3 * 86400 - 60
        assert [listed["guid"] for listed in as_app(github).ok("GET", "/app/hook/deliveries")] == [delivery.guid]
        clock.now += 61
        app = as_app(github)
        assert app.ok("GET", "/app/hook/deliveries") == []
        assert app.post(f"/app/hook/deliveries/{delivery.id}/attempts").status_code == 404
