"""Whose a payload is."""

from __future__ import annotations

import json

import pytest

from bot.github.envelope import Tenant, nothing_asked, read_tenant

OCTO = {"installation": {"id": 7, "node_id": "x"}, "repository": {"id": 1, "full_name": "octo/demo"}, "zen": [1, None]}


def test_names_the_installation_and_the_repository() -> None:
    assert read_tenant(json.dumps(OCTO).encode()) == Tenant(7, "octo/demo")


@pytest.mark.parametrize("part", ["installation", "repository"])
def test_what_is_not_there_is_nobodys(part: str) -> None:
    rest = {name: value for name, value in OCTO.items() if name != part}
    assert read_tenant(json.dumps(rest).encode()) == read_tenant(json.dumps(rest | {part: None}).encode())
    assert read_tenant(b" {}\n") == Tenant(0, "")


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
    assert read_tenant(json.dumps(OCTO | odd).encode()) == Tenant()


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"1", b"null", b'"x"', b"{", b"\xff", b'{"a":"\xff"}', b"{} {}", b"[" * 10**6]
)
def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError):
        read_tenant(body)


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
    assert read_tenant(body) == Tenant(7, "octo/demo", action)
    assert nothing_asked(event, action) == ignored
