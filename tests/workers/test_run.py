"""An agent's job: what is kept of what it says, and what becomes of an attempt that goes wrong or is called off."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

import workers.run
from bot.demo.github import StandInGitHub
from bot.domain.events import AgentFinished, AgentProgressed, CommitReceived, PullChanged
from bot.domain.findings import AgentResult, Outcome, Severity
from bot.domain.plan import AgentPlan, Plan
from bot.domain.redact import Redactor
from bot.domain.run import Run, RunKey
from bot.domain.triggers import Manual, Pull
from bot.errors import Misconfigured, ToolFailed, Unavailable
from bot.store import Store
from tests.workers.stage import Stage
from workers.agent import Agent, Command, Completed, Kit, Work
from workers.checkout import Mirrors
from workers.run import Bench, look, on_agent
from workers.sandbox.process import ProcessSandbox

SECRET = "never-to-be-shown"
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


@dataclass
class Shop:
    """A bench, and a run of one commit of a repository with one agent, `own`."""

    github: StandInGitHub
    store: Store
    bench: Bench
    key: RunKey
    pauses: list[float]

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
    with StandInGitHub() as github:
        base = github.add_repository("octo/demo", {"a.py": "x = 1\n"}, private=False)
        sha = github.commit("octo/demo", "feature", {"a.py": "x = 1\ny = 2\n"})
        key = RunKey(repository="octo/demo", sha=sha)
        trigger = Pull(number=1, base_ref="main", base_sha=base, title="A title", body="Words", updated_at=1.0)
        plan = Plan(agents=(PLAN,))
        store.update(key, CommitReceived(at=time.time(), installation=1, trigger=trigger, plan=plan))

        def kit(progress: Callable[[str], None], cancelled: threading.Event) -> Kit:
            sandbox = ProcessSandbox("/usr/bin:/bin", cancelled=cancelled)
            return Kit(sandbox=sandbox, model=None, progress=progress, redact=Redactor([SECRET]))

        pauses: list[float] = []
        bench = Bench(
            runs=store,
            mirrors=Mirrors(tmp_path, github.url),
            work_dir=tmp_path,
            read_token=lambda _installation, _repository: None,
            agent_for=raises(AssertionError()),
            kit=kit,
            clock=time.time,
            sleep=pauses.append,
        )
        yield Shop(github, store, bench, key, pauses)
    assert not (tmp_path / "runs").exists() or list((tmp_path / "runs").iterdir()) == []


def test_agent_gets_the_commit_and_what_it_is_compared_with(shop: Shop) -> None:
    def look_around(work: Work, _kit: Kit) -> AgentResult:
        base = work.base()
        assert base is not None
        assert work.base() == base
        assert (work.root / "a.py").read_text() == "x = 1\ny = 2\n"
        assert (base / "a.py").read_text() == "x = 1\n"
        assert work.diff.place("a.py", 2) == "added"
        assert "+y = 2" in work.patch()
        assert (work.title, work.description, work.files, work.trusted) == ("A title", "Words", ("a.py",), True)
        return AgentResult(outcome=Outcome.CLEAN, summary="seen")

    assert shop.work(does(look_around)).summary == "seen"


def test_progress_is_told_without_secrets(shop: Shop) -> None:
    def tell(_work: Work, kit: Kit) -> AgentResult:
        kit.progress(f"at {SECRET}")
        return AgentResult(outcome=Outcome.CLEAN)

    shop.work(does(tell))
    told = [event for event in shop.store.log(shop.key) if isinstance(event, AgentProgressed)]
    assert [event.message for event in told] == ["at [redacted: secret]"]


def test_attempt_that_nobody_wants_any_more_is_not_begun(shop: Shop) -> None:
    closed = PullChanged(at=time.time(), number=1, updated_at=2.0, reason="closed")
    shop.store.update(shop.key, closed)
    before = shop.store.log(shop.key)
    assert shop.work(raises(AssertionError())).outcome is Outcome.CANCELLED
    assert shop.work(raises(AssertionError()), attempt=7).outcome is Outcome.CANCELLED
    assert shop.store.log(shop.key) == before


def test_commit_that_is_gone_is_an_error_that_says_so(shop: Shop) -> None:
    key = shop.key.model_copy(update={"sha": "f" * 40})
    event = CommitReceived(at=time.time(), installation=1, trigger=Manual(), plan=Plan(agents=(PLAN,)))
    shop.store.update(key, event)
    shop.key = key
    result = shop.work(raises(AssertionError()))
    assert (result.outcome, "the commit is gone" in result.reason) == (Outcome.ERROR, True)
    assert shop.pauses == []


def test_server_that_is_away_is_asked_again_and_then_given_up(shop: Shop) -> None:
    shop.github.fail(path=".git/", status=503, times=100)
    result = shop.work(raises(AssertionError()))
    assert (result.outcome, "could not be fetched" in result.reason) == (Outcome.ERROR, True)
    assert shop.pauses == [1, 5, 15]


def test_server_that_comes_back_is_no_trouble(shop: Shop) -> None:
    shop.github.fail(path=".git/", status=503, times=2)
    assert shop.work(says(AgentResult(outcome=Outcome.CLEAN))).outcome is Outcome.CLEAN
    assert shop.pauses == [1, 5]


def test_server_that_refuses_is_not_asked_again(shop: Shop) -> None:
    shop.github.fail(path=".git/", status=403, times=100)
    result = shop.work(raises(AssertionError()))
    assert (result.outcome, "403" in result.reason) == (Outcome.ERROR, True)
    assert shop.pauses == []


def test_token_that_cannot_be_had_is_an_error(shop: Shop) -> None:
    def away(_installation: int, _repository: str) -> str | None:
        raise Unavailable(f"no answer for {SECRET}")

    shop.bench = replace(shop.bench, read_token=away)
    result = shop.work(raises(AssertionError()))
    assert result.reason == "the repository could not be fetched: no answer for [redacted: secret]"


def test_full_disk_is_an_error_that_says_so(shop: Shop) -> None:
    Path(shop.bench.work_dir / "runs").write_text("not a folder")
    result = shop.work(raises(AssertionError()))
    assert (result.outcome, "could not be written" in result.reason) == (Outcome.ERROR, True)
    Path(shop.bench.work_dir / "runs").unlink()


def test_attempt_that_is_called_off_ends_its_commands_within_two_seconds(shop: Shop) -> None:
    ended: list[Completed] = []

    def sleep(work: Work, kit: Kit) -> AgentResult:
        ended.append(kit.sandbox.run(Command(["sleep", "60"], work.root, 60)))
        with pytest.raises(ToolFailed, match="called off"):
            kit.sandbox.run(Command(["true"], work.root, 60))
        return AgentResult(outcome=Outcome.CLEAN)

    closed = PullChanged(at=time.time(), number=1, updated_at=2.0, reason="closed")
    begun, closing = time.monotonic(), threading.Timer(0.2, shop.store.update, [shop.key, closed])
    closing.start()
    assert shop.work(does(sleep)).outcome is Outcome.CANCELLED
    assert time.monotonic() - begun < 3
    assert [one.exit_code for one in ended] == [None]
    assert not any(isinstance(event, AgentFinished) for event in shop.store.log(shop.key))


def test_redis_that_hiccups_does_not_call_an_attempt_off(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(*_: object) -> bool:
        raise ConnectionError("away")

    monkeypatch.setattr(Store, "stopped", breaks)
    monkeypatch.setattr(workers.run, "_WATCH", 0.01)

    def wait(_work: Work, _kit: Kit) -> AgentResult:
        time.sleep(0.05)
        return AgentResult(outcome=Outcome.CLEAN)

    assert shop.work(does(wait)).outcome is Outcome.CLEAN
