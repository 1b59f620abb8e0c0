"""Every payload that GitHub's own webhook description gives as an example goes through intake."""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from bot.github.envelope import read_tenant
from bot.github.payloads import Ignored, parse

EXAMPLES = Path(__file__).parent / "node_modules" / "@octokit" / "webhooks-examples"


@cache
def examples() -> tuple[tuple[str, str, dict[str, Any]], ...]:
    """(where, event, payload) for every example of every GitHub that the package describes."""
    if not EXAMPLES.is_dir():
        reason = "npm install in tests/contract brings GitHub's examples"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    found = []
    for index in sorted(EXAMPLES.glob("*/index.json")):
        for event in json.loads(index.read_text(encoding="utf-8")):
            found += [(f"{index.parent.name} {event['name']}", event["name"], one) for one in event["examples"]]
    return tuple(found)


def test_every_example_is_understood_or_ignored_with_a_reason() -> None:
    assert len(examples()) > 500
    for where, event, payload in examples():
        result = parse(event, json.dumps(payload).encode(), app_id=1, bot_login="assay[bot]")
        assert not isinstance(result, Ignored) or len(result.reason) > 10, where


HANDLED = {
    "check_run": {"rerequested", "requested_action"},
    "check_suite": {"requested", "rerequested"},
    "installation": {"created", "deleted", "new_permissions_accepted", "suspend", "unsuspend"},
    "installation_repositories": {"added", "removed"},
    "merge_group": {"checks_requested"},
    "ping": {""},
    "pull_request": {"opened", "reopened", "synchronize", "ready_for_review", "converted_to_draft", "closed"},
}


def test_examples_of_what_assay_handles_are_understood_once_they_are_sent_for_the_app() -> None:
    for where, event, payload in examples():
        if payload.get("action", "") not in HANDLED.get(event, ()):
            continue
        payload = payload | {"installation": payload.get("installation") or {"id": 7}}
        app = (payload.get("check_run") or payload.get("check_suite") or {}).get("app") or {"id": 1}
        if "requested_action" in payload:
            payload |= {"requested_action": {"identifier": "rerun"}}
        result = parse(event, json.dumps(payload).encode(), app_id=app["id"], bot_login="assay[bot]")
        assert not isinstance(result, Ignored), f"{where}: {result}"


def test_example_pushes_are_understood_unless_they_delete_or_tag() -> None:
    pushes = [(where, payload) for where, event, payload in examples() if event == "push"]
    for where, payload in pushes:
        body = json.dumps(payload | {"installation": {"id": 7}}).encode()
        ignored = isinstance(parse("push", body, app_id=1, bot_login=None), Ignored)
        assert ignored == (payload["deleted"] or not payload["ref"].startswith("refs/heads/")), where


def test_whose_an_example_is_can_be_read_from_its_end() -> None:
    """As GitHub words it: on one line, each part where the example has it."""
    for where, event, payload in examples():
        body = json.dumps(payload, separators=(",", ":"), ensure_ascii=False).encode()
        installation, repository, _ = read_tenant(body, event)
        assert installation == payload.get("installation", {}).get("id", 0), where
        assert repository == payload.get("repository", {}).get("full_name", ""), where
