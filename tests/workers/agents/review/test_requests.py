"""Reviews of many requests, and of faults in the middle of them."""

from __future__ import annotations

import json
import threading
from dataclasses import replace

import pytest

from bot.demo.model import KEY, MODEL, ScriptedModel
from bot.demo.model_wire import RATE_LIMIT, TOO_LONG, Answer, ChatRequest, Reply
from bot.demo.reviewer import Planted, added_lines, demo_reviewer
from bot.domain.findings import Outcome
from config.prompt_files import load_prompt
from config.settings import load
from tests.workers.agents.review.reviewing import (
    AFTER,
    BEFORE,
    QUIET,
    NoSandbox,
    failing_from,
    files,
    review,
    run,
    work_on,
)
from workers.agents import meanwhile, reading
from workers.agents.review import HALVINGS, ReviewAgent
from workers.kit import make_kit
from workers.llm.client import OpenAIModel
from workers.llm.prices import Price, room_of
from workers.sandbox.process import ProcessSandbox


@pytest.mark.usefixtures("small_requests")
def test_many_requests_are_one_review() -> None:
    progress: list[str] = []
    ones = Planted(r"^value_[02] = 1$", "T", "E", "S")
    result, server = review(work_on({}, files(5)), demo_reviewer(ones, summary="Values."), progress)
    assert len(server.requests) == 5
    assert result.covered == tuple(files(5))
    assert {finding.path for finding in result.findings} == {"f0.py", "f2.py"}
    assert [words.partition(";")[0] for words in progress] == [f"reading {read} of 5 files" for read in (2, 4, 5)]
    assert all("estimated" in words for words in progress)
    assert "so far" in progress[1]
    assert result.cost
    assert result.cost.input_tokens > 5 * 200


@pytest.mark.usefixtures("small_requests")
def test_those_who_wait_are_told_of_what_is_written_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meanwhile, "PAUSE", 0.1)
    said = list[str]()
    slow = Reply(json.dumps({"summary": "w" * 600, "findings": []}), pause=0.05)
    with ScriptedModel([slow] * 5) as server:
        environ = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": server.base_url, "ASSAY_LLM_MODEL": MODEL}
        kit = make_kit(load(environ), lambda _: ProcessSandbox())(said.append, threading.Event())
        result = ReviewAgent(load_prompt("review")).run(work_on({}, files(5)), replace(kit, sandbox=NoSandbox()))
    assert result.outcome is Outcome.CLEAN
    first = [words for words in said if words.startswith("reading 2 of 5 files; 0 of 5 requests answered; ")]
    last = [words for words in said if words.startswith("reading 5 of 5 files; 4 of 5 requests answered; ")]
    assert "written" not in first[0]
    tokens = [int(words.rpartition("; ")[2].split()[0].replace(",", "")) for words in said if "written so far" in words]
    assert len(tokens) > 3
    assert tokens == sorted(tokens)
    assert tokens[0] < 200 < 800 < tokens[-1]
    assert len(last) > 1


@pytest.mark.usefixtures("small_requests")
def test_what_is_beyond_one_review_is_said() -> None:
    result, server = review(work_on({}, files(9)), QUIET)
    assert len(server.requests) == reading.MAX_REQUESTS
    assert result.outcome is Outcome.PARTIAL
    assert [one.what for one in result.not_covered] == ["f6.py", "f7.py", "f8.py"]
    assert "3 files not read" in result.reason
    assert "Read 6 of 9 files." in result.summary


def test_a_request_that_is_too_long_for_the_model_is_asked_in_parts() -> None:
    def script(request: ChatRequest) -> Answer:
        shown = {path for path, _, _ in added_lines(request.text)}
        return TOO_LONG if len(shown) > 2 else demo_reviewer(ones, summary="Values.")(request)

    ones, said = Planted(r"^value_[06] = 1$", "T", "E", "S"), list[str]()
    result, server = review(work_on({}, files(7)), script, said)
    assert set(result.covered) == set(files(7))
    assert {finding.path for finding in result.findings} == {"f0.py", "f6.py"}
    assert result.outcome is Outcome.FINDINGS
    assert len(server.requests) == 7, "one of 7 files, 2 of about a half, and their halves"
    assert result.log.count("asked in 2 smaller requests: the request is longer than") == 3
    assert "3 of 5 requests answered" in said[-1] or "2 of 4 requests answered" in said[-1]


def test_a_model_that_takes_nothing_is_not_asked_for_ever() -> None:
    result, server = review(work_on({}, files(60)), lambda _: TOO_LONG)
    assert result.outcome is Outcome.ERROR
    assert {one.what for one in result.not_covered} == set(files(60))
    assert len(server.requests) == 2 ** (HALVINGS + 1) - 1
    assert "longer than" in result.reason


def test_one_hunk_that_is_too_long_is_asked_about_without_what_might_help() -> None:
    work = work_on(BEFORE, AFTER, messages=lambda: ("words " * 100,))
    result, server = review(work, lambda request: TOO_LONG if "words words" in request.text else QUIET(request))
    assert (result.outcome, result.covered) == (Outcome.CLEAN, ("sum.py",))
    assert len(server.requests) == 2


def test_requests_are_as_long_as_the_model_takes() -> None:
    many = {f"f{number}.py": f"value_{number} = 1\n" * 200 for number in range(12)}
    sent = dict[int, int]()
    for context in (8_192, 16_384, 128_000):
        with ScriptedModel(QUIET) as server:
            prices = {MODEL: Price(input=0.0, output=0.0, context=context)}
            result = run(work_on({}, many), OpenAIModel(KEY, server.base_url, MODEL, 10, prices))
        assert set(result.covered) == set(many)
        assert all(len(request.text) <= room_of(context) for request in server.requests)
        sent[context] = len(server.requests)
    assert sent[8_192] > sent[16_384] > sent[128_000] == 1


@pytest.mark.usefixtures("small_requests")
def test_an_outage_midway_keeps_what_was_read_and_names_the_rest() -> None:
    result, server = review(work_on({}, files(6)), failing_from(2, RATE_LIMIT))
    assert result.outcome is Outcome.PARTIAL
    assert result.covered == ("f0.py", "f1.py")
    assert [one.what for one in result.not_covered] == ["f2.py", "f3.py", "f4.py", "f5.py"]
    assert "limits the rate" in result.reason
    assert len(server.requests) == 2 + 2 * 3, "after the outage nothing more is asked"


@pytest.mark.usefixtures("small_requests")
@pytest.mark.parametrize(
    "fault", [TOO_LONG, Reply(refusal="I cannot."), Reply("nonsense"), Reply("{", finish_reason="length")]
)
def test_a_fault_of_one_request_does_not_end_the_others(fault: Answer) -> None:
    def script(request: ChatRequest) -> Answer:
        return fault if "--- f1.py" in request.text else QUIET(request)

    result, _ = review(work_on({}, files(4)), script)
    assert result.outcome is Outcome.PARTIAL
    assert result.covered == ("f0.py", "f2.py", "f3.py")
    assert [one.what for one in result.not_covered] == ["f1.py"]
