from __future__ import annotations

import pytest

from bot.domain.code_scanning import AGENTS, kept_back, targets
from bot.domain.findings import AgentResult, Outcome
from bot.domain.plan import Plan
from bot.domain.run import AgentState, Phase, Run
from bot.domain.triggers import MergeGroup, Push, Trigger
from tests.domain.runs import PULL, clean, make_agent, make_plan, make_run


def run_of(*agents: AgentState, triggers: tuple[Trigger, ...] = (PULL,), base: str | None = "b" * 40) -> Run:
    plan = Plan(agents=tuple(agent.plan for agent in agents), code_scanning=True)
    return make_run(*agents, plan=plan, triggers=triggers, base_sha=base)


def ended(name: str, outcome: Outcome = Outcome.CLEAN, **plan: object) -> AgentState:
    return AgentState(plan=make_plan(name, **plan), phase=Phase.DONE, result=AgentResult(outcome=outcome))


DOCS = ended("docs", kind="command", report="all")
MAIN = Push(branch="main")


def told(run: Run) -> list[tuple[str, tuple[str, ...]]]:
    return [(target.ref, target.agents) for target in targets(run)]


def test_a_pull_request_is_told_of_under_its_head() -> None:
    assert told(run_of(ended("lint"), DOCS)) == [("refs/pull/12/head", ("lint", "docs"))]


def test_a_branch_is_told_by_those_who_speak_of_all_of_it() -> None:
    run = run_of(ended("lint"), ended("test", report="all"), DOCS, triggers=(MAIN,))
    assert told(run) == [("refs/heads/main", ("test", "docs"))]
    (note,) = kept_back(run)
    assert note.startswith("Code scanning of main is not told of lint, who looked at the change: ")


def test_without_a_base_everybody_speaks_of_all_of_it() -> None:
    run = run_of(ended("lint"), triggers=(MAIN,), base=None)
    assert told(run) == [("refs/heads/main", ("lint",))]
    assert kept_back(run) == ()


@pytest.mark.parametrize(
    "outcome", [Outcome.ERROR, Outcome.TIMED_OUT, Outcome.CANCELLED, Outcome.NOT_RUN, Outcome.SKIPPED]
)
def test_who_did_not_look_says_nothing(outcome: Outcome) -> None:
    assert told(run_of(ended("lint", outcome), DOCS)) == [("refs/pull/12/head", ("docs",))]
    assert told(run_of(ended("lint", outcome))) == []


def test_who_saw_most_of_it_speaks() -> None:
    assert told(run_of(ended("lint", Outcome.PARTIAL))) == [("refs/pull/12/head", ("lint",))]


def test_nothing_is_told_of_what_is_over_or_under_way_or_not_asked_for() -> None:
    assert told(run_of(DOCS, triggers=(PULL.model_copy(update={"live": False}),))) == []
    assert told(run_of(DOCS, triggers=(MergeGroup(head_ref="refs/heads/gh-readonly-queue/main/pr-1"),))) == []
    assert told(run_of(DOCS, make_agent("lint", phase=Phase.RUNNING))) == []
    quiet = make_run(make_agent("lint", clean()))
    assert (told(quiet), kept_back(quiet)) == ([], ())


def test_the_merge_queues_own_branch_is_told_nothing() -> None:
    """A repository that looks at every branch hears of it as a push, too."""
    run = run_of(ended("lint"), DOCS, triggers=(Push(branch="gh-readonly-queue/main/pr-1-abc"),))
    assert (told(run), kept_back(run)) == ([], ())


def test_more_agents_than_a_file_takes_are_told_of() -> None:
    run = run_of(*(ended(f"own-{number}", kind="command", report="all") for number in range(AGENTS + 2)))
    ((_, agents),) = told(run)
    assert len(agents) == AGENTS
    assert kept_back(run) == ("Code scanning takes 20 agents: it is not told of own-20, own-21.",)
