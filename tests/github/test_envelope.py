"""Whose a payload is."""

from __future__ import annotations

import json

import pytest

from bot.errors import Theirs
from bot.github.envelope import Tenant, nothing_asked, read_tenant
from bot.github.payloads import parse

OCTO = {"installation": {"id": 7, "node_id": "x"}, "repository": {"id": 1, "full_name": "octo/demo"}, "zen": [1, None]}


def test_names_the_installation_and_the_repository() -> None:
    assert read_tenant(json.dumps(OCTO).encode(), "push") == Tenant(7, "octo/demo")


@pytest.mark.parametrize("part", ["installation", "repository"])
def test_what_is_not_there_is_nobodys(part: str) -> None:
    rest = {name: value for name, value in OCTO.items() if name != part}
    found, told = (read_tenant(json.dumps(one).encode(), "push") for one in (rest, rest | {part: None}))
    assert found == told
    assert read_tenant(b" {}\n", "push") == Tenant(0, "")


@pytest.mark.parametrize(
    "odd",
    [
        {"installation": {"id": "7"}},
        {"installation": {"id": -1}},
        {"installation": {"id": 2**63}},
        {"installation": []},
        {"repository": {}},
        {"repository": {"full_name": None}},
        {"repository": {"full_name": "x" * 201}},
        {"action": 5},
    ],
)
def test_an_odd_one_is_nobodys_and_still_an_object(odd: dict[str, object]) -> None:
    assert read_tenant(json.dumps(OCTO | odd).encode(), "push") == Tenant()


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"1", b"null", b'"x"', b"{", b"\xff", b'{"a":"\xff"}', b"{} {}", b"[" * 10**6]
)
def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError):
        read_tenant(body, "push")


HEAD, OURS, NESTED = (
    b'{"action":"opened"',
    b'"repository":{"full_name":"octo/demo"}',
    b'"repository":{"full_name":"o/x"}',
)
THEIRS = b'"installation":{"id":7}'


@pytest.mark.parametrize(
    ("parts", "full_name"),
    [
        ([OURS, THEIRS], "octo/demo"),
        ([OURS, THEIRS, b'"commits":[{"a":[]}],"head_commit":null'], "octo/demo"),
        ([b'"run":{"id":1,' + NESTED + b"}", OURS, THEIRS], "octo/demo"),
        # None of these ends with all that is asked for, outermost.
        ([THEIRS, OURS], "octo/demo"),
        ([OURS, THEIRS, b'"run":{"id":1,' + NESTED + b"}"], "octo/demo"),
        ([OURS, b'"run":{"id":1,' + NESTED + b"," + THEIRS + b"}", THEIRS], "octo/demo"),
        ([b'"run":{"id":1,' + NESTED + b"," + THEIRS + b"}"], ""),
        ([b'"runs":[{"id":1,' + NESTED + b"," + THEIRS + b"}]"], ""),
        ([OURS, THEIRS, b'"title":",\\"repository\\":{\\"full_name\\":\\"o/x\\"}}"'], "octo/demo"),
        ([OURS, THEIRS, b'"title":",\\\\","text":"\xc3\xa9"'], "octo/demo"),
        ([OURS, THEIRS, b'"body":"' + b"x" * 20_000 + b'"'], "octo/demo"),
        ([OURS, b'"repository":{"full_name":"octo/last"}', THEIRS], "octo/last"),
    ],
)
def test_the_end_is_believed_only_where_it_says_what_the_whole_says(parts: list[bytes], full_name: str) -> None:
    body = b",".join([HEAD, *parts]) + b"}"
    whole = read_tenant(body, "check_run")
    assert whole == Tenant(7 if full_name else 0, full_name, "opened")
    assert read_tenant(body, "pull_request")[:2] == whole[:2]


def test_first_parts_that_are_no_json_are_left_to_who_reads_them() -> None:
    body = b",".join([HEAD, b'"number":\xff', OURS, THEIRS]) + b"}"
    assert read_tenant(body, "pull_request") == Tenant(7, "octo/demo")
    with pytest.raises(Theirs):
        parse("pull_request", body, app_id=1, bot_login=None)


@pytest.mark.parametrize("end", [b"", b"}}", b"}]", b"} {}", b',"a":"\xff"}', b',"a":\x00}', b',"a"}'])
def test_an_end_that_is_no_json_is_refused(end: bytes) -> None:
    with pytest.raises(ValueError):
        read_tenant(b",".join([HEAD, OURS, THEIRS]) + end, "pull_request")


@pytest.mark.parametrize(
    ("event", "action", "ignored"),
    [
        ("check_run", "created", "check_run.created only reports what was done"),
        ("check_suite", "completed", "check_suite.completed only reports what was done"),
        ("check_run", "rerequested", ""),
        ("check_run", "requested_action", ""),
        ("check_suite", "requested", ""),
        ("pull_request", "labeled", ""),
    ],
)
def test_what_was_done_to_checks_asks_for_nothing(event: str, action: str, ignored: str) -> None:
    body = json.dumps(OCTO | {"action": action}).encode()
    assert read_tenant(body, "check_run") == Tenant(7, "octo/demo", action)
    assert nothing_asked(event, action) == ignored
