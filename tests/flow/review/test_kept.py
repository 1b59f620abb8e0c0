"""What is kept of what models are asked, and what need not be asked again."""

from __future__ import annotations

from pathlib import Path

import pytest
from redis import Redis

from bot.demo.github import StandInGitHub
from bot.demo.model import ScriptedModel
from bot.dialogue import Dialogue
from bot.domain.asked import Asked
from bot.domain.findings import Outcome
from bot.domain.run import RunKey
from bot.domain.verdict import Conclusion, findings
from tests.cli.command import caller
from tests.flow.assay import REPOSITORY, Assay
from tests.flow.review.reviewing import (
    FAULTY,
    Reviewer,
    opened,
    review_of,
)
from workers.agents.claims import Review
from workers.recording import ReplayedModel


def test_every_question_is_kept_and_the_same_one_is_answered_from_it(assay: Assay, github: StandInGitHub) -> None:
    _, sha = opened(github)
    assay.settle()
    key = RunKey(repository=REPOSITORY, sha=sha)
    kept = Dialogue(assay.redis, 60).of(key)
    assert [(one.agent, one.shape) for one in kept] == [("review", "Review"), ("review/verifier", "Rulings")]
    assert all(one.cost and one.cost.input_tokens and one.answer for one in kept)
    model = ReplayedModel(kept)
    answer, _ = model.ask(kept[0].system, kept[0].user, Review, timeout=1)
    assert len(answer.findings) == 2


def test_replay_asks_another_model_and_shows_both(
    assay: Assay, github: StandInGitHub, reviewer: Reviewer, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    _, sha = opened(github)
    assay.settle()
    asked = len(reviewer.asked)
    (tmp_path / "prompt.md").write_text("Be brief.")
    ended = caller(capsys)("replay", sha, "--agent", "review", "--model", "other", "--prompt", tmp_path / "prompt.md")
    assert ended.code == 0, ended.err
    assert reviewer.asked[asked:] == ["review"]
    assert "= demo.py:2" in ended.out
    assert "said then and now 2, only then 0, only now 0" in ended.out
    reviewer.rule = lambda _number, _line: {"verdict": "refuted"}
    ended = caller(capsys)("replay", sha, "--agent", "verify")
    assert "holds: By that line." in ended.out
    assert "refuted: By that line." in ended.out
    assert caller(capsys)("replay", sha).code == 0


def test_order_to_review_asks_what_was_not_answered_and_with_full_all_of_it(
    assay: Assay, github: StandInGitHub, reviewer: Reviewer
) -> None:
    number, sha = opened(github)
    assay.settle()
    asked = len(reviewer.asked)
    github.comment(REPOSITORY, number, "/assay review", author="alice")
    assay.settle()
    state = review_of(assay, sha)
    assert state.attempt > 1
    assert state.outcome is Outcome.FINDINGS
    assert len(reviewer.asked) == asked
    github.comment(REPOSITORY, number, "/assay review --full", author="eve")
    assay.settle()
    assert review_of(assay, sha).attempt == state.attempt
    assert len(reviewer.asked) == asked
    github.comment(REPOSITORY, number, "/assay review --full", author="alice")
    assay.settle()
    assert reviewer.asked[asked:] == ["review"]


@pytest.mark.usefixtures("by_responses")
def test_review_and_verifier_ask_by_the_responses_api_where_the_operator_says_so(
    assay: Assay, github: StandInGitHub, reviewer: Reviewer, server: ScriptedModel
) -> None:
    number, sha = opened(github)
    assay.settle()
    assert reviewer.asked == ["review", "verify"]
    assert {request.api for request in server.requests} == {"responses"}
    assert assay.verdict(sha) is Conclusion.FAILURE
    assert "&#36;0.0" in assay.comment(number)


def test_rebase_that_only_moves_lines_asks_nothing_and_findings_go_along(
    assay: Assay, github: StandInGitHub, reviewer: Reviewer
) -> None:
    body = "".join(f"line_{number} = {number}\n" for number in range(150))
    github.commit(REPOSITORY, "main", {"demo.py": body})
    github.commit(REPOSITORY, "feature", {"demo.py": f"{body}\n\n{FAULTY}"})
    number = github.open_pull(REPOSITORY, "feature")
    assay.settle()
    assert reviewer.asked == ["review", "verify"]
    before = github.review_comments(REPOSITORY, number)
    base = github.commit(REPOSITORY, "main", {"demo.py": f"more = 1\neven_more = 2\n{body}"})
    files = {"demo.py": f"more = 1\neven_more = 2\n{body}\n\n{FAULTY}"}
    sha = github.push(REPOSITORY, "feature", files, parent=base)
    assay.settle()
    assert reviewer.asked == ["review", "verify"]
    found = findings(assay.run(sha))
    assert [(one.start_line, one.verification) for one in found] == [(156, "confirmed"), (160, "confirmed")]
    assert len(github.review_comments(REPOSITORY, number)) == len(before), "no thread twice"


@pytest.mark.usefixtures("unlogged")
def test_nothing_of_what_models_were_asked_is_kept_where_the_operator_says_so(
    assay: Assay, github: StandInGitHub, reviewer: Reviewer, capsys: pytest.CaptureFixture[str]
) -> None:
    _, sha = opened(github)
    assay.settle()
    assert reviewer.asked == ["review", "verify"]
    assert review_of(assay, sha).outcome is Outcome.FINDINGS
    assert Dialogue(assay.redis, 60).of(RunKey(repository=REPOSITORY, sha=sha)) == []
    ended = caller(capsys)("replay", sha, "--agent", "review", "--model", "other")
    assert ended.code != 0
    assert "ASSAY_LLM_LOG was off" in ended.err
    assert reviewer.asked == ["review", "verify"]


def test_what_is_kept_of_a_run_is_bounded(redis: Redis) -> None:
    kept, key = Dialogue(redis, 60), RunKey(repository=REPOSITORY, sha="a" * 40)
    one = Asked(agent="review", attempt=1, at=0.0, model="m", shape="Review", system="s", user="u" * 900_000)
    assert not kept.note(key, one.model_copy(update={"answer": "a" * 200_000})), "one is too large"
    assert [kept.note(key, one) for _ in range(19)] == [True] * 17 + [False] * 2, "together they are"
    assert len(kept.of(key)) == 17
