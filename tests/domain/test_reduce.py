"""The reducer through its front door: a history of events, and what the run is and asks for at its end."""

from __future__ import annotations

import json
from itertools import permutations

import pytest
from pydantic import TypeAdapter, ValidationError

from bot.domain.effects import Effect, Publish, StartAgent, StopAgent
from bot.domain.events import (
    EVENT,
    AgentProgressed,
    AgentStarted,
    CommitReceived,
    DeadlinePassed,
    Event,
    RerunRequested,
)
from bot.domain.findings import Cost, Outcome, Severity
from bot.domain.reduce import reduce
from bot.domain.run import GRACE, QUEUE_PATIENCE, STARTS, AgentState, Phase, Run
from bot.domain.triggers import MergeGroup, Push, Trigger
from bot.domain.verdict import Conclusion, verdict
from config.problems import Problem
from tests.builders import (
    agent_plan,
    commit_received,
    finding,
    finished,
    plan_of,
    pull,
    pull_changed,
    result,
    run_key,
    trigger_ended,
)

KEY = run_key()
CANCELLED = result(Outcome.CANCELLED)
FAILED = result(Outcome.FINDINGS, finding(severity=Severity.HIGH))


def play(*events: Event) -> tuple[Run, tuple[Effect, ...]]:
    """Fold a history that opens a run; the run, and the effects of the last event."""
    run: Run | None = None
    effects: tuple[Effect, ...] = ()
    for event in events:
        step = reduce(run, event, KEY)
        run, effects = step.run, step.effects
    assert run is not None
    return run, effects


def lint_of(run: Run) -> AgentState:
    agent = run.agent("lint")
    assert agent is not None
    return agent


def started(agent: str = "lint", attempt: int = 1, at: float = 110.0) -> AgentStarted:
    return AgentStarted(at=at, agent=agent, attempt=attempt)


def push_received(*agents: str, at: float = 100.0, base: str | None = "p" * 40) -> CommitReceived:
    return commit_received(*agents, trigger=Push(branch="main", base_sha=base), at=at)


# -- starting


def test_commit_starts_every_agent_and_is_published() -> None:
    run, effects = play(commit_received("test", "lint"))
    assert effects == (StartAgent("test", "test", 1, 600), StartAgent("lint", "lint", 1, 600), Publish())
    assert {agent.phase for agent in run.agents} == {Phase.QUEUED}
    assert run.deadline == 100.0 + QUEUE_PATIENCE


@pytest.mark.parametrize(
    "event", [started(), finished(), RerunRequested(at=1.0), DeadlinePassed(at=1.0)], ids=lambda event: event.kind
)
def test_news_of_a_run_nobody_started_opens_none(event: Event) -> None:
    assert reduce(None, event, KEY).run is None


def test_agent_waits_for_those_in_its_after() -> None:
    plan = plan_of("lint", agent_plan("test", after=("lint",)))
    _, effects = play(commit_received(plan=plan))
    assert effects == (StartAgent("lint", "lint", 1, 600), Publish())
    _, effects = play(commit_received(plan=plan), finished("lint", FAILED))
    assert effects == (StartAgent("test", "test", 1, 600), Publish())


def test_agents_that_wait_for_one_another_start_together_once_the_rest_is_done() -> None:
    circle = (agent_plan("a", after=("b",)), agent_plan("b", after=("a",)), agent_plan("c", after=("c",)))
    _, effects = play(commit_received(plan=plan_of("lint", *circle)))
    assert effects == (StartAgent("lint", "lint", 1, 600), Publish())
    _, effects = play(commit_received(plan=plan_of("lint", *circle)), finished("lint"))
    assert [effect.agent for effect in effects if isinstance(effect, StartAgent)] == ["a", "b", "c"]


def test_agent_that_is_skipped_is_done_at_once_and_holds_nobody_up() -> None:
    plan = plan_of(agent_plan("lint", skip="`on` does not name it"), agent_plan("test", after=("lint",)))
    run, effects = play(commit_received(plan=plan))
    assert effects == (StartAgent("test", "test", 1, 600), Publish())
    assert (lint_of(run).outcome, lint_of(run).phase) == (Outcome.SKIPPED, Phase.DONE)


