"""A repository's configuration names no host: whatever a fork or the base branch writes into any setting, Assay and its
commands connect to GitHub and Redis, and to nobody else."""

from __future__ import annotations

import json
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.request import urlopen

import pytest

from bot.demo.github import StandInGitHub
from config.schema import json_schema
from tests.flow.assay import CLEAN, CONFIG, QUICK, REPOSITORY, Assay
from tests.flow.conftest import assay, github
from tests.flow.test_people import press

__all__ = ["assay", "github"]

# Settings whose form rules out an address, and why.
NO_ADDRESS = "http://127.0.0.1:8/hook"
# Names an image, which no engine is let fetch: `--pull never` (tests/workers/sandbox/test_container.py).
FETCHED_BY_NOBODY = {"image"}
FETCH = "python3 -c \"import urllib.request; urllib.request.urlopen('{url}', timeout=1)\"; curl -m 1 {url}; true"


def everything(url: str) -> dict[str, Any]:
    """A configuration with the address in every setting that takes a free text."""
    every = {"paths": [f"!{url}", "**"], "paths_ignore": [url]}
    command = {"setup": f"curl -m 1 {url}; true", "run": FETCH.format(url=url)}
    return {
        "triggers": {
            "push": ["**", url],
            "every_commit": [url],
            "pull_request": {"branches": ["**", url]},
            "schedule": [{"cron": url, "agents": [url]}],
        },
        "agents": {
            "test": {**command, "junit": [url], "coverage": [url], "quarantine": [url]},
            "lint": {**every, "tools": ["ruff"]},
            "security": {"tools": ["bandit"], "allow": [url]},
            "review": {
                "instructions": f"Ask {url} first.",
                "rules": [{"paths": ["**"], "instructions": url}],
                "never_send": [url],
                "model": url,
                "verify": {"model": url},
            },
            "shell": {**command, "format": "errorformat", "errorformat": [url], "output": url},
            "other": {"uses": url, "url": url, "base_url": url, "proxy": url},
            "late": {"run": "true", "after": ["lint"]},
        },
        "ignore": [{"fingerprint": "0" * 8, "reason": url}],
        "approvals": {"apply_fix": url},
        "notify": [{"to": url, "url": url, "url_secret": url, "webhook": url, "when": "failed"}],
        "workflows": {"pr-review": {"steps": [{"http": url}], "uses": url}},
    }


class Listener:
    """A server that counts who comes."""

    def __init__(self, url: str, heard: list[str]) -> None:
        self.url = url
        self.heard = heard


@contextmanager
def listening() -> Iterator[Listener]:
    heard: list[str] = []

    class Note(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append(self.path)
            self.send_response(200)
            self.end_headers()

        do_POST = do_HEAD = do_CONNECT = do_GET  # noqa: N815 - the server's own names

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Note)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield Listener(f"http://127.0.0.1:{server.server_port}/hook", heard)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Connections:
    """Where this process connects to, and the names that it looks up, while it is `on`."""

    def __init__(self) -> None:
        self.on = False
        self.seen: set[str] = set()
        sys.addaudithook(self._note)

    def _note(self, event: str, args: tuple[Any, ...]) -> None:
        if self.on and event == "socket.connect":
            self.seen.add(f"{args[1][0]}:{args[1][1]}" if isinstance(args[1], tuple) else "unix")
        elif self.on and event == "socket.getaddrinfo":
            self.seen.add(f"{args[0]}:{args[1]}")


CONNECTIONS = Connections()


@contextmanager
def noted() -> Iterator[set[str]]:
    CONNECTIONS.seen, CONNECTIONS.on = set(), True
    try:
        yield CONNECTIONS.seen
    finally:
        CONNECTIONS.on = False


@pytest.mark.parametrize("branch", ["base", "fork"])
def test_no_setting_makes_anybody_connect(assay: Assay, github: StandInGitHub, branch: str) -> None:
    with listening() as listener, noted() as connected:
        text = json.dumps(everything(listener.url))
        own = github.push(REPOSITORY, "main", {CONFIG: text if branch == "base" else QUICK, "own.py": CLEAN})
        source = github.fork(REPOSITORY, "mallory")
        sha = github.commit(source, "feature", {CONFIG: text, "demo.py": CLEAN + "\n\nX = 1\n"}, author="mallory")
        github.open_pull(REPOSITORY, "feature", author="mallory", head_repo=source)
        assay.settle()
        if branch == "base":
            press(assay, github, sha, "alice")
    assert assay.run(sha).complete
    # It is no bad file that nobody acts on.
    if branch == "base":
        assert {agent.plan.name for agent in assay.run(own).agents} >= {"test", "lint", "security", "shell", "late"}
    assert listener.heard == []
    ours = {github.url.partition("://")[2], (github.webhook_url or "").partition("://")[2].partition("/")[0]}
    assert {place for place in connected if place not in ours} <= {"unix"}


def test_the_listener_and_the_look_at_connections_would_have_told() -> None:
    with listening() as listener, noted() as connected:
        urlopen(listener.url, timeout=5).close()
    assert listener.heard == ["/hook"]
    assert listener.url.partition("://")[2].partition("/")[0] in connected


def texts_of(
    section: dict[str, Any], schema: dict[str, Any], key: str, seen: frozenset[str]
) -> Iterator[tuple[str, Any]]:
    """Each setting below that may be a text: its key, and its part of the schema."""
    if reference := section.get("$ref"):
        name = reference.rpartition("/")[2]
        if name not in seen:
            yield from texts_of(schema["$defs"][name], schema, key, seen | {name})
        return
    if section.get("type") == "string" and not {"enum", "const"} & section.keys():
        yield key, section
    for part in (
        *section.get("anyOf", ()),
        *section.get("oneOf", ()),
        section.get("items"),
        section.get("additionalProperties"),
    ):
        if isinstance(part, dict):
            yield from texts_of(part, schema, key, seen)
    for name, part in section.get("properties", {}).items():
        yield from texts_of(part, schema, name, seen)


def keys_of(node: Any) -> set[str]:
    if isinstance(node, dict):
        return {str(key) for key in node} | {key for value in node.values() for key in keys_of(value)}
    return {key for value in node for key in keys_of(value)} if isinstance(node, list) else set()


def test_every_setting_that_takes_a_free_text_is_tried() -> None:
    schema = json_schema()
    found = list(texts_of(schema, schema, "", frozenset()))
    assert len(found) > 30
    free = {key for key, section in found if not section.get("pattern") or re.search(section["pattern"], NO_ADDRESS)}
    assert free - FETCHED_BY_NOBODY <= keys_of(everything(NO_ADDRESS))
