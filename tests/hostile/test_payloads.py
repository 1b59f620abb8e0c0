"""Webhooks, signed or not, that say more than they may: each is refused or ignored, and nothing of it is repeated."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bot.domain.commands import Approve
from bot.errors import Theirs
from bot.github.names import to_path
from bot.github.payloads import parse
from bot.github.received import CommandGiven, GateAnswered, Ignored

APP, BOT, SHA = 4711, "assay[bot]", "c0ffee" + "0" * 34
CANARY = "canary-91f3"
COMMON: dict[str, Any] = {
    "installation": {"id": 7},
    "repository": {"id": 99, "full_name": "octo/spoon", "default_branch": "main"},
    "sender": {"login": "mallory", "type": "User"},
}


def read(event: str, payload: object) -> object:
    return parse(event, json.dumps(payload).encode(), APP, BOT)


def push(**changes: Any) -> dict[str, Any]:
    flags = {"created": False, "deleted": False, "forced": False}
    return COMMON | flags | {"ref": "refs/heads/main", "before": "a" * 40, "after": SHA} | changes


def check_run(app: int = APP, button: str = "approve", **changes: Any) -> dict[str, Any]:
    run = {"name": "assay", "head_sha": SHA, "external_id": "", "app": {"id": app}}
    return (
        COMMON | {"action": "requested_action", "requested_action": {"identifier": button}, "check_run": run} | changes
    )


def comment(body: str, action: str = "created", kind: str = "User", author: str = "alice") -> dict[str, Any]:
    said = {"id": 5, "body": body, "user": {"login": author, "type": kind}}
    return COMMON | {"action": action, "issue": {"number": 1, "pull_request": {}}, "comment": said}


def repository(name: str) -> dict[str, Any]:
    return {"repository": {"id": 99, "full_name": name, "default_branch": "main"}}


@pytest.mark.parametrize(
    "payload",
    [
        push(**repository(f"../../{CANARY}")),
        push(**repository(f"octo/spoon/../../{CANARY}")),
        push(**repository(f"octo/{CANARY}\r\nHost: evil.example")),
        push(**repository("octo/..")),
        push(after=f"--upload-pack=touch {CANARY}"),
        push(after=f"main; touch {CANARY}"),
        push(after="C0FFEE" + "0" * 34),
        push(after=SHA[:7]),
        push(installation={"id": -1}),
        push(installation={"id": 1 << 80}),
        push(installation={"id": f"7 or {CANARY}"}),
        push(installation={"id": True}),
        push(ref=CANARY * 500),
        push(repository=[[CANARY]]),
        push(sender={"login": {"$gt": CANARY}}),
    ],
    ids=lambda payload: None,
)
def test_a_payload_of_another_shape_is_refused_and_not_repeated(payload: dict[str, Any]) -> None:
    with pytest.raises(Theirs) as raised:
        read("push", payload)
    assert CANARY not in str(raised.value)


@pytest.mark.parametrize(
    ("event", "payload"),
    [
        ("check_run", check_run(app=666)),
        ("check_run", check_run(button="apply_anything")),
        ("check_run", check_run(check_run={"name": "assay", "head_sha": SHA, "app": None})),
        ("check_run", check_run(sender={"login": BOT})),
        ("issue_comment", comment(f"/assay approve {SHA}", action="edited")),
        ("issue_comment", comment(f"/assay approve {SHA}", kind="Bot")),
        ("issue_comment", comment(f"> /assay approve {SHA}")),
        ("issue_comment", comment(f"```\n/assay approve {SHA}\n```")),
        ("issue_comment", comment(f"please `/assay approve {SHA}`")),
        ("issue_comment", comment("") | {"issue": {"number": 1}}),
        ("push", push(ref="refs/pull/1/merge")),
        ("workflow_run", {"anything": True}),
        ("push\r\nX-Evil: 1", {"anything": True}),
    ],
    ids=[
        *("another App's check", "a button that there is not", "a check of no App", "an echo of our own"),
        *("an edited comment", "a bot's comment", "a quoted order", "an order in a fence", "an order in code"),
        *("an issue", "a ref that is no branch", "another event", "an event's name with a line in it"),
    ],
)
def test_what_is_no_order_is_ignored(event: str, payload: dict[str, Any]) -> None:
    assert isinstance(read(event, payload), Ignored)


def test_an_order_is_its_writers_whoever_the_payload_says_sent_it() -> None:
    given = read("issue_comment", comment(f"/assay approve {SHA}", author="mallory") | {"sender": {"login": "owner"}})
    assert isinstance(given, CommandGiven)
    assert (given.sender, given.command) == ("mallory", Approve(sha=SHA))


def test_an_approval_is_of_the_checks_commit_and_of_no_name_beside_it() -> None:
    asked = read("check_run", check_run(requested_action={"identifier": "approve", "sha": "d" * 40, "who": "owner"}))
    assert isinstance(asked, GateAnswered)
    assert (asked.sha, asked.sender) == (SHA, "mallory")


@pytest.mark.parametrize("short", ["c0ffee0", SHA[:39], SHA + "0", SHA.upper(), f"{SHA} {SHA}", "HEAD", "--all"])
def test_an_approval_that_names_no_whole_commit_approves_nothing(short: str) -> None:
    given = read("issue_comment", comment(f"/assay approve {short}"))
    assert isinstance(given, CommandGiven)
    assert not isinstance(given.command, Approve)


@pytest.mark.parametrize("name", ["..", ".", ""])
def test_no_name_climbs_to_another_address_of_the_api(name: str) -> None:
    with pytest.raises(Theirs):
        to_path("octo/spoon", "contents", name)


@pytest.mark.parametrize("name", ["a/../../../user", "x?admin=1", "x#y", "x\r\nHost: evil", "%2e%2e"])
def test_odd_names_are_one_quoted_part_of_an_address(name: str) -> None:
    path = to_path("octo/spoon", "branches", name)
    assert path.startswith("/repos/octo/spoon/branches/")
    assert not set(path.removeprefix("/repos/octo/spoon/branches/")) & set("/?#\r\n ")