def test_plan_without_agents_is_complete_at_once() -> None:
    run, effects = play(commit_received())
    assert run.complete
    assert effects == (Publish(),)
    assert verdict(run).conclusion is Conclusion.NEUTRAL


def test_plan_with_problems_runs_nothing_and_fails_at_once() -> None:
    problem = Problem(file=".github/assay.yml", line=1, column=1, key="agents", message="no such key")
    run, effects = play(commit_received(plan=plan_of("lint", problems=(problem,))))
    assert run.complete
    assert effects == (Publish(),)
    assert verdict(run).conclusion is Conclusion.FAILURE


# -- an agent's news


def test_agent_goes_from_queued_over_running_to_done() -> None:
    run, _ = play(commit_received("lint"), started())
    assert (lint_of(run).phase, lint_of(run).deadline) == (Phase.RUNNING, 110.0 + 600 + GRACE)
    progressed = AgentProgressed(at=120.0, agent="lint", attempt=1, message="2/9")
    run, effects = play(commit_received("lint"), started(), progressed)
    assert (lint_of(run).progress, effects) == ("2/9", ())
    run, effects = play(commit_received("lint"), started(), finished())
    assert (lint_of(run).phase, lint_of(run).outcome, run.deadline) == (Phase.DONE, Outcome.CLEAN, None)
    assert effects == (Publish(),)


def test_result_that_overtakes_the_start_counts() -> None:
    ended, _ = play(commit_received("lint"), finished())
    late, effects = play(commit_received("lint"), finished(), started())
    assert late == ended
    assert effects == ()


@pytest.mark.parametrize("attempt", [0, 2])
def test_news_of_another_attempt_changes_nothing(attempt: int) -> None:
    before, _ = play(commit_received("lint"))
    for event in (started(attempt=attempt), finished(attempt=attempt)):
        assert play(commit_received("lint"), event) == (before, ())


def test_news_of_an_agent_that_is_not_in_the_plan_changes_nothing() -> None:
    before, _ = play(commit_received("lint"))
    assert play(commit_received("lint"), finished("docs")) == (before, ())


def test_worse_of_two_results_of_one_attempt_counts_in_either_order() -> None:
    optional = plan_of(agent_plan(required=False, fail_on=None))
    for worse, better, plan in (
        (FAILED, result(), plan_of("lint")),
        (FAILED, result(Outcome.SKIPPED), plan_of("lint")),
        (result(Outcome.NOT_RUN), result(Outcome.FINDINGS, finding(severity=Severity.LOW)), plan_of("lint")),
        (result(Outcome.FINDINGS, finding(), finding(rule="F402")), result(Outcome.FINDINGS, finding()), optional),
    ):
        opened = commit_received(plan=plan)
        for order in ((worse, better), (better, worse)):
            run, _ = play(opened, *(finished(outcome=outcome) for outcome in order))
            assert lint_of(run).result == worse


def test_cancellation_by_a_worker_never_beats_a_result() -> None:
    for order in ((CANCELLED, result()), (result(), CANCELLED)):
        run, _ = play(commit_received("lint"), *(finished(outcome=outcome) for outcome in order))
        assert lint_of(run).outcome is Outcome.CLEAN


# -- time


def test_agent_that_no_worker_takes_up_is_an_error() -> None:
    late = 100.0 + QUEUE_PATIENCE
    run, effects = play(commit_received("lint"), DeadlinePassed(at=late))
    assert (lint_of(run).outcome, lint_of(run).assumed) == (Outcome.ERROR, True)
    assert effects == (StopAgent("lint", 1), Publish())


def test_agent_that_gives_no_result_is_timed_out_and_a_late_result_still_counts() -> None:
    history = (commit_received("lint"), started(), DeadlinePassed(at=110.0 + 600 + GRACE))
    run, effects = play(*history)
    assert lint_of(run).outcome is Outcome.TIMED_OUT
    assert effects == (StopAgent("lint", 1), Publish())
    run, _ = play(*history, finished(outcome=CANCELLED))
    assert lint_of(run).outcome is Outcome.TIMED_OUT
    run, _ = play(*history, finished(outcome=CANCELLED), finished())
    assert lint_of(run).outcome is Outcome.CLEAN


