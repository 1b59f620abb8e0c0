"""What was answered before is not asked again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from bot.demo.model import KEY, MODEL, Script, ScriptedModel
from bot.demo.model_wire import RATE_LIMIT
from bot.demo.reviewer import Planted, demo_reviewer
from bot.domain.findings import AgentResult, Outcome
from bot.domain.redact import redact
from config.prompt_files import load_prompt
from tests.workers.agents.review.reviewing import (
    QUIET,
    NoSandbox,
    failing_from,
    files,
    work_on,
)
from workers.agent import Kit
from workers.agents.review import ReviewAgent
from workers.file_memory import FileMemory
from workers.llm.client import OpenAIModel


@pytest.mark.usefixtures("small_requests")
def test_the_same_question_is_asked_once_unless_a_person_wants_it_anew(tmp_path: Path) -> None:
    memory = FileMemory(tmp_path / "memory", "octo/shop")
    planted = demo_reviewer(Planted(r"^value_0 = 1$", "T", "E", "S"), summary="Values.")

    def look(after: Mapping[str, str], anew: str = "", script: Script = planted) -> tuple[AgentResult, int]:
        with ScriptedModel(script) as server:
            kit = Kit(NoSandbox(), OpenAIModel(KEY, server.base_url, MODEL, 10), lambda _: None, redact, memory)
            result = ReviewAgent(load_prompt("review")).run(replace(work_on({}, after), look=anew), kit)
            return result, len(server.requests)

    first, asked = look(files(3))
    again, none = look(files(3))
    assert (asked, none) == (3, 0)
    assert (again.findings, again.covered, again.cost) == (first.findings, first.covered, None)
    assert look(files(3) | {"f2.py": "other = 2\n" * 30})[1] == 1
    assert look(files(3), "a full look")[1] == 3
    assert look(files(3) | {"f3.py": "value_3 = 3\n"}, "a full look")[1] == 1, "what that look was answered"
    assert look(files(3), "another full look")[1] == 3


@pytest.mark.usefixtures("small_requests")
def test_after_an_outage_only_what_was_not_answered_is_asked(tmp_path: Path) -> None:
    memory = FileMemory(tmp_path / "memory", "octo/shop")
    counts = []
    for script in (failing_from(2, RATE_LIMIT), QUIET):
        with ScriptedModel(script) as server:
            kit = Kit(NoSandbox(), OpenAIModel(KEY, server.base_url, MODEL, 10), lambda _: None, redact, memory)
            result = ReviewAgent(load_prompt("review")).run(work_on({}, files(4)), kit)
            counts.append(len(server.requests))
        assert (result.retry_after is None) is (result.outcome is Outcome.CLEAN)
    assert counts[1] == 2
