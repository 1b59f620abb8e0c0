from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import Theirs
from bot.github.payloads import (
    BranchDeleted,
    CheckRerun,
    Ignored,
    InstallationChanged,
    MergeGroupLeft,
    MergeGroupReceived,
    Ping,
    PullReceived,
    PushReceived,
    Received,
    SuiteRequested,
    parse,
)

APP = 4711
BOT = "assay[bot]"
OLD, NEW, ZEROS = "a" * 40, "b" * 40, "0" * 40
EVENTS = [
    "push",
    "pull_request",
    "check_run",
    "check_suite",
    "merge_group",
    "installation",
    "installation_repositories",
]

COMMON: dict[str, Any] = {
    "installation": {"id": 7, "node_id": "x"},
    "repository": {"id": 99, "full_name": "octo/spoon", "default_branch": "main", "private": True},
    "sender": {"login": "mona", "type": "User"},
}


def read(event: str, payload: object) -> Received | Ignored:
    return parse(event, json.dumps(payload).encode(), APP, BOT)


def ignored(event: str, payload: object) -> str:
    result = read(event, payload)
    assert isinstance(result, Ignored)
    return result.reason


def push(**changes: Any) -> dict[str, Any]:
    flags = {"created": False, "deleted": False, "forced": False}
    return COMMON | flags | {"ref": "refs/heads/main", "before": OLD, "after": NEW} | changes