def test_deadline_that_has_not_passed_changes_nothing() -> None:
    before, _ = play(commit_received("lint"), started())
    assert play(commit_received("lint"), started(), DeadlinePassed(at=110.0 + 600 + GRACE - 1)) == (before, ())


def test_second_start_of_one_attempt_has_its_full_time() -> None:
    for starts in ((110.0, 500.0), (500.0, 110.0)):
        run, _ = play(commit_received("lint"), *(started(at=at) for at in starts))
        assert (lint_of(run).started_at, lint_of(run).deadline) == (110.0, 500.0 + 600 + GRACE)


def test_work_that_kills_its_worker_for_ever_is_timed_out() -> None:
    starts = [started(at=110.0 + 400 * number) for number in range(50)]
    run, _ = play(commit_received("lint"), *starts)
    assert lint_of(run).deadline == 110.0 + STARTS * (600 + GRACE)


# -- running again


def rerun(*agents: str, delivery: str = "d1", failed_only: bool = False, at: float = 300.0) -> RerunRequested:
    return RerunRequested(at=at, delivery=delivery, agents=agents, failed_only=failed_only)


HALF = (commit_received("test", "lint"), finished("test"), finished("lint", FAILED))


@pytest.mark.parametrize(
    ("event", "again"),
    [
        (rerun(), ["test", "lint"]),
        (rerun("test"), ["test"]),
        (rerun(failed_only=True), ["lint"]),
        (rerun("test", failed_only=True), []),
        (rerun("docs"), []),
    ],
)
def test_rerun_starts_what_was_asked_for(event: RerunRequested, again: list[str]) -> None:
    run, effects = play(*HALF, event)
    assert [effect.agent for effect in effects if isinstance(effect, StartAgent)] == again
    assert {agent.plan.name: agent.attempt for agent in run.agents if agent.phase is Phase.QUEUED} == dict.fromkeys(
        again, 2
    )


def test_rerun_is_done_once_a_delivery() -> None:
    history = (*HALF, rerun(), finished("test", attempt=2), finished("lint", attempt=2))
    before, _ = play(*history)
    assert play(*history, rerun()) == (before, ())
    run, _ = play(*history, rerun(delivery="d2"))
    assert run.attempt == 3


def test_rerun_that_found_nothing_to_do_finds_nothing_later_either() -> None:
    history = (commit_received("lint"), rerun(at=105.0), finished())
    before, _ = play(*history)
    assert lint_of(before).attempt == 1
    assert play(*history, rerun(at=105.0)) == (before, ())


def test_rerun_leaves_running_and_skipped_agents_alone() -> None:
    plan = plan_of("lint", agent_plan("docs", skip="`on` does not name it"))
    run, effects = play(commit_received(plan=plan), started(), rerun())
    assert effects == (Publish(),)
    assert [agent.attempt for agent in run.agents] == [1, 1]


def test_rerun_keeps_the_order_of_after() -> None:
    plan = plan_of("lint", agent_plan("test", after=("lint",)))
    _, effects = play(commit_received(plan=plan), finished("lint"), finished("test"), rerun())
    assert effects == (StartAgent("lint", "lint", 2, 600), Publish())


def test_rerun_of_a_commit_nobody_waits_for_runs() -> None:
    history = (commit_received("lint"), finished(), pull_changed(), rerun())
    run, effects = play(*history)
    assert effects == (StartAgent("lint", "lint", 2, 600), Publish())
    again, effects = play(*history, pull_changed())
    assert (again, effects) == (run, ())


# -- one commit, several triggers


def test_same_commit_from_push_and_pull_request_is_one_run_led_by_the_pull_request() -> None:
    push, opened = push_received("lint", "deploy"), commit_received("lint", at=101.0)
    for order in ((push, opened), (opened, push)):
        run, _ = play(*order)
        assert (run.base_sha, [agent.plan.name for agent in run.agents]) == ("b" * 40, ["lint"])
        assert [trigger.kind for trigger in run.triggers] == ["pull", "push"]


