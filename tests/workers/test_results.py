"""What is kept of an agent's result: in its place, bounded, without secrets, whatever the agent said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.diff import Diff, FileDiff
from bot.domain.findings import AgentResult, Finding, NotCovered, Outcome, Severity, with_fingerprints
from bot.domain.plan import AgentPlan
from bot.domain.redact import Redactor
from config.repository import Report
from workers.results import settle

SECRET = "never-to-be-shown"
REDACT = Redactor([SECRET])
# Lines 10 to 12 were added in a hunk of 7 to 15; another hunk is 40 to 46, with line 43 added.
DIFF = Diff(files={"a.py": FileDiff(path="a.py", added=((10, 12), (43, 43)), hunks=((7, 15), (40, 46)))})


def plan(report: Report = "added") -> AgentPlan:
    return AgentPlan(name="own", kind="command", required=True, fail_on=Severity.LOW, report=report, timeout=60)


def finding(start: int | None = 10, end: int | None = None, **fields: object) -> Finding:
    given: dict[str, object] = {"path": "a.py", "message": "trouble", "start_line": start, "end_line": end}
    return Finding.model_validate({"tool": "t", "rule": "R1", "severity": "high", **given, **fields})


def settled(
    *findings: Finding, report: Report = "added", root: Path = Path("/nowhere"), **words: object
) -> AgentResult:
    result = AgentResult.model_validate({"outcome": Outcome.FINDINGS, "findings": findings, **words})
    return settle(result, plan(report), DIFF, root, REDACT)


def one(kept: Finding, report: Report = "all") -> Finding:
    (settled_finding,) = settled(kept, report=report).findings
    return settled_finding


# -- places


@pytest.mark.parametrize(
    ("report", "lines"),
    [("added", [10]), ("context", [10, 8]), ("file", [10, 8, 30]), ("all", [10, 8, 30, 1])],
)
def test_report_decides_which_findings_count(report: Report, lines: list[int]) -> None:
    everywhere = (finding(10), finding(8), finding(30), finding(1, path="b.py"))
    assert [kept.start_line for kept in settled(*everywhere, report=report).findings] == lines


def test_finding_of_the_whole_run_counts_always() -> None:
    assert settled(finding(None, path="")).outcome is Outcome.FINDINGS


def test_nothing_left_is_clean_and_other_outcomes_stand() -> None:
    assert settled(finding(30)).outcome is Outcome.CLEAN
    assert settled(finding(30), outcome=Outcome.PARTIAL).outcome is Outcome.PARTIAL
    assert settled(finding(10, new=False)).outcome is Outcome.CLEAN


def test_lines_of_one_hunk_are_kept() -> None:
    kept = one(finding(8, 14, replacement="x"), "added")
    assert (kept.start_line, kept.end_line, kept.place, kept.replacement) == (8, 14, "added", "x")


def test_lines_beyond_the_hunk_are_cut_to_the_first() -> None:
    kept = one(finding(10, 30, end_column=3, replacement="x"), "added")
    assert (kept.start_line, kept.end_line, kept.place, kept.end_column, kept.replacement) == (
        10,
        10,
        "added",
        None,
        None,
    )


def test_first_line_outside_every_hunk_gets_no_comment_and_counts_all_the_same() -> None:
    kept = one(finding(2, 30, replacement="x"), "added")
    assert (kept.start_line, kept.end_line, kept.place, kept.replacement) == (2, 30, "context", None)


def test_replacement_outside_the_diff_is_dropped() -> None:
    assert one(finding(30, replacement="x")).replacement is None


@pytest.mark.parametrize("path", ["/etc/passwd", "../a.py", "a/../../b", "a\0b"])
def test_path_that_leads_outside_is_no_path(path: str) -> None:
    kept = one(finding(3, path=path))
    assert (kept.path, kept.start_line, kept.place) == ("", None, "elsewhere")


def test_path_is_written_as_the_diff_has_it() -> None:
    assert one(finding(path="./a.py")).place == "added"


def test_lines_that_cannot_be_are_mended() -> None:
    assert one(finding(10, 3)).end_line == 10
    assert one(finding(10**12)).start_line is None
    assert one(finding(10, 10**12)).start_line == 10
    assert one(finding(10, start_column=10**12)).start_column is None


# -- identity


def test_identity_follows_the_line_and_not_its_number(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x\n" * 9 + "import os\n" + "import os\n")
    first, second = settled(finding(10), finding(11), root=tmp_path).findings
    (tmp_path / "a.py").write_text("x\n" * 10 + "  import   os\n")
    (moved,) = settled(finding(11), root=tmp_path).findings
    assert first.fingerprint != second.fingerprint
    assert first.fingerprint == moved.fingerprint


def test_lines_are_read_only_from_the_repository_s_files(tmp_path: Path) -> None:
    root, secret = tmp_path / "root", tmp_path / "secret"
    (root / "folder").mkdir(parents=True)
    secret.write_text("one\n")
    (root / "link").symlink_to(secret)
    names = ["link", "folder", "x" * 300]
    kept = settled(*(finding(1, path=name) for name in names), report="all", root=root).findings
    assert [found.path for found in kept] == names


def test_lines_are_read_through_the_repository_s_own_links(tmp_path: Path) -> None:
    """However a line ends."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "real").write_bytes(b"one\r\ntwo\rimport os\n")
    (tmp_path / "linked").symlink_to("folder")
    (tmp_path / "link").symlink_to("folder/real")
    paths = ["folder/real", "linked/real", "link"]
    through = [settled(finding(3, path=path), report="all", root=tmp_path).findings[0] for path in paths]
    lines = [with_fingerprints([kept], lambda *_: "import os")[0] for kept in through]
    assert [kept.fingerprint for kept in through] == [kept.fingerprint for kept in lines]