def pull(action: str, /, pull_request: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    head = {"sha": NEW, "ref": "topic", "repo": None}
    base = {"sha": OLD, "ref": "main", "repo": {"id": 99}}
    about = {"number": 5, "head": head, "base": base, "draft": False, "merged": False, "state": "open"}
    about |= {"updated_at": "2027-01-15T08:00:00Z"} | (pull_request or {})
    return COMMON | {"action": action, "number": 5, "pull_request": about} | changes


def check_run(action: str, app: int | None = APP, **changes: Any) -> dict[str, Any]:
    pulls = [{"number": 5, "base": {"repo": {"id": 99}}}, {"number": 800, "base": {"repo": {"id": 1}}}]
    suite = {"id": 1, "head_branch": "main"}
    run: dict[str, Any] = {"name": "assay / test", "head_sha": NEW, "external_id": "octo/spoon:1"}
    run |= {"check_suite": suite, "pull_requests": pulls}
    return COMMON | {"action": action, "check_run": run | {"app": {"id": app} if app else None}} | changes


def check_suite(action: str, app: int = APP, **changes: Any) -> dict[str, Any]:
    suite = {"head_branch": "main", "head_sha": NEW, "before": OLD, "app": {"id": app}, "pull_requests": []}
    return COMMON | {"action": action, "check_suite": suite | changes}


def test_push() -> None:
    assert read("push", push(ref="refs/heads/feature/x", forced=True)) == PushReceived(
        installation=7,
        repository="octo/spoon",
        repository_id=99,
        default_branch="main",
        branch="feature/x",
        before=OLD,
        after=NEW,
        forced=True,
        created=False,
        sender="mona",
    )


def test_a_new_branch_has_nothing_before_it() -> None:
    result = read("push", push(before=ZEROS, created=True))
    assert isinstance(result, PushReceived)
    assert (result.before, result.created) == (None, True)


def test_pushes_that_bring_no_commit_to_a_branch_are_ignored() -> None:
    assert "tag" in ignored("push", push(ref="refs/tags/v1"))
    assert "no branch" in ignored("push", push(ref="refs/notes/commits"))


@pytest.mark.parametrize("more", [{"deleted": True}, {}])
def test_deleted_branch_is_told(more: dict[str, Any]) -> None:
    result = read("push", push(after=ZEROS, **more))
    assert isinstance(result, BranchDeleted)
    assert result.branch == "main"


def test_the_bots_own_push_counts() -> None:
    assert isinstance(read("push", push(sender={"login": BOT})), PushReceived)


def test_sha256_repositories_are_understood() -> None:
    result = read("push", push(after="c" * 64, before="0" * 64))
    assert isinstance(result, PushReceived)
    assert (result.before, result.after) == (None, "c" * 64)


@pytest.mark.parametrize("action", ["opened", "reopened", "ready_for_review", "converted_to_draft"])
def test_pull_request(action: str) -> None:
    assert read("pull_request", pull(action)) == PullReceived(
        action=action,
        installation=7,
        repository="octo/spoon",
        default_branch="main",
        number=5,
        head_sha=NEW,
        before=None,
        base_changed=False,
        base_ref="main",
        base_sha=OLD,
        fork=True,
        draft=False,
        closed=False,
        merged=False,
        updated_at=1_800_000_000.0,
        sender="mona",
    )


def test_head_of_the_same_repository_is_no_fork_and_what_is_not_told_is_left_out() -> None:
    own = read("pull_request", pull("opened", {"head": {"sha": NEW, "repo": {"id": 99}}, "base": {"ref": "main"}}))
    assert isinstance(own, PullReceived)
    assert (own.fork, own.base_sha) == (False, "")


def test_synchronize_knows_the_previous_head() -> None:
    result = read("pull_request", pull("synchronize", before=OLD, after=NEW))
    assert isinstance(result, PullReceived)
    assert result.before == OLD


def test_edited_counts_when_the_base_changed() -> None:
    changed = read("pull_request", pull("edited", changes={"base": {"ref": {"from": "main"}}}))
    assert isinstance(changed, PullReceived)
    assert changed.base_changed
    assert "base" in ignored("pull_request", pull("edited", changes={"title": {"from": "x"}}))


@pytest.mark.parametrize("merged", [True, False])
def test_closed(merged: bool) -> None:
    result = read("pull_request", pull("closed", {"state": "closed", "merged": merged}))
    assert isinstance(result, PullReceived)
    assert (result.closed, result.merged) == (True, merged)


@pytest.mark.parametrize("action", ["labeled", "assigned", "enqueued", "something_new"])
def test_other_pull_request_actions_are_ignored_by_name(action: str) -> None:
    assert f"pull_request.{action}" in ignored("pull_request", {"action": action, "installation": {"id": 7}})


def test_rerun_of_one_check() -> None:
    assert read("check_run", check_run("rerequested")) == CheckRerun(
        installation=7,
        repository="octo/spoon",
        default_branch="main",
        sha=NEW,
        branch="main",
        check_name="assay / test",
        external_id="octo/spoon:1",
        pulls=(5,),
        failed_only=False,
        sender="mona",
    )


@pytest.mark.parametrize(("button", "failed_only"), [("rerun", False), ("rerun_failed", True)])
def test_buttons(button: str, failed_only: bool) -> None:
    result = read("check_run", check_run("requested_action", requested_action={"identifier": button}))
    assert isinstance(result, CheckRerun)
    assert result.failed_only is failed_only


@pytest.mark.parametrize("button", [{}, {"requested_action": None}, {"requested_action": {"identifier": "rm -rf"}}])
def test_unknown_buttons_are_ignored(button: dict[str, Any]) -> None:
    reason = ignored("check_run", check_run("requested_action", **button))
    assert "button" in reason
    assert "rm" not in reason


@pytest.mark.parametrize("action", ["created", "completed"])
def test_reports_of_checks_are_ignored(action: str) -> None:
    assert action in ignored("check_run", check_run(action))


def test_checks_of_others_are_ignored() -> None:
    assert "another App" in ignored("check_run", check_run("rerequested", app=1))
    assert "no App" in ignored("check_run", check_run("rerequested", app=None))
    assert "another App" in ignored("check_suite", check_suite("requested", app=1))


def test_echoes_of_the_bot_are_ignored() -> None:
    assert "echo" in ignored("check_run", check_run("rerequested", sender={"login": "Assay[bot]"}))
    assert "echo" in ignored("check_suite", check_suite("requested") | {"sender": {"login": BOT}})


def test_without_a_bot_login_nobody_is_the_bot() -> None:
    body = json.dumps(check_run("rerequested", sender={"login": ""})).encode()
    assert isinstance(parse("check_run", body, APP, None), CheckRerun)


def test_suite_requested() -> None:
    assert read("check_suite", check_suite("requested")) == SuiteRequested(
        installation=7,
        repository="octo/spoon",
        default_branch="main",
        branch="main",
        before=OLD,
        after=NEW,
        pulls=(),
        sender="mona",
    )


def test_a_suite_of_an_unknown_branch() -> None:
    result = read("check_suite", check_suite("requested", head_branch=None, before=ZEROS))
    assert isinstance(result, SuiteRequested)
    assert (result.branch, result.before) == ("", None)


def test_a_whole_suite_is_run_again() -> None:
    result = read("check_suite", check_suite("rerequested"))
    assert isinstance(result, CheckRerun)
    assert result.check_name is None


def test_merge_group() -> None:
    group = {"head_sha": NEW, "head_ref": "refs/heads/q", "base_sha": OLD, "base_ref": "refs/heads/main"}
    payload = COMMON | {"action": "checks_requested", "merge_group": group}
    result = read("merge_group", payload)
    assert isinstance(result, MergeGroupReceived)
    assert (result.sha, result.head_ref, result.base_sha) == (NEW, "refs/heads/q", OLD)


def test_merge_group_that_left_the_queue() -> None:
    group = {"head_sha": NEW, "head_ref": "refs/heads/q", "base_sha": OLD, "base_ref": "refs/heads/main"}
    payload = COMMON | {"action": "destroyed", "merge_group": group}
    for reason, told in (({"reason": "dequeued"}, "dequeued"), ({"reason": None}, "destroyed"), ({}, "destroyed")):
        result = read("merge_group", payload | reason)
        assert isinstance(result, MergeGroupLeft)
        assert (result.sha, result.head_ref, result.reason) == (NEW, "refs/heads/q", told)
    assert "merged" in ignored("merge_group", payload | {"reason": "merged"})


@pytest.mark.parametrize("event", ["installation", "installation_repositories", "installation_target"])
def test_installations(event: str) -> None:
    payload = {"action": "created", "installation": {"id": 7, "account": {"login": "octo"}}, "sender": {"login": "m"}}
    assert read(event, payload) == InstallationChanged(
        installation=7, event=event, action="created", account="octo", sender="m"
    )


def test_ping_needs_no_installation() -> None:
    assert read("ping", {"zen": "Half measures are as bad as nothing at all.", "hook_id": 1}) == Ping()


@pytest.mark.parametrize("event", EVENTS)
def test_what_was_not_sent_for_an_installation_is_ignored(event: str) -> None:
    payload = {key: value for key, value in COMMON.items() if key != "installation"}
    assert ignored(event, payload) == f"{event} was not sent for an App installation"


def test_other_events_are_ignored_by_name() -> None:
    assert ignored("star", {"action": "created"}) == "event star is not one Assay acts on"
    assert "odd name" in ignored("<script>", {})


MALFORMED = [
    b"",
    b"{",
    b"null",
    b"[]",
    b'"push"',
    b"\xff\xfe",
    b'{"installation": 7}',
    b'{"installation": {"id": "7"}}',
    b'{"installation": {"id": true}}',
    b'{"installation": {"id": 1e999}}',
    b'{"installation": {"id": ' + b"9" * 5000 + b"}}",
    b'{"installation": {"id": 7}, "sender": "mona"}',
    b'{"installation": {"id": 7}, "sender": {"login": "\\ud800"}}',
    b'{"action": {"a": 1}}',
    b'{"action": "A\\u0000"}',
    b"[" * 100_000,
    b'{"a":' * 100_000,
]


@pytest.mark.parametrize("body", MALFORMED, ids=range(len(MALFORMED)))
def test_malformed_bodies_are_theirs(body: bytes) -> None:
    for event in ("push", "ping", "pull_request", "installation"):
        with pytest.raises(Theirs):
            parse(event, body, APP, BOT)


@pytest.mark.parametrize(
    "wrong",
    [
        {"after": "main"},
        {"after": "B" * 40},
        {"after": NEW + "\n"},
        {"ref": 7},
        {"ref": "refs/heads/" + "x" * 2000},
        {"repository": {}},
        {"repository": COMMON["repository"] | {"full_name": "../secrets"}},
        {"repository": COMMON["repository"] | {"full_name": "octo/.."}},
        {"repository": None},
        {"deleted": "no"},
    ],
)
def test_wrong_fields_are_theirs_and_not_repeated(wrong: dict[str, Any]) -> None:
    with pytest.raises(Theirs) as caught:
        read("push", push(**wrong))
    assert len(str(caught.value)) < 300
    assert "secrets" not in str(caught.value)
    assert caught.value.__cause__ is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
WHOLE = {
    "push": push(),
    "pull_request": pull("synchronize"),
    "check_run": check_run("rerequested"),
    "check_suite": check_suite("requested"),
}


@given(st.sampled_from(sorted(WHOLE)), st.data())
def test_any_value_anywhere_is_understood_ignored_or_theirs(event: str, data: st.DataObject) -> None:
    """Replace one value of a good payload by any other JSON."""
    payload = json.loads(json.dumps(WHOLE[event]))
    holder = payload
    while True:
        key = data.draw(st.sampled_from(sorted(holder)))
        if not (isinstance(holder[key], dict) and holder[key]) or data.draw(st.booleans()):
            break
        holder = holder[key]
    holder[key] = data.draw(JSON)
    try:
        read(event, payload)
    except Theirs as error:
        assert len(str(error)) < 300  # noqa: PT017 - raising is one of two good ends