def test_change_of_the_base_stops_what_runs_and_starts_anew() -> None:
    run, effects = play(push_received("lint", "docs"), started(), finished("docs"), commit_received("lint", at=120.0))
    assert effects == (StopAgent("lint", 1), StartAgent("lint", "lint", 2, 600), Publish())
    assert run.attempt == 2


def test_attempt_of_an_agent_that_left_and_came_back_is_a_new_one() -> None:
    first = commit_received("lint", "docs", trigger=pull(2), at=100.0)
    second = commit_received("lint", trigger=pull(1, base_sha="1" * 40), at=101.0)
    history = (first, second, pull_changed(1))
    run, _ = play(*history)
    docs = run.agent("docs")
    assert docs is not None
    assert docs.attempt == 3
    assert play(*history, finished("docs"))[0] == run


def test_trigger_with_the_same_base_and_plan_changes_no_agent() -> None:
    first, second = commit_received("lint", trigger=pull(1)), commit_received("lint", trigger=pull(2))
    run, effects = play(first, started(), second)
    assert (lint_of(run).attempt, effects) == (1, (Publish(),))
    assert [trigger.id for trigger in run.triggers] == ["pull:1", "pull:2"]


def test_lowest_open_pull_request_leads_and_hands_over_when_it_is_closed() -> None:
    first = commit_received("lint", trigger=pull(1, base_sha="1" * 40))
    second = commit_received("lint", trigger=pull(2, base_sha="2" * 40))
    for order in ((first, second), (second, first)):
        run, _ = play(*order)
        assert run.base_sha == "1" * 40
        run, _ = play(*order, pull_changed(1))
        assert (run.base_sha, lint_of(run).phase) == ("2" * 40, Phase.QUEUED)


def test_merge_group_leads_before_push() -> None:
    group = commit_received("lint", trigger=MergeGroup(head_ref="gh-readonly-queue/main/pr-1", base_sha="m" * 40))
    for order in ((push_received("lint"), group), (group, push_received("lint"))):
        assert play(*order)[0].base_sha == "m" * 40


def test_fork_cannot_take_over_the_run_of_a_commit_that_is_in_the_repository() -> None:
    fork = commit_received(trigger=pull(1, fork=True, head_repository="mallory/demo"), at=90.0)
    for order in ((push_received("lint"), finished(), fork), (fork, push_received("lint"))):
        run, _ = play(*order)
        assert (run.trusted, run.base_sha) == (True, "p" * 40)
    assert not play(fork)[0].trusted


def test_fork_s_commit_that_is_pushed_runs_anew_even_if_plan_and_base_are_the_same() -> None:
    fork = commit_received("lint", trigger=pull(1, fork=True))
    _, effects = play(fork, finished(), push_received("lint", base="b" * 40))
    assert effects == (StartAgent("lint", "lint", 2, 600), Publish())


def test_new_base_branch_of_a_pull_request_starts_anew() -> None:
    edited = commit_received("lint", trigger=pull(1, updated_at=150.0, base_ref="next", base_sha="n" * 40), at=150.0)
    run, effects = play(commit_received("lint"), finished(), edited)
    assert effects == (StartAgent("lint", "lint", 2, 600), Publish())
    assert play(edited, commit_received("lint"))[0].base_sha == run.base_sha


def test_many_triggers_of_one_commit_are_bounded_and_the_leader_stays() -> None:
    opened = [commit_received("lint", trigger=pull(number)) for number in range(100, 0, -1)]
    run, _ = play(*opened)
    assert (len(run.triggers), len(run.requests)) == (20, 20)
    assert run.leader is not None
    assert run.leader.id == "pull:1"


# -- pull requests that end


def test_closing_cancels_what_is_unfinished_and_keeps_what_is_done() -> None:
    run, effects = play(commit_received("test", "lint"), finished("test"), pull_changed())
    assert [agent.outcome for agent in run.agents] == [Outcome.CLEAN, Outcome.CANCELLED]
    assert effects == (StopAgent("lint", 1), Publish())


