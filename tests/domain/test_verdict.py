"""The verdict contract as a table: every outcome, required or not, with every kind of finding."""

from __future__ import annotations

from itertools import product

import pytest

from bot.domain.findings import AgentResult, Finding, Outcome, Severity
from bot.domain.run import AgentState, Phase, Run
from bot.domain.verdict import Conclusion, agent_conclusion, beside, blocking, count, counted, findings, passed, verdict
from config.problems import Problem
from tests.builders import agent_plan, ended, finding, plan_of, result, run_key

LOW, MEDIUM, HIGH = (finding(severity=severity) for severity in (Severity.LOW, Severity.MEDIUM, Severity.HIGH))
SUCCESS, NEUTRAL, SKIPPED, PERSON, CANCELLED, TIMED_OUT, FAILURE = Conclusion


def run_of(*agents: AgentState, superseded_by: str | None = None) -> Run:
    plan = plan_of(*(agent.plan for agent in agents))
    return Run(
        key=run_key(),
        installation=1,
        created_at=1.0,
        updated_at=1.0,
        plan=plan,
        agents=agents,
        superseded_by=superseded_by,
    )


def agent(outcome: AgentResult, *, required: bool = True, fail_on: Severity | None = Severity.MEDIUM) -> AgentState:
    return ended(agent_plan("test" if required else "docs", required=required, fail_on=fail_on), outcome)


# outcome, its worst finding, fail_on -> (check of a required agent, joined verdict), check of one that is not required
TABLE = [
    (Outcome.CLEAN, None, Severity.MEDIUM, SUCCESS, SUCCESS, SUCCESS),
    (Outcome.CLEAN, None, None, SUCCESS, SUCCESS, SUCCESS),
    (Outcome.CLEAN, HIGH, Severity.MEDIUM, FAILURE, FAILURE, FAILURE),
    (Outcome.FINDINGS, HIGH, Severity.MEDIUM, FAILURE, FAILURE, FAILURE),
    (Outcome.FINDINGS, MEDIUM, Severity.MEDIUM, FAILURE, FAILURE, FAILURE),
    (Outcome.FINDINGS, LOW, Severity.MEDIUM, SUCCESS, SUCCESS, SUCCESS),
    (Outcome.FINDINGS, HIGH, None, SUCCESS, SUCCESS, NEUTRAL),
    (Outcome.PARTIAL, None, Severity.MEDIUM, PERSON, PERSON, NEUTRAL),
    (Outcome.PARTIAL, LOW, Severity.MEDIUM, PERSON, PERSON, NEUTRAL),
    (Outcome.PARTIAL, HIGH, Severity.MEDIUM, FAILURE, FAILURE, FAILURE),
    (Outcome.SKIPPED, None, Severity.MEDIUM, SKIPPED, NEUTRAL, SKIPPED),
    (Outcome.NOT_RUN, None, Severity.MEDIUM, PERSON, PERSON, NEUTRAL),
    (Outcome.CANCELLED, None, Severity.MEDIUM, CANCELLED, CANCELLED, CANCELLED),
    (Outcome.TIMED_OUT, None, Severity.MEDIUM, TIMED_OUT, FAILURE, NEUTRAL),
    (Outcome.TIMED_OUT, HIGH, Severity.MEDIUM, FAILURE, FAILURE, FAILURE),
    (Outcome.ERROR, None, Severity.MEDIUM, FAILURE, FAILURE, NEUTRAL),
    (Outcome.ERROR, HIGH, None, FAILURE, FAILURE, NEUTRAL),
]


@pytest.mark.parametrize(("outcome", "worst", "fail_on", "check", "joined", "optional"), TABLE)
def test_table(
    outcome: Outcome,
    worst: Finding | None,
    fail_on: Severity | None,
    check: Conclusion,
    joined: Conclusion,
    optional: Conclusion,
) -> None:
    seen = result(outcome, *([worst] if worst else []))
    required, not_required = agent(seen, fail_on=fail_on), agent(seen, required=False, fail_on=fail_on)
    assert agent_conclusion(required) is check
    assert verdict(run_of(required)).conclusion is joined
    assert agent_conclusion(not_required) is optional


def test_table_has_every_outcome() -> None:
    assert {row[0] for row in TABLE} == set(Outcome)


@pytest.mark.parametrize(("outcome", "fail_on"), list(product(Outcome, [Severity.INFO, None])))
def test_agent_that_is_not_required_never_changes_the_verdict(outcome: Outcome, fail_on: Severity | None) -> None:
    optional = agent(result(outcome, HIGH), required=False, fail_on=fail_on)
    joined = verdict(run_of(agent(result()), optional))
    assert (joined.conclusion, joined.because) == (SUCCESS, ())


@pytest.mark.parametrize("outcome", [one for one in Outcome if one not in (Outcome.CLEAN, Outcome.FINDINGS)])
def test_what_was_not_looked_at_is_never_green(outcome: Outcome) -> None:
    for required in (True, False):
        assert agent_conclusion(agent(result(outcome), required=required)) is not SUCCESS
        assert not passed(agent(result(outcome), required=required))
    joined = verdict(run_of(agent(result()), agent(result(outcome, reason="no key"))))
    assert joined.conclusion is not SUCCESS
    assert joined.because == (f"test: {outcome.value.replace('_', ' ')}: no key",)


