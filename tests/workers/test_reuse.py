"""What an agent's result depends on, and which results serve again."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from bot.domain.events import AgentFinished, CommitReceived
from bot.domain.findings import AgentResult, Cost, Origin, Outcome, Severity
from bot.domain.plan import AgentPlan
from bot.domain.reduce import reduce
from bot.domain.run import AgentState, Run, RunKey
from bot.domain.triggers import Push, Trigger
from tests.builders import agent_plan, finding, finished, plan_of, pull, result, run_key
from workers.agent import Answer, Model
from workers.reuse import digest_of, may_serve_again, take_over

TREES = ("b" * 40, "a" * 40)


def run_of(trigger: Trigger | None = None, key: RunKey | None = None) -> Run:
    received = CommitReceived(at=1.0, installation=7, trigger=trigger or pull(), plan=plan_of("lint"))
    run = reduce(None, received, key or run_key()).run
    assert run is not None
    return run


def digest(
    plan: AgentPlan | None = None,
    run: Run | None = None,
    trees: tuple[str, str] = TREES,
    model: Model | None = None,
    toolbox: str = "",
) -> str:
    return digest_of(run or run_of(), plan or agent_plan(), trees, model, toolbox)


@dataclass(frozen=True)
class Named:
    """A model that is not asked."""

    name: str
    room = 1_000_000

    def named(self, model: str) -> Model:
        raise NotImplementedError

    def estimate(self, system: str, user: str) -> Cost:
        raise NotImplementedError

    def ask(self, system: str, user: str, answer: type[Answer], *, timeout: float) -> tuple[Answer, Cost]:
        raise NotImplementedError


def with_agent(**changes: object) -> Run:
    run = run_of()
    (agent,) = run.agents
    return run.model_copy(update={"agents": (agent.model_copy(update=changes),)})


def test_whatever_the_result_depends_on_changes_the_digest() -> None:
    others = [
        digest(agent_plan(settings={"tools": ["ruff"]})),
        digest(agent_plan("other", kind="lint")),
        digest(agent_plan(kind="security")),
        digest(agent_plan(report="all")),
        digest(agent_plan(paths=("src/**",))),
        digest(agent_plan(paths_ignore=("docs/**",))),
        digest(run=run_of(key=run_key("octo/other"))),
        digest(run=run_of(pull(fork=True))),
        digest(trees=("c" * 40, TREES[1])),
        digest(trees=(TREES[0], "c" * 40)),
        digest(trees=TREES[::-1]),
        digest(model=Named("small")),
        digest(model=Named("large")),
        digest(toolbox="newer"),
        digest(run=with_agent(barred=True)),
        digest(run=with_agent(refutations=("the name is used below",))),
    ]
    assert len({digest(), *others}) == len(others) + 1


def test_what_only_judges_the_result_does_not() -> None:
    judged = agent_plan(required=False, fail_on=Severity.HIGH, timeout=5, after=("test",))
    assert digest(judged) == digest()


def test_another_commit_or_trigger_of_the_same_files_has_the_same_digest() -> None:
    for other in (run_of(key=run_key(sha="d" * 40)), run_of(pull(2, title="Another")), run_of(Push(branch="main"))):
        assert digest(run=other) == digest()


@pytest.mark.parametrize("kind", ["review", "extension"])
def test_whoever_reads_the_words_of_a_pull_request_depends_on_them(kind: str) -> None:
    plan = agent_plan(kind=kind)
    words = [digest(plan, run_of(told)) for told in (pull(), pull(title="Another"), pull(body="More"))]
    assert len(set(words)) == 3


@pytest.mark.parametrize(
    ("kind", "outcome", "serves"),
    [
        ("lint", Outcome.CLEAN, True),
        ("lint", Outcome.FINDINGS, True),
        ("review", Outcome.FINDINGS, True),
        ("test", Outcome.CLEAN, True),
        ("command", Outcome.CLEAN, True),
        ("test", Outcome.FINDINGS, False),
        ("command", Outcome.FINDINGS, False),
        ("extension", Outcome.FINDINGS, False),
        *(("lint", outcome, False) for outcome in Outcome if outcome not in (Outcome.CLEAN, Outcome.FINDINGS)),
    ],
)
def test_only_what_came_to_its_end_serves_again_and_no_failure_that_may_pass(
    kind: str, outcome: Outcome, serves: bool
) -> None:
    assert may_serve_again(agent_plan(kind=kind), result(outcome, finding())) is serves


def test_what_was_taken_over_is_not_noted_anew() -> None:
    assert not may_serve_again(agent_plan(), result(origin=Origin(sha="d" * 40, at=1.0)))


class Noted:
    """One result, told by another commit's run."""

    def __init__(self, told: AgentResult) -> None:
        self._told = told

    def note(self, digest: str, key: RunKey, agent: str, attempt: int, ttl: int) -> None:
        raise NotImplementedError

    def find(self, digest: str) -> tuple[RunKey, AgentFinished] | None:
        return (run_key(sha="d" * 40), finished(outcome=self._told, at=50.0)) if digest == "known" else None


def test_result_is_taken_over_with_its_origin_and_without_its_cost() -> None:
    told = result(Outcome.FINDINGS, finding(), cost=Cost(model="m", usd=0.5), seconds=30.0)
    taken = take_over(Noted(told), "known", AgentState(plan=agent_plan()))
    assert taken == result(Outcome.FINDINGS, finding(), origin=Origin(sha="d" * 40, at=50.0))


def test_nothing_is_taken_over_where_nothing_is_known_or_a_new_look_is_wanted() -> None:
    noted = Noted(result())
    assert take_over(noted, "unknown", AgentState(plan=agent_plan())) is None
    assert take_over(noted, "known", AgentState(plan=agent_plan(), fresh=True)) is None
    assert take_over(noted, "known", AgentState(plan=agent_plan(reuse=False))) is None
