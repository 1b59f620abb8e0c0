"""Whatever an agent does is a result."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.domain.findings import AgentResult, Outcome
from bot.errors import Misconfigured
from tests.builders import agent_plan
from tests.workers.stage import Stage, raises, says
from workers.look import look

PLAN = agent_plan("own", kind="command")


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path, {"a.py": "x = 1\n"})


def test_expected_failure_is_an_error_in_its_own_words(stage: Stage) -> None:
    result = look(PLAN, stage.work(), stage.kit(), raises(Misconfigured("install it")))
    assert (result.outcome, result.reason) == (Outcome.ERROR, "install it")


def test_bug_in_an_agent_is_an_error_without_secrets(stage: Stage) -> None:
    result = look(PLAN, stage.work(), stage.kit(), raises(KeyError(stage.secret)))
    assert (result.outcome, result.reason) == (Outcome.ERROR, "a fault in the agent: KeyError: '***'")


def test_interruption_is_not_swallowed(stage: Stage) -> None:
    with pytest.raises(KeyboardInterrupt):
        look(PLAN, stage.work(), stage.kit(), raises(KeyboardInterrupt()))


def test_agent_whose_paths_do_not_match_is_not_asked(stage: Stage) -> None:
    plan = PLAN.model_copy(update={"paths": ("docs/**",)})
    result = look(plan, stage.work(), stage.kit(), raises(AssertionError()))
    assert (result.outcome, result.reason) == (Outcome.SKIPPED, "no changed file matches its `paths`")


def test_time_it_took_is_measured(stage: Stage) -> None:
    assert look(PLAN, stage.work(), stage.kit(), says(AgentResult(outcome=Outcome.CLEAN))).seconds >= 0
