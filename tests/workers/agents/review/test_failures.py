"""Providers of which nothing is heard that is of use."""

from __future__ import annotations

import json

import pytest

from bot.demo.model import KEY, MODEL, ScriptedModel
from bot.demo.model_wire import RATE_LIMIT, TOO_LONG, Answer, Broken, Problem, Reply
from bot.domain.findings import Outcome
from tests.workers.agents.review.reviewing import (
    AFTER,
    BEFORE,
    QUIET,
    review,
    run,
    work_on,
)
from workers.llm.client import OpenAIModel


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (RATE_LIMIT, "limits the rate"),
        (Problem(500, "boom"), "boom"),
        (Broken("reset"), "cannot be reached"),
        (Broken("cut"), "cannot be reached"),
        (Broken("garbage"), "check its URL"),
        (Reply("nonsense"), "does not fit"),
        (Reply(refusal="I cannot help."), "I cannot help."),
        (TOO_LONG, "longer than"),
        (Problem(403, "no access"), "OPENAI_API_KEY"),
    ],
)
def test_a_provider_that_never_answers_well_is_an_error_in_its_words(fault: Answer, words: str) -> None:
    result, _ = review(work_on(BEFORE, AFTER), lambda request: fault)
    assert result.outcome is Outcome.ERROR
    assert words in result.reason
    assert result.covered == ()
    assert [one.what for one in result.not_covered] == ["sum.py"]


def test_a_wrong_key_is_an_error_that_names_the_setting() -> None:
    with ScriptedModel(QUIET, key="another") as server:
        result = run(work_on(BEFORE, AFTER), OpenAIModel(KEY, server.base_url, MODEL, 10))
    assert result.outcome is Outcome.ERROR
    assert "OPENAI_API_KEY" in result.reason


def test_a_slow_provider_cannot_hold_the_agent_beyond_its_time() -> None:
    result, _ = review(work_on(BEFORE, AFTER, timeout=1), [Broken("drip", seconds=20)])
    assert result.outcome is Outcome.ERROR
    assert "in time" in result.reason


def test_an_answer_that_takes_too_long_is_paid_for_as_far_as_it_came() -> None:
    slow = Reply(json.dumps({"summary": "It sums." * 5_000, "findings": []}), pause=0.05)
    result, server = review(work_on(BEFORE, AFTER, timeout=2), [slow])
    assert len(server.requests) == 1
    assert "in time" in result.reason
    assert result.cost
    assert result.cost.input_tokens > 500
    assert 0 < result.cost.output_tokens < 1_000
