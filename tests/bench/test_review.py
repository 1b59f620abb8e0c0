"""The harness for reviews with known faults: its cases are sound, it counts right, and it runs the real reviewer."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bench.review.__main__ import main
from bench.review.cases import Case, Golden, golden_comments, planted, work_tree
from bench.review.judge import judge_with
from bench.review.score import Reviewed, by_place, evaluate, summary, total
from bot.demo.model import KEY, MODEL, ScriptedModel
from bot.demo.model_wire import Reply
from bot.domain.findings import Finding
from tests.builders import finding
from workers.llm.client import OpenAIModel

URL = "https://github.com/octo/demo/pull/1"


@pytest.fixture(autouse=True)
def _own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "ASSAY_LLM_MODEL"):
        # So that what the command sets is undone.
        monkeypatch.setenv(name, "unset")


def said(*lines: int, path: str = "a.py") -> tuple[Finding, ...]:
    return tuple(finding(path=path, start_line=line, message=f"trouble on {line}") for line in lines)


def test_planted_cases_are_many_in_several_languages_and_sound() -> None:
    cases = planted()
    assert sum(len(case.golden) for case in cases) >= 20
    assert len({Path(case.path).suffix for case in cases}) >= 8
    assert sum(not case.golden for case in cases) >= 3
    assert all(case.before != case.after for case in cases)
    assert len({case.url for case in cases}) == len(cases)


def test_fault_whose_place_is_not_plain_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.yml").write_text(
        "- {pr_title: t, path: a.py, before: '', after: 'x', comments: [{comment: c, severity: Low, at: y}]}"
    )
    with pytest.raises(ValueError, match=r"planted:x/1: 'y' stands on 0 lines"):
        planted(tmp_path)


def test_every_golden_comment_is_found_once_and_every_candidate_finds_one() -> None:
    golden = (Golden("one", "High", "a.py", 3), Golden("two", "Low", "a.py", 4), Golden("three", "Low", "b.py", 3))
    got = evaluate(URL, Reviewed(said(3, 3, 3, 40), "findings"), golden, by_place)
    assert (got["tp"], got["fp"], got["fn"]) == (2, 2, 1)
    assert (got["precision"], got["recall"]) == (0.5, 2 / 3)
    assert got["true_positives"][0] == {
        "golden_comment": "one",
        "severity": "High",
        "matched_candidate": "trouble on 3",
    }
    assert [one["golden_comment"] for one in got["false_negatives"]] == ["three"]


def test_total_counts_over_all_and_names_what_went_wrong() -> None:
    good = evaluate(
        URL, Reviewed(said(3), "findings", usd=0.5, tokens=10, seconds=1), (Golden("g", "Low", "a.py", 3),), by_place
    )
    bad = evaluate(
        URL, Reviewed((), "error", "no answer", tokens=2, seconds=3), (Golden("h", "Low", "a.py", 3),), by_place
    )
    assert bad["errors"] == ["error: no answer"]
    score = total([good, bad])
    assert (score.precision, score.recall, score.comments, score.errors, score.usd) == (1, 0.5, 0.5, 1, None)
    assert "1 reviews that did not end well" in summary(score)
    assert total([good]).usd == 0.5
    assert total([]).precision == 0


def test_harness_runs_the_reviewer_and_its_verifier_and_writes_the_bench_s_files(tmp_path: Path) -> None:
    """The scripted model misses every sixth fault; what it invents for every fourth change the verifier refutes."""
    ended = CliRunner().invoke(main, ["--scripted", "--only", "planted:(go|java)/", "--results", str(tmp_path)])
    assert ended.exit_code == 0, ended.output
    assert "6 pull requests, 6 known faults, 0 reviews that did not end well" in ended.output
    assert "precision 100%   recall 83%" in ended.output
    evaluations: dict[str, Any] = json.loads((tmp_path / "by_place" / "evaluations.json").read_text())
    assert sum(each["assay"]["tp"] for each in evaluations.values()) == 5
    candidates = json.loads((tmp_path / "by_place" / "candidates.json").read_text())
    assert candidates["planted:go/1"]["assay"][0]["line"] == 7


def test_verifier_is_what_keeps_false_alarms_out(tmp_path: Path) -> None:
    ended = CliRunner().invoke(main, ["--scripted", "--only", "planted:go/|java/1", "--no-verify"])
    assert "precision 80%   recall 100%" in ended.output


def test_real_pull_request_needs_a_clone_and_a_judge(tmp_path: Path) -> None:
    file = tmp_path / "golden.json"
    entry = {"pr_title": "T", "url": URL, "comments": [{"comment": "It is wrong", "severity": "High"}]}
    file.write_text(json.dumps([entry]))
    (case,) = golden_comments(file)
    with pytest.raises(ValueError, match="--clones"), work_tree(case, None):
        pass
    clone = tmp_path / "clones" / "octo" / "demo"
    clone.mkdir(parents=True)

    def git(*arguments: str) -> str:
        who = ("-c", "user.name=a", "-c", "user.email=a@example.com")
        done = subprocess.run(["git", *who, *arguments], cwd=clone, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    git("init", "--quiet")
    git("commit", "--quiet", "--allow-empty", "-m", "base")
    base = git("rev-parse", "HEAD")
    git("checkout", "--quiet", "--detach")
    (clone / "a.py").write_text("x = 1\n")
    git("add", ".")
    git("commit", "--quiet", "-m", "change")
    git("update-ref", "refs/pull/1/head", "HEAD")
    git("checkout", "--quiet", "-")
    git("checkout", "--quiet", base)
    with work_tree(case, tmp_path / "clones") as (root, against):
        assert against == base
        assert (root / "a.py").read_text() == "x = 1\n"
    assert "worktree" not in git("worktree", "list")
    with pytest.raises(ValueError, match="--judge"):
        judge_with(None)(said(1)[0], case.golden[0])


@pytest.mark.parametrize("same", [True, False])
def test_model_judges_what_names_no_line(same: bool) -> None:
    with ScriptedModel([Reply(json.dumps({"same": same}))]) as scripted:
        judge = judge_with(OpenAIModel(KEY, scripted.base_url, MODEL, 10))
        assert judge(said(1)[0], Golden("It is wrong", "High")) is same
        assert judge(said(3)[0], Golden("It is wrong", "High", "a.py", 3))
    assert len(scripted.requests) == 1
    assert Case(URL, "t", ()).planted is False
