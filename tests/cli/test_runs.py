"""`assay runs`, `show` and `replay` on runs in a real Redis."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

import bot.wiring
from bot.domain.events import AgentFinished, AgentStarted, CommitReceived, Event
from bot.domain.findings import AgentResult, Excerpt, Finding, Outcome, Severity
from bot.domain.run import RunKey
from bot.domain.triggers import Push
from bot.publishing.records import Records
from bot.redis.embedded import EmbeddedRedis
from bot.store import Store
from tests.builders import plan_of
from tests.cli.command import Assay

SHA = "1234567890" * 4
OTHER = "123456ffff" * 4
KEY = RunKey(repository="octo/demo", sha=SHA)
FOUND = Finding(
    tool="ruff", rule="F401", severity=Severity.MEDIUM, message="`os` \x1b[31munused", path="a.py", start_line=3
)


@pytest.fixture(autouse=True)
def _settings(redis_server: EmbeddedRedis, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ASSAY_REDIS_URL", redis_server.url)
    bot.wiring.safe.cache_clear()
    yield
    bot.wiring.safe.cache_clear()


@pytest.fixture
def finished(store: Store) -> RunKey:
    """A run whose linter found something."""
    result = AgentResult(outcome=Outcome.FINDINGS, findings=(FOUND.model_copy(update={"sources": ("lint/ruff",)}),))
    for event in (*begun(KEY), AgentFinished(at=1_700_000_002.5, agent="lint", attempt=1, result=result)):
        store.update(KEY, event)
    return KEY


def begun(key: RunKey) -> tuple[Event, ...]:
    return (
        CommitReceived(
            at=1_700_000_000.0,
            delivery="guid-1",
            actor="alice",
            installation=1,
            trigger=Push(branch="main"),
            plan=plan_of("lint"),
        ),
        AgentStarted(at=1_700_000_001.0, agent="lint", attempt=1),
    )


def test_runs_lists_them_newest_first(assay: Assay, store: Store, finished: RunKey) -> None:
    other = RunKey(repository="octo/demo", sha=OTHER)
    for event in begun(other):
        store.update(other, event.model_copy(update={"at": event.at + 60}))
    assert assay("runs").out.splitlines() == [
        "○ 2023-11-14 22:14:20  octo/demo@123456ffff12  0 of 1 agents done",
        "✗ 2023-11-14 22:13:20  octo/demo@123456789012  Failed: 1 finding to mend",
    ]
    assert len(assay("runs", "--limit", 1).out.splitlines()) == 1
    rows = [json.loads(line) for line in assay("runs", "--json").out.splitlines()]
    assert [(row["run"], row["conclusion"]) for row in rows] == [(str(other), None), (str(finished), "failure")]


def test_no_runs_yet(assay: Assay, redis: Redis) -> None:
    ended = assay("runs")
    assert (ended.code, ended.out) == (0, "")
    assert ended.err.startswith("No runs yet.")
    assert assay("runs", "--json") == (0, "", "")


def test_show_tells_the_timeline_and_the_findings(assay: Assay, finished: RunKey) -> None:
    ended = assay("show", SHA[:10])
    assert ended.code == 0
    assert ended.out.startswith(f"{finished} (attempt 1)\n")
    assert re.search(r"\+0\.0 s +CommitReceived +pushed to main: lint \[by alice, delivery guid-1\]", ended.out)
    assert re.search(r"\+2\.5 s +AgentFinished +lint ended attempt 1: findings, 1 finding", ended.out)
    assert "✗ a.py:3 medium `os` unused [ruff F401]" in ended.out
    assert "\x1b" not in ended.out


def test_show_tells_what_github_does_not_take(assay: Assay, store: Store, finished: RunKey) -> None:
    Records(store.redis, store.retention).note_refusal(finished, "This installation has been suspended")
    assert "GitHub does not show this: This installation has been suspended" in assay("show", finished).out


def test_show_for_programs(assay: Assay, finished: RunKey) -> None:
    shown = json.loads(assay("show", finished, "--json").out)
    assert shown["run"]["key"] == {"repository": "octo/demo", "sha": SHA}
    assert [event["kind"] for event in shown["events"]] == ["CommitReceived", "AgentStarted", "AgentFinished"]
    sarif = json.loads(assay("show", finished, "--sarif").out)
    assert sarif["runs"][0]["results"][0]["ruleId"].endswith("F401")
    assert assay("show", finished, "--sarif", "--json").code == 2


def test_unknown_run(assay: Assay, finished: RunKey) -> None:
    for command in ("show", "replay"):
        ended = assay(command, "ffff")
        assert (ended.code, ended.out) == (2, "")
        assert ended.err == "assay: no run begins with 'ffff': `assay runs` lists those there are\n"


def test_beginning_that_names_two_runs(assay: Assay, store: Store, finished: RunKey) -> None:
    other = RunKey(repository="octo/demo", sha=OTHER)
    store.update(other, begun(other)[0])
    for text in ("123456", "octo/demo", "octo/demo@123456"):
        ended = assay("show", text)
        assert ended.code == 2
        assert f"{text!r} names 2 runs" in ended.err
        assert str(finished) in ended.err
        assert str(other) in ended.err
    assert assay("show", "1234567").code == 0


def test_run_past_its_retention(assay: Assay, redis: Redis, finished: RunKey) -> None:
    redis.delete(f"assay:run:{finished}")
    ended = assay("show", finished)
    assert ended.code == 2
    assert "past its retention" in ended.err


def test_replay_proves_the_stored_state(assay: Assay, finished: RunKey) -> None:
    ended = assay("replay", SHA[:8])
    assert ended == (0, f"{finished}: 3 events give the stored state: Failed: 1 finding to mend\n", "")


def test_replay_sees_a_state_that_was_tampered_with(assay: Assay, redis: Redis, store: Store, finished: RunKey) -> None:
    stored = store.load(finished)
    assert stored is not None
    redis.set(f"assay:run:{finished}", stored.run.model_copy(update={"agents": ()}).model_dump_json())
    ended = assay("replay", finished)
    assert (ended.code, ended.out) == (1, "")
    assert "3 events give another state than the stored one; they differ in agents" in ended.err


def test_replay_sees_a_log_that_was_tampered_with(assay: Assay, redis: Redis, finished: RunKey) -> None:
    entries = redis.xrange(f"assay:log:{finished}")
    assert isinstance(entries, list)
    last = entries[-1][0]
    assert isinstance(last, bytes)
    redis.xdel(f"assay:log:{finished}", last)
    assert assay("replay", finished).code == 1


def test_redis_that_is_away_is_told(assay: Assay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_REDIS_URL", "redis://127.0.0.1:1")
    bot.wiring.safe.cache_clear()
    ended = assay("runs")
    assert ended.code == 2
    assert "Redis does not answer" in ended.err
    assert "Traceback" not in ended.err


def test_data_folder_without_data_is_told(assay: Assay, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("ASSAY_REDIS_URL")
    monkeypatch.setenv("ASSAY_DATA_DIR", str(tmp_path / "none"))
    bot.wiring.safe.cache_clear()
    ended = assay("runs")
    assert ended.code == 2
    assert "there is no data in" in ended.err


def test_bad_setting_is_told(assay: Assay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_RETENTION", "forever")
    bot.wiring.safe.cache_clear()
    ended = assay("runs")
    assert ended.code == 2
    assert ended.err.startswith("assay: settings have to be mended:\n  ASSAY_RETENTION")


def test_show_gives_the_patch_as_it_is_and_tells_the_rest_beside_it(assay: Assay, store: Store) -> None:
    fixed = FOUND.model_copy(update={"path": "a.py", "start_line": 2, "replacement": "", "sources": ("lint/ruff",)})
    lost = fixed.model_copy(update={"path": "b.py", "message": "lost"})
    lines = Excerpt(path="a.py", first=1, text="\x1b[31m\r\nimport os\r\nx\r\n")
    result = AgentResult(outcome=Outcome.FINDINGS, findings=(fixed, lost), excerpts=(lines,))
    for event in (*begun(KEY), AgentFinished(at=1_700_000_002.5, agent="lint", attempt=1, result=result)):
        store.update(KEY, event)
    ended = assay("show", KEY, "--patch")
    assert ended.code == 0
    assert ended.out == (
        "diff --git a/a.py b/a.py\n--- a/a.py\n+++ b/a.py\n@@ -1,3 +1,2 @@\n \x1b[31m\r\n-import os\r\n x\r\n"
    )
    assert ended.err.startswith("not in the patch: b.py:2 [ruff F401]: the lines around it are not kept")
    assert assay("show", KEY, "--patch", "--sarif").code == 2


def test_show_says_that_nothing_would_be_fixed(assay: Assay, finished: RunKey) -> None:
    assert assay("show", finished, "--patch") == (0, "", "There is nothing that a tool would fix.\n")
