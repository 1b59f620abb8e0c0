"""`assay check` below its command line: agents side by side, one verdict, and nothing left when it is interrupted."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from bot.domain.findings import AgentResult, Finding, Outcome, Severity
from bot.domain.plan import Plan
from bot.domain.run import Phase, Run
from bot.domain.verdict import Conclusion, verdict
from bot.errors import ToolFailed
from tests.builders import agent_plan, plan_of
from tests.repository import Repository
from workers.agent import Command, Kit, Work
from workers.desk import Desk, open_desk
from workers.local import check
from workers.sandbox.process import ProcessSandbox


@dataclass
class Scripted:
    """An agent that does what a test says."""

    act: Callable[[Work, Kit], AgentResult]

    def run(self, work: Work, kit: Kit) -> AgentResult:
        return self.act(work, kit)


CLEAN = AgentResult(outcome=Outcome.CLEAN)


def finding(path: str, line: int | None) -> Finding:
    return Finding(
        tool="t", rule="r", severity=Severity.HIGH, message="bad", path=path, start_line=line, replacement="x"
    )


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "repo")
    made.commit({"a.py": "one\ntwo\nthree\n"})
    made.write("a.py", "one\nTWO\nthree\n")
    return made


def run_check(
    desk: Desk, plan: Plan, watch: Callable[[Run], None] = lambda _: None, **acts: Callable[[Work, Kit], AgentResult]
) -> Run:
    def kit(progress: Callable[[str], None], cancelled: threading.Event) -> Kit:
        return Kit(ProcessSandbox(environ=os.environ, cancelled=cancelled), None, progress, str)

    return check(desk, plan, lambda agent: Scripted(acts[agent.name]), kit, time.time, watch)


@contextmanager
def desk_of(repository: Repository) -> Iterator[Desk]:
    with open_desk(repository.root) as desk:
        yield desk


def test_findings_count_on_changed_lines_only(repository: Repository) -> None:
    found = AgentResult(outcome=Outcome.FINDINGS, findings=(finding("a.py", 1), finding("a.py", 2), finding("b.py", 2)))
    with desk_of(repository) as desk:
        run = run_check(desk, plan_of("lint"), lint=lambda *_: found)
    result = run.agents[0].result
    assert result is not None
    assert [(one.path, one.start_line, one.place) for one in result.findings] == [("a.py", 2, "added")]
    assert verdict(run).conclusion is Conclusion.FAILURE


def test_agents_run_side_by_side_and_after_one_another_where_told(repository: Repository) -> None:
    together = threading.Barrier(2, timeout=10)
    order = []

    def meet(work: Work, kit: Kit) -> AgentResult:
        together.wait()
        order.append("met")
        return CLEAN

    def last(work: Work, kit: Kit) -> AgentResult:
        order.append("last")
        return CLEAN

    with desk_of(repository) as desk:
        plan = plan_of("test", "lint", agent_plan("docs", after=("test", "lint")))
        run = run_check(desk, plan, test=meet, lint=meet, docs=last)
    assert order == ["met", "met", "last"]
    assert run.complete


def test_reviewer_hears_what_linters_found_that_are_at_work(repository: Repository) -> None:
    seen = threading.Event()
    heard: list[Finding] = []
    found = AgentResult(outcome=Outcome.FINDINGS, findings=(finding("a.py", 2),))

    def lint(work: Work, kit: Kit) -> AgentResult:
        seen.wait(10)
        time.sleep(0.3)
        return found

    def review(work: Work, kit: Kit) -> AgentResult:
        seen.wait(10)
        heard.extend(work.overhear(30)["lint"].findings)
        return CLEAN

    def watch(run: Run) -> None:
        if all(agent.phase is Phase.RUNNING for agent in run.agents):
            seen.set()

    with desk_of(repository) as desk:
        run_check(desk, plan_of("lint", agent_plan("review", after=())), watch, lint=lint, review=review)
    assert [(one.path, one.start_line) for one in heard] == [("a.py", 2)]


def test_watcher_sees_progress_in_order_and_the_end(repository: Repository) -> None:
    def talk(work: Work, kit: Kit) -> AgentResult:
        kit.progress("first")
        kit.progress("second")
        return CLEAN

    seen: list[Run] = []
    with desk_of(repository) as desk:
        run_check(desk, plan_of("lint"), seen.append, lint=talk)
    stands = [(run.agents[0].phase, run.agents[0].progress) for run in seen]
    assert stands == [
        (Phase.QUEUED, ""),
        (Phase.RUNNING, ""),
        (Phase.RUNNING, "first"),
        (Phase.RUNNING, "second"),
        (Phase.DONE, ""),
    ]


def test_agent_that_raises_is_an_error_and_the_others_go_on(repository: Repository) -> None:
    def fail(work: Work, kit: Kit) -> AgentResult:
        raise ToolFailed("ruff is not installed")

    with desk_of(repository) as desk:
        run = run_check(desk, plan_of("test", "lint"), test=fail, lint=lambda *_: CLEAN)
    assert [agent.outcome for agent in run.agents] == [Outcome.ERROR, Outcome.CLEAN]


def test_agent_sees_the_tree_in_place_its_patch_and_the_base(repository: Repository) -> None:
    seen: dict[str, object] = {}

    def look(work: Work, kit: Kit) -> AgentResult:
        base = work.base()
        assert base is not None
        seen.update(root=work.root, patch=work.patch(), base=(base / "a.py").read_text(), files=work.files)
        return CLEAN

    with desk_of(repository) as desk:
        run_check(desk, plan_of("lint"), lint=look)
    assert seen["root"] == repository.root
    assert "-two\n+TWO\n" in str(seen["patch"])
    assert seen["base"] == "one\ntwo\nthree\n"
    assert seen["files"] == ("a.py",)


def test_base_is_looked_at_with_the_packages_that_are_installed(repository: Repository) -> None:
    """Without them the repository's own linters could not say what was there before."""
    repository.commit({".gitignore": "node_modules\n", "web/package.json": "{}\n", "package.json": "{}\n"})
    repository.write("web/node_modules/.bin/lint", "")
    seen: list[bool] = []

    def look(work: Work, _: Kit) -> AgentResult:
        base = work.base()
        assert base is not None
        seen.extend((base / folder / "node_modules/.bin/lint").exists() for folder in ("web", ""))
        return CLEAN

    with desk_of(repository) as desk:
        run_check(desk, plan_of("lint"), lint=look)
    assert seen == [True, False]


def test_plan_without_agents_is_over_at_once(repository: Repository) -> None:
    with desk_of(repository) as desk:
        assert run_check(desk, Plan()).complete


def test_interrupted_check_leaves_no_tool_running(repository: Repository, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    after = threading.Event()

    def work_long(work: Work, kit: Kit) -> AgentResult:
        kit.sandbox.run(Command(["sh", "-c", f"touch {begun}; sleep 60"], tmp_path, 90))
        after.set()
        kit.sandbox.run(Command(["sleep", "60"], tmp_path, 90))
        return CLEAN

    def interrupt(run: Run) -> None:
        if run.agents[0].phase is Phase.RUNNING:
            while not begun.exists():
                time.sleep(0.01)
            raise KeyboardInterrupt

    began = time.monotonic()
    with subprocess.Popen(["sleep", "60"]) as other:
        with pytest.raises(KeyboardInterrupt), desk_of(repository) as desk:
            run_check(desk, plan_of("test"), interrupt, test=work_long)
        running = [child for child in psutil.Process().children(recursive=True) if "sleep" in child.name()]
        assert [child.pid for child in running] == [other.pid], "a process that is none of its own has to live on"
        other.kill()
    assert after.is_set()
    assert time.monotonic() - began < 20
