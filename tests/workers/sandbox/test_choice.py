"""Which sandbox is chosen, and that nothing is executed where there is none."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from bot.domain.findings import AgentResult, Outcome
from bot.errors import NoSandbox
from tests.builders import agent_plan
from tests.workers.stage import Stage
from workers.agent import Command, Kit, Work
from workers.agents.shell import Shell
from workers.look import look
from workers.sandbox.bubblewrap import BubblewrapSandbox
from workers.sandbox.choice import choose
from workers.sandbox.process import ProcessSandbox

PATH = os.environ["PATH"]


@pytest.fixture
def without_bubblewrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))


def test_auto_is_bubblewrap_where_it_works() -> None:
    choice = choose("auto", PATH)
    if choice.why_not:
        pytest.skip(f"no sandbox here: {choice.why_not}")
    assert isinstance(choice.make(threading.Event()), BubblewrapSandbox)
    assert choice.isolates
    assert choice.level.startswith("bubblewrap")


def test_none_isolates_nothing_and_says_so() -> None:
    choice = choose("none", PATH)
    assert isinstance(choice.make(threading.Event()), ProcessSandbox)
    assert (choice.isolates, choice.level) == (False, "process runner (no isolation)")


@pytest.mark.usefixtures("without_bubblewrap")
@pytest.mark.parametrize("kind", ["auto", "bubblewrap"])
def test_without_bubblewrap_nothing_is_executed(tmp_path: Path, kind: str) -> None:
    choice = choose("auto" if kind == "auto" else "bubblewrap", PATH)
    assert choice.why_not.endswith("is not installed")
    with pytest.raises(NoSandbox, match="apt-get install bubblewrap"):
        choice.make(threading.Event()).run(Command(["/bin/sh", "-c", f"touch {tmp_path}/made"], tmp_path, 5))
    assert not (tmp_path / "made").exists()


@pytest.mark.usefixtures("without_bubblewrap")
def test_an_agent_that_needs_it_is_not_run_and_says_how_to_mend_that(tmp_path: Path) -> None:
    class Runs:
        def run(self, work: Work, kit: Kit) -> AgentResult:
            Shell.begin(work, kit, tmp_path).script("true")
            raise AssertionError("it went on")

    stage = Stage(tmp_path, {"a.py": ""}, sandbox=choose("auto", PATH).make(threading.Event()))
    result = look(agent_plan("test"), stage.work(), stage.kit(), lambda _: Runs())
    assert result.outcome is Outcome.NOT_RUN
    assert "is not installed" in result.reason
    assert "apt-get install bubblewrap" in result.remedy


def test_a_result_says_what_its_commands_ran_in(tmp_path: Path) -> None:
    class Runs:
        def run(self, work: Work, kit: Kit) -> AgentResult:
            kit.sandbox.run(Command(["true"], work.root, 5))
            return AgentResult(outcome=Outcome.CLEAN)

    stage = Stage(tmp_path, {"a.py": ""})
    assert look(agent_plan("test"), stage.work(), stage.kit(), lambda _: Runs()).sandbox == stage.sandbox.level