def test_head_that_moved_on_is_superseded() -> None:
    run, _ = play(commit_received("lint"), pull_changed(moved_to="d" * 40))
    assert run.superseded_by == "d" * 40
    assert verdict(run).title == "Superseded by ddddddd"


def test_head_that_comes_back_starts_what_was_cancelled() -> None:
    moved, back = pull_changed(moved_to="d" * 40), commit_received("test", "lint", trigger=pull(updated_at=300.0))
    run, effects = play(commit_received("test", "lint"), finished("test"), moved, back)
    assert effects == (StartAgent("lint", "lint", 2, 600), Publish())
    assert run.superseded_by is None


def test_closing_while_a_push_waits_for_the_commit_changes_no_agent() -> None:
    history = (push_received("docs"), commit_received("lint", at=101.0), finished(attempt=2))
    before, _ = play(*history)
    run, effects = play(*history, pull_changed())
    assert (run.agents, run.base_sha, effects) == (before.agents, before.base_sha, (Publish(),))


def test_closing_the_last_pull_request_keeps_the_results_of_the_one_that_led() -> None:
    first = commit_received("lint", trigger=pull(1, base_sha="1" * 40))
    second = commit_received("lint", trigger=pull(2, base_sha="2" * 40))
    history = (first, second, pull_changed(1), finished(attempt=2))
    run, effects = play(*history, pull_changed(2))
    assert (lint_of(run).outcome, run.base_sha) == (Outcome.CLEAN, "2" * 40)
    assert effects == (Publish(),)


def test_opening_that_comes_after_its_closing_starts_nothing() -> None:
    run, effects = play(pull_changed(updated_at=200.0), commit_received("lint", trigger=pull(updated_at=100.0)))
    assert (lint_of(run).outcome, effects) == (Outcome.CANCELLED, (Publish(),))
    assert not run.wanted


def test_end_of_an_unknown_pull_request_is_kept_but_not_published() -> None:
    run, effects = play(pull_changed())
    assert (effects, run.triggers, run.complete) == ((), (), True)


def test_reopened_pull_request_runs_in_every_order_of_its_deliveries() -> None:
    opened, closed = commit_received("lint"), pull_changed(updated_at=200.0)
    reopened = commit_received("lint", trigger=pull(updated_at=300.0), at=300.0)
    for order in ((opened, closed, reopened), (reopened, closed, opened), (closed, reopened, opened)):
        run, _ = play(*order)
        assert run.wanted
        assert lint_of(run).in_flight


def test_news_of_one_second_are_ordered_by_when_they_were_heard() -> None:
    opened = commit_received("lint", trigger=pull(updated_at=100.0), at=100.1)
    closed = pull_changed(updated_at=100.0, at=100.2)
    reopened = commit_received("lint", trigger=pull(updated_at=100.0), at=100.3)
    assert not play(opened, closed)[0].wanted
    assert not play(closed, opened)[0].wanted
    assert play(reopened, closed, opened)[0].wanted


def test_result_of_a_cancelled_agent_still_counts() -> None:
    run, effects = play(commit_received("lint"), pull_changed(), finished())
    assert lint_of(run).outcome is Outcome.CLEAN
    assert effects == (Publish(),)


def test_pull_request_that_is_opened_again_with_the_same_plan_runs_nothing_again() -> None:
    opened = (commit_received("test", "lint"), finished("test"), finished("lint", FAILED))
    reopened = commit_received("test", "lint", trigger=pull(updated_at=300.0), at=300.0)
    before, _ = play(*opened)
    run, effects = play(*opened, pull_changed(), reopened)
    assert effects == (Publish(),)
    assert run.agents == before.agents


# -- branches and merge groups that end


def branch_received(*agents: str, name: str = "next", seen: float = 100.0, base: str = "p" * 40) -> CommitReceived:
    """A push to a branch that was seen at that time to hold the commit."""
    return commit_received(*agents, trigger=Push(branch=name, base_sha=base, updated_at=seen), at=seen)


