"""Files that a run leaves behind for Assay to read: real processes leave what a stranger would."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from bot.domain.findings import AgentResult, Outcome
from tests.workers.stage import Stage
from workers.registry import AGENTS

CANARY = "canary-2b7f60"
SARIF = json.dumps(
    {
        "runs": [
            {
                "tool": {"driver": {"name": CANARY}},
                "results": [{"ruleId": "x", "message": {"text": CANARY}, "locations": []}],
            }
        ]
    }
)
# Each leaves `report`, or something in its place. OUTSIDE is a file that the agent must not read.
LEFT = {
    "a link to a file outside": "ln -s {outside} report",
    "a link to a link": "ln -s {outside} one; ln -s one report",
    "a folder that is a link": "rm -rf sub; ln -s {folder} sub; touch report",
    "a pipe that nobody writes to": "mkfifo report",
    "a device": "ln -s /dev/zero report",
    "a folder": "mkdir report",
    "a file of a terabyte": "truncate -s 1T report",
    "a file that goes away": "touch report; rm report",
    "a socket": "python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"report\")'",
}


def look(root: Path, agent: str, script: str, **settings: object) -> AgentResult:
    outside = root / "outside" / "report"
    outside.parent.mkdir()
    outside.write_text(SARIF)
    run = script.format(outside=outside, folder=outside.parent)
    begun = time.monotonic()
    result = Stage(root, {"a.py": "x = 1\n", "sub/a": ""}, settings={"run": run, **settings}).run(AGENTS[agent]())
    assert time.monotonic() - begun < 10, "it waits for what a stranger left"
    return result


@pytest.mark.parametrize("what", LEFT)
def test_a_report_that_is_none_is_an_error_and_not_read(tmp_path: Path, what: str) -> None:
    place = "sub/report" if "sub" in LEFT[what] else "report"
    result = look(tmp_path, "command", LEFT[what], format="sarif", output=place)
    assert result.outcome is Outcome.ERROR
    assert CANARY not in result.model_dump_json()


@pytest.mark.parametrize("what", LEFT)
def test_neither_are_reports_of_tests_and_of_coverage(tmp_path: Path, what: str) -> None:
    place = "sub/report" if "sub" in LEFT[what] else "report"
    result = look(tmp_path, "test", LEFT[what], junit=[place], coverage=[place])
    assert result.outcome in (Outcome.CLEAN, Outcome.FINDINGS, Outcome.PARTIAL)
    assert CANARY not in result.model_dump_json()


@pytest.mark.parametrize("place", ["../outside/report", "/etc/passwd", "sub/../../outside/report", "~/report"])
def test_a_report_outside_is_refused(tmp_path: Path, place: str) -> None:
    result = look(tmp_path, "command", "true", format="sarif", output=place)
    assert result.outcome is Outcome.ERROR
    assert CANARY not in result.model_dump_json()


def test_very_many_reports_are_not_all_read(tmp_path: Path) -> None:
    result = look(tmp_path, "test", "mkdir r; cd r; seq 3000 | xargs touch", junit=["r/*"])
    assert result.outcome is not Outcome.CLEAN


@pytest.mark.parametrize("uri", ["file://{outside}", "../outside/report", "{outside}", "sub/../../outside/report"])
def test_a_finding_outside_of_the_tree_shows_nothing_of_its_place(tmp_path: Path, uri: str) -> None:
    """What a finding is about is read to place it: not where a stranger's report points."""
    hidden = tmp_path / "outside" / "report"
    report = {
        "runs": [
            {
                "tool": {"driver": {"name": "t"}},
                "results": [
                    {
                        "ruleId": "x",
                        "message": {"text": "m"},
                        "locations": [
                            {
                                "physicalLocation": {
                                    "artifactLocation": {"uri": uri.format(outside=hidden)},
                                    "region": {"startLine": 1},
                                }
                            }
                        ],
                    }
                ],
            }
        ]
    }
    script = f"cat <<'END'\n{json.dumps(report)}\nEND".replace("{", "{{").replace("}", "}}")
    result = look(tmp_path, "command", script, format="sarif")
    assert [finding.path for finding in result.findings] == [""]
    assert CANARY not in result.model_dump_json()
