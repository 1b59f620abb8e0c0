"""An agent's job: what is kept of what it says, and what becomes of an attempt that goes wrong or is called off."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from bot.domain.events import AgentFinished, CommitReceived, PullChanged
from bot.domain.findings import AgentResult, Finding, Outcome, Severity
from bot.domain.plan import AgentPlan, Plan
from bot.domain.redact import Redactor
from bot.domain.run import Run, RunKey
from bot.domain.triggers import Manual, Pull
from bot.errors import Misconfigured, Unavailable
from bot.store import Store
from tests.workers.stage import Stage
from workers.agent import Agent, Command, Kit, Work
from workers.checkout import Mirrors
from workers.run import Bench, look, on_agent
from workers.sandbox.process import ProcessSandbox

PLAN = AgentPlan(name="own", kind="command", required=True, fail_on=Severity.MEDIUM, report="added", timeout=60)


def says(result: AgentResult) -> Callable[[AgentPlan], Agent]:
    """An agent that has nothing else to say."""
    return does(lambda _work, _kit: result)


def does(run: Callable[[Work, Kit], AgentResult]) -> Callable[[AgentPlan], Agent]:
    @dataclass(frozen=True)
    class Doing:
        def run(self, work: Work, kit: Kit) -> AgentResult:
            return run(work, kit)

    return lambda _plan: Doing()


def raises(error: BaseException) -> Callable[[AgentPlan], Agent]:
    def run(_work: Work, _kit: Kit) -> AgentResult:
        raise error

    return does(run)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path, {"a.py": "x = 1\n"})


# -- whatever an agent does is a result


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


# -- jobs


def commit(repository: Path, files: dict[str, str]) -> str:
    """A repository with one commit; its name."""
    repository.mkdir(parents=True)
    for name, text in files.items():
        (repository / name).write_text(text)
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.com"]
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "x"]):
        subprocess.run([*git, *arguments], cwd=repository, check=True)
    return (
        subprocess.run([*git, "rev-parse", "HEAD"], cwd=repository, check=True, capture_output=True)
        .stdout.decode()
        .strip()
    )


@dataclass
class Shop:
    """A bench on a repository of this machine, and a run of its one commit."""

    store: Store
    bench: Bench
    key: RunKey
    pauses: list[float] = field(default_factory=list)

    @property
    def run(self) -> Run:
        stored = self.store.load(self.key)
        assert stored is not None
        return stored.run

    def work(self, agent: Callable[[AgentPlan], Agent], attempt: int = 1) -> AgentResult:
        on_agent(replace(self.bench, agent_for=agent), self.key, "own", attempt)
        state = self.run.agent("own")
        assert state is not None
        assert state.result is not None
        return state.result


@pytest.fixture
def shop(tmp_path: Path, store: Store) -> Iterator[Shop]:
    repository = tmp_path / "remote" / "octo" / "demo.git"
    sha = commit(repository, {"a.py": "x = 1\n"})
    key = RunKey(repository="octo/demo", sha=sha)
    pull = Pull(number=1, base_ref="main", title="A title", body="Words", updated_at=1.0)
    store.update(key, CommitReceived(at=time.time(), installation=1, trigger=pull, plan=Plan(agents=(PLAN,))))

    def kit(progress: Callable[[str], None], cancelled: threading.Event) -> Kit:
        sandbox = ProcessSandbox("/usr/bin:/bin", cancelled=cancelled)
        return Kit(sandbox=sandbox, model=None, progress=progress, redact=Redactor(["never-to-be-shown"]))

    pauses: list[float] = []
    yield Shop(
        store=store,
        bench=Bench(
            runs=store,
            mirrors=Mirrors(tmp_path / "work", f"file://{tmp_path}/remote"),
            work_dir=tmp_path / "work",
            read_token=lambda _installation, _repository: None,
            agent_for=raises(AssertionError()),
            kit=kit,
            clock=time.time,
            sleep=pauses.append,
        ),
        key=key,
        pauses=pauses,
    )
    assert list((tmp_path / "work" / "runs").iterdir()) == []
