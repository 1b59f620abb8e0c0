"""Reviews of many requests, and of faults in the middle of them."""

from __future__ import annotations

import json
import threading
from dataclasses import replace

import pytest

from bot.demo.model import KEY, MODEL, ScriptedModel
from bot.demo.model_wire import RATE_LIMIT, TOO_LONG, Answer, ChatRequest, Reply
from bot.demo.reviewer import Planted, demo_reviewer
from bot.domain.findings import Outcome
from config.prompt_files import load_prompt
from config.settings import load
from tests.workers.agents.review.reviewing import (
    QUIET,
    NoSandbox,
    failing_from,
    files,
    review,
    work_on,
)
from workers.agents import meanwhile, reading
from workers.agents.review import ReviewAgent
from workers.kit import make_kit
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