def test_branch_that_moved_on_stops_what_waits_and_what_runs_and_keeps_what_is_done() -> None:
    history = (branch_received("test", "lint", "docs"), finished("test"), started("docs"))
    run, effects = play(*history, trigger_ended("push:next", moved_to="d" * 40))
    assert [agent.outcome for agent in run.agents] == [Outcome.CLEAN, Outcome.CANCELLED, Outcome.CANCELLED]
    assert effects == (StopAgent("lint", 1), StopAgent("docs", 1), Publish())
    assert (run.wanted, run.superseded_by) == (False, "d" * 40)


def test_commit_that_another_branch_or_a_pull_request_waits_for_goes_on() -> None:
    ended = trigger_ended("push:next", moved_to="d" * 40)
    for other in (branch_received("lint", name="stable"), commit_received("lint", trigger=pull(base_sha="p" * 40))):
        history = (branch_received("lint"), other)
        before, _ = play(*history)
        run, effects = play(*history, ended)
        assert (run.agents, run.superseded_by, effects) == (before.agents, None, (Publish(),))


def test_push_that_is_told_of_late_does_not_begin_and_does_not_stop_the_newer_one() -> None:
    moved_on = trigger_ended("push:next", updated_at=200.0, moved_to="d" * 40)
    run, _ = play(moved_on, branch_received("lint", seen=100.0))
    assert (run.wanted, lint_of(run).outcome) == (False, Outcome.CANCELLED)
    run, _ = play(branch_received("lint", seen=300.0), moved_on)
    assert (run.wanted, lint_of(run).in_flight) == (True, True)


def test_branch_that_is_set_back_to_a_commit_starts_what_was_cancelled() -> None:
    history = (branch_received("test", "lint"), finished("test"), trigger_ended("push:next", moved_to="d" * 40))
    run, effects = play(*history, branch_received("test", "lint", seen=300.0))
    assert effects == (StartAgent("lint", "lint", 2, 600), Publish())
    assert run.superseded_by is None


def test_entry_that_left_the_merge_queue_is_let_go() -> None:
    group = MergeGroup(head_ref="refs/heads/queue/1", base_sha="m" * 40, updated_at=100.0)
    run, effects = play(commit_received("lint", trigger=group), trigger_ended(group.id))
    assert (lint_of(run).outcome, run.superseded_by) == (Outcome.CANCELLED, None)
    assert effects == (StopAgent("lint", 1), Publish())


def test_newest_of_several_ends_names_the_newer_head() -> None:
    history = (branch_received("lint"), commit_received("lint", trigger=pull(base_sha="p" * 40)))
    ends = (trigger_ended("push:next", updated_at=201.0, moved_to="e" * 40), pull_changed(moved_to="d" * 40))
    for order in (ends, ends[::-1]):
        assert play(*history, *order)[0].superseded_by == "e" * 40


def cost(tokens: int) -> Cost:
    return Cost(model="m", input_tokens=tokens, usd=tokens / 100)


def tokens_of(run: Run) -> list[int]:
    return [one.input_tokens for one in run.costs]


def test_what_an_agent_used_that_was_told_to_stop_stands_on_the_run_and_is_written_nowhere() -> None:
    less, more = cost(10), cost(20)
    history = (commit_received("lint"), started(), pull_changed(moved_to="d" * 40))
    told = [finished(outcome=result(Outcome.CANCELLED, cost=used)) for used in (less, more, None)]
    for order in permutations(told):
        run, effects = play(*history, *order)
        state = lint_of(run)
        assert (state.outcome, state.result and state.result.cost, effects) == (Outcome.CANCELLED, more, ())
        assert state.result
        assert state.result.reason, "why it was called off is kept"
    done, _ = play(commit_received("lint"), started(), finished(), told[0])
    assert lint_of(done).result == result()
    late, _ = play(*history, told[1], finished(outcome=result(cost=less)))
    assert lint_of(late).result == result(cost=less), "the agent's own word counts"


def test_what_was_spent_on_results_that_are_gone_stands_on_the_run() -> None:
    opened = commit_received("lint")
    first = (opened, started(), finished(outcome=result(Outcome.FINDINGS, cost=cost(10))))
    again = (*first, rerun("lint"))
    assert tokens_of(play(*again)[0]) == [10]
    twice = (*again, finished(outcome=result(cost=cost(5)), attempt=2))
    assert tokens_of(play(*twice)[0]) == [10, 5]
    run, _ = play(*twice, twice[-1], first[-1], RerunRequested(at=500.0, delivery="d9"))
    assert tokens_of(run) == [15]
    assert run.spent
    assert run.spent.usd == pytest.approx(0.15)
    other = commit_received("test", trigger=pull(base_sha="2" * 40, updated_at=300.0))
    assert tokens_of(play(*first, other)[0]) == [10], "agents that left have cost something, too"