@pytest.mark.parametrize(
    ("outcomes", "joined"),
    [
        ((Outcome.CLEAN, Outcome.SKIPPED), NEUTRAL),
        ((Outcome.SKIPPED, Outcome.NOT_RUN), PERSON),
        ((Outcome.NOT_RUN, Outcome.CANCELLED), CANCELLED),
        ((Outcome.CANCELLED, Outcome.TIMED_OUT), FAILURE),
        ((Outcome.PARTIAL, Outcome.ERROR), FAILURE),
    ],
)
def test_worst_of_the_required_agents_decides(outcomes: tuple[Outcome, ...], joined: Conclusion) -> None:
    for order in (outcomes, outcomes[::-1]):
        assert verdict(run_of(*(agent(result(outcome)) for outcome in order))).conclusion is joined


@pytest.mark.parametrize("phase", [Phase.WAITING, Phase.QUEUED, Phase.RUNNING])
def test_nothing_is_decided_while_an_agent_is_at_work(phase: Phase) -> None:
    at_work = AgentState(plan=agent_plan("lint"), phase=phase)
    joined = verdict(run_of(agent(result(Outcome.ERROR)), at_work))
    assert (joined.conclusion, joined.title) == (None, "1 of 2 agents done")
    assert agent_conclusion(at_work) is None


def test_no_required_agent_decides_nothing() -> None:
    assert verdict(run_of()).conclusion is NEUTRAL
    assert verdict(run_of(agent(result(), required=False))).conclusion is NEUTRAL


def test_bad_configuration_is_a_failure_that_names_the_line() -> None:
    problem = Problem(file=".github/assay.yml", line=4, column=3, key="agents.lnt", message="no such key")
    run = run_of().model_copy(update={"plan": plan_of(problems=(problem,))})
    assert verdict(run).conclusion is FAILURE
    assert verdict(run).because == (".github/assay.yml:4: no such key",)


# -- findings that block


def test_old_findings_do_not_block() -> None:
    old = agent(result(Outcome.FINDINGS, finding(severity=Severity.CRITICAL, new=False)))
    assert blocking(old) == ()
    assert verdict(run_of(old)).conclusion is SUCCESS


@pytest.mark.parametrize(("limit", "severity"), list(product(Severity, Severity)))
def test_findings_at_or_above_the_limit_block(limit: Severity, severity: Severity) -> None:
    one = agent(result(Outcome.FINDINGS, finding(severity=severity)), fail_on=limit)
    assert bool(blocking(one)) is (severity.rank >= limit.rank)


# -- words


@pytest.mark.parametrize(
    ("agents", "title"),
    [
        ([result()], "Passed"),
        ([result(Outcome.FINDINGS, LOW)], "Passed, with 1 finding"),
        ([result(Outcome.FINDINGS, finding(severity=Severity.LOW, new=False))], "Passed"),
        ([result(Outcome.SKIPPED)], "Nothing against it, but not every required agent had something to look at"),
        ([result(Outcome.NOT_RUN)], "Not everything could be looked at: a person has to decide"),
        ([result(Outcome.CANCELLED)], "Cancelled"),
        ([result(Outcome.ERROR)], "Failed: an agent could not finish"),
        ([result(Outcome.FINDINGS, HIGH, LOW)], "Failed: 1 finding to mend"),
    ],
)
def test_title(agents: list[AgentResult], title: str) -> None:
    assert verdict(run_of(*map(agent, agents))).title == title


def test_problem_that_two_agents_see_is_counted_once() -> None:
    seen = [finding(severity=Severity.HIGH, sources=(source,)) for source in ("lint/ruff", "security/bandit")]
    run = run_of(*(agent(result(Outcome.FINDINGS, one)) for one in seen))
    assert verdict(run).title == "Failed: 1 finding to mend"
    assert verdict(run).because == ("test: 1 finding at or above medium",) * 2
    assert [one.sources for one in findings(run)] == [("lint/ruff", "security/bandit")]


def test_superseded_run_names_its_successor() -> None:
    run = run_of(agent(result(Outcome.CANCELLED)), superseded_by="d" * 40)
    assert verdict(run).title == "Superseded by ddddddd"


def test_findings_come_worst_first_then_by_place() -> None:
    low, high = finding(path="a", severity=Severity.LOW), finding(path="z", severity=Severity.HIGH)
    later = finding(path="z", start_line=9, severity=Severity.HIGH)
    whole = finding(path="z", start_line=None, severity=Severity.HIGH)
    run = run_of(agent(result(Outcome.FINDINGS, low, later, high)), agent(result(Outcome.FINDINGS, whole)))
    assert findings(run) == (whole, high, later, low)


def test_what_counts_and_what_does_not_make_up_all_findings() -> None:
    some = [
        finding(new=new, dismissed=gone, start_line=line)
        for new in (True, False)
        for gone in ("", "by ada")
        for line in (1, 2)
    ]
    run = run_of(agent(result(Outcome.FINDINGS, *some)))
    assert counted(run) == tuple(one for one in findings(run) if one.counts)
    assert beside(run) == tuple(one for one in findings(run) if not one.counts)
    assert (len(counted(run)), len(beside(run))) == (2, 6)


def test_counts_in_words() -> None:
    assert [count(number, "finding") for number in (0, 1, 1234)] == ["0 findings", "1 finding", "1,234 findings"]