def test_agent_and_tool_are_the_source() -> None:
    assert one(finding(sources=("forged/by-the-agent",))).sources == ("own/t",)


# -- words


def test_every_text_is_redacted() -> None:
    fields: dict[str, Any] = {
        name: f"{name} {SECRET}" for name in ("tool", "rule", "message", "evidence", "scenario", "replacement")
    }
    words: dict[str, Any] = {name: f"{name} {SECRET}" for name in ("summary", "reason", "remedy", "log")}
    result = settled(
        finding(url=f"https://example.com/{SECRET}", **fields),
        not_covered=(NotCovered(what=SECRET, why=SECRET),),
        tools={SECRET: SECRET},
        **words,
    )
    assert SECRET not in result.model_dump_json()
    (kept,) = result.findings
    assert (kept.message, kept.replacement, kept.url) == ("message [redacted: secret]", None, None)
    assert kept.sources == ("own/tool [redacted: secret]",)


def test_lines_around_a_fix_are_kept_but_for_those_with_a_secret(tmp_path: Path) -> None:
    lines = [f"line {number}\n" for number in range(1, 50)]
    lines[41] = f"{SECRET}\n"
    (tmp_path / "a.py").write_text("".join(lines))
    forged = ({"path": "a.py", "first": 1, "text": "forged"},)
    kept = settled(finding(10, replacement="x"), finding(43, replacement="x"), root=tmp_path, excerpts=forged).excerpts
    assert [(one.path, one.first, one.text) for one in kept] == [("a.py", 7, "".join(lines[6:13]))]


def test_secret_at_the_edge_is_redacted_before_it_is_cut() -> None:
    token = "ghp_" + "k3Jd82hsK2mQp0Zx7Yb4Wc9Ve1Tu5Rn6La8S"
    for edge in range(3_950, 4_001, 7):
        text = " " * edge + token
        kept = settled(finding(message=text), reason=text, log=token + " " * (64_000 - 20))
        assert "ghp_" not in kept.model_dump_json()
        assert "La8S" not in kept.log


def test_texts_are_bounded() -> None:
    endless = "word " * 100_000
    fields: dict[str, Any] = dict.fromkeys(("tool", "rule", "message", "evidence", "scenario"), endless)
    words: dict[str, Any] = dict.fromkeys(("summary", "reason", "remedy", "log"), endless)
    result = settled(finding(10, **fields), not_covered=(NotCovered(what=endless, why=endless),), **words)
    assert len(result.model_dump_json()) < 130_000
    assert result.log == endless[-64_000:]


def test_surrogates_are_written_out() -> None:
    kept = settled(finding(tool="\udcff", rule="\udcff", url="https://\udcff"), tools={"\udcff": "\udcff"})
    assert kept.model_dump_json()


@pytest.mark.parametrize("path", ["\ud800.py", "a" * 5_000, "a/" * 3_000 + "b"])
def test_a_path_that_no_file_can_have_is_one_without_lines(path: str) -> None:
    kept = one(finding(10, path=path))
    assert kept.start_line == 10
    assert kept.fingerprint


@given(st.lists(st.text(st.sampled_from("\n\0a \"'=ghp_")), max_size=8))
def test_redacting_many_at_once_is_redacting_each(texts: list[str]) -> None:
    texts = [*texts, f"password={SECRET}", "\n\0\n", f"https://a:{SECRET}"]
    kept = settled(*(finding(10, message=text) for text in texts)).findings
    assert [found.message for found in kept] == [REDACT(text) for text in texts]