def test_what_a_parked_agent_used_stands_on_the_run_while_it_waits_and_afterwards() -> None:
    away = result(Outcome.ERROR, reason="away", retry_after=0.0, cost=cost(10))
    parked = (commit_received("lint"), started(), finished(outcome=away))
    run, _ = play(*parked)
    assert (lint_of(run).phase, tokens_of(run)) == (Phase.RUNNING, [10])
    assert run.deadline is not None
    resumed = (*parked, DeadlinePassed(at=run.deadline))
    assert tokens_of(play(*resumed)[0]) == [10]
    assert tokens_of(play(*resumed, finished(outcome=result(cost=cost(3)), attempt=2))[0]) == [10, 3]
    assert tokens_of(play(*parked, pull_changed())[0]) == [10], "and when nobody waits any more"


# -- a new look


def test_only_what_a_person_asks_for_is_looked_at_anew() -> None:
    run, _ = play(commit_received("test", "lint"), finished("test"), finished("lint", FAILED), rerun("lint"))
    assert {agent.plan.name: agent.fresh for agent in run.agents} == {"test": False, "lint": True}
    again = RerunRequested(at=300.0, delivery="d1", agents=("lint",), reuse=True)
    kept = lint_of(play(commit_received("lint"), finished("lint"), again)[0])
    assert (kept.attempt, kept.fresh) == (2, False)
    history = (commit_received("lint"), pull_changed(), commit_received("lint", trigger=pull(updated_at=300.0)))
    assert not lint_of(play(*history)[0]).fresh


# -- values


def test_log_and_run_of_the_first_version_are_understood() -> None:
    told = (
        '{"at": 200.0, "delivery": "d1", "actor": "mona", "kind": "PullChanged", "number": 1, "updated_at": 200.0, '
        f'"reason": "the pull request moved on", "moved_to": "{"d" * 40}"}}'
    )
    event = EVENT.validate_json(told)
    run, _ = play(commit_received("lint"), event)
    assert run.superseded_by == "d" * 40
    assert EVENT.validate_json(EVENT.dump_json(event)) == event
    kept = json.loads(run.model_dump_json())
    kept["closings"] = [json.loads(told)]
    for agent in kept["agents"]:
        del agent["fresh"], agent["plan"]["reuse"], agent["result"]["origin"]
    for plan in (kept["plan"], *(request["plan"] for request in kept["requests"].values())):
        for agent in plan["agents"]:
            del agent["reuse"]
    assert Run.model_validate_json(json.dumps(kept)) == run


def test_push_of_the_first_version_is_understood() -> None:
    told = {"kind": "push", "branch": "main", "base_sha": None}
    assert TypeAdapter[Trigger](Trigger).validate_python(told) == Push(branch="main")


def test_malformed_event_of_the_first_version_is_refused() -> None:
    with pytest.raises(ValidationError):
        EVENT.validate_json('{"at": 1.0, "kind": "PullChanged", "updated_at": "soon", "reason": ""}')


def test_run_and_events_survive_json() -> None:
    history = (*HALF, pull_changed(), rerun())
    run, _ = play(*history)
    assert Run.model_validate_json(run.model_dump_json()) == run
    assert [EVENT.validate_json(EVENT.dump_json(event)) for event in history] == list(history)


def test_names_of_files_that_are_no_utf_8_do_not_stop_a_result() -> None:
    odd = result(Outcome.FINDINGS, finding(path="\udcff.py"), covered=("\udcff.py",))
    run, _ = play(commit_received("lint"), finished(outcome=odd))
    assert '"covered":["\\\\udcff.py"]' in run.model_dump_json()
    assert b"udcff" in EVENT.dump_json(finished(outcome=odd))
