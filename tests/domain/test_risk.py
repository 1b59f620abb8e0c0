"""The risk of a run: stated, bounded, and never smaller for more."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bot.domain.findings import Finding, Measure, NotCovered, Outcome, Severity
from bot.domain.risk import WEIGHTS
from bot.domain.run import AgentState, Run
from bot.domain.verdict import Conclusion, risk_of, verdict
from tests.domain.runs import clean, clean_run, failing_run, found, make_agent, make_finding, make_run, of_tests

CALM = Measure(files=2, added=10, code=1, tests=1)


def changed(run: Run, name: str, **fields: Any) -> Run:
    def change(agent: AgentState) -> AgentState:
        if agent.plan.name != name or agent.result is None:
            return agent
        return agent.model_copy(update={"result": agent.result.model_copy(update=fields)})

    return run.model_copy(update={"agents": tuple(map(change, run.agents))})


def score(run: Run) -> int:
    return risk_of(run).score


def test_small_change_that_all_looked_at_has_next_to_none() -> None:
    assert risk_of(changed(clean_run(), "review", measure=CALM)).factors == ()


def test_every_factor_is_told_with_its_weight_and_why() -> None:
    large = Measure(files=10, added=9_000, removed=9, code=9, dependencies=("go.mod",), troubled=3)
    told = {factor.name: factor for factor in risk_of(changed(failing_run(), "review", measure=large)).factors}
    assert set(told) == set(WEIGHTS)
    assert all(0 < factor.points <= factor.weight == WEIGHTS[factor.name] for factor in told.values())
    assert told["tests"].why == "1 failing"
    assert told["findings"].why == "1 critical, 1 high, 2 medium"
    assert told["dependencies"].why == "go.mod"
    assert "3 earlier commits" in told["history"].why


def test_refuted_claim_and_what_was_there_before_add_nothing() -> None:
    old = make_finding(severity=Severity.CRITICAL, new=False)
    ignored = make_finding(severity=Severity.CRITICAL, dismissed="by ada: not ours")
    assert score(make_run(make_agent("lint", found(old, ignored)))) == 0


def test_code_that_no_test_ran_for_weighs_more_than_code_without_a_test_of_its_own() -> None:
    code = Measure(files=1, code=1)
    none = make_run(make_agent("test", clean().model_copy(update={"outcome": Outcome.NOT_RUN})))
    some = make_run(make_agent("test", of_tests(3)), make_agent("lint", clean(measure=code)))
    none = make_run(*none.agents, make_agent("lint", clean(measure=code)))
    tests = [{factor.name: factor.points for factor in risk_of(run).factors}["tests"] for run in (none, some)]
    assert tests[0] > tests[1] > 0


def test_risk_fails_a_required_reviewer_once_all_have_ended() -> None:
    bad = found(make_finding(severity=Severity.CRITICAL, agent="review", tool="review", rule="review/security"))

    def run(limit: int, lint: AgentState) -> Run:
        review = make_agent("review", bad, fail_on=None)
        plan = review.plan.model_copy(update={"fail_risk": limit})
        return make_run(review.model_copy(update={"plan": plan}), lint)

    at_work = make_agent("lint", None).model_copy(update={"phase": "running"})
    assert verdict(run(70, make_agent("lint", clean()))).conclusion is Conclusion.FAILURE
    assert "risk is 70" in verdict(run(70, make_agent("lint", clean()))).because[0]
    assert verdict(run(71, make_agent("lint", clean()))).conclusion is Conclusion.SUCCESS
    assert verdict(run(70, at_work)).conclusion is None


measures = st.builds(
    Measure,
    files=st.integers(0, 10_000),
    added=st.integers(0, 10**7),
    removed=st.integers(0, 10**7),
    code=st.integers(0, 50),
    tests=st.integers(0, 50),
    dependencies=st.lists(st.sampled_from(["go.mod", "package.json"]), max_size=5).map(tuple),
    troubled=st.integers(0, 100),
)
found_lists = st.lists(
    st.builds(
        lambda severity, line, agent: make_finding(f"trouble {line}", agent, severity=severity, start_line=line),
        st.sampled_from(Severity),
        st.integers(1, 9),
        st.sampled_from(["lint", "security", "review"]),
    ),
    max_size=8,
)


def run_of(measure: Measure, found_there: list[Finding], outcome: Outcome) -> Run:
    gaps = (NotCovered(what="b.py", why="too large"),) if outcome is Outcome.PARTIAL else ()
    result = found(*found_there, measure=measure, covered=("a.py",), not_covered=gaps)
    return make_run(make_agent("lint", result.model_copy(update={"outcome": outcome})), make_agent("test", of_tests(3)))


@settings(max_examples=150)
@given(measures, found_lists, st.sampled_from([Outcome.CLEAN, Outcome.PARTIAL, Outcome.ERROR]), st.data())
def test_bounded_and_monotone(measure: Measure, there: list[Finding], outcome: Outcome, data: st.DataObject) -> None:
    run = run_of(measure, there, outcome)
    now = risk_of(run)
    assert 0 <= now.score <= 100
    assert now.score == min(100, sum(factor.points for factor in now.factors))
    assert all(0 < factor.points <= factor.weight for factor in now.factors)
    more = make_finding("another one", severity=data.draw(st.sampled_from(Severity)), start_line=99)
    name = data.draw(st.sampled_from(["files", "added", "removed", "code", "troubled"]))
    larger = measure.model_copy(update={name: getattr(measure, name) + data.draw(st.integers(0, 1000))})
    assert score(run_of(measure, [*there, more], outcome)) >= now.score
    assert score(run_of(larger, there, outcome)) >= now.score
    assert score(run_of(measure, there, Outcome.ERROR)) >= score(run_of(measure, there, Outcome.CLEAN))


def test_an_agent_that_looked_at_some_of_it_is_told_from_one_that_looked_at_nothing() -> None:
    def why(outcome: Outcome) -> str:
        factors = risk_of(changed(clean_run(), "review", outcome=outcome, measure=CALM)).factors
        return next(one.why for one in factors if one.name == "not looked at")

    assert why(Outcome.PARTIAL) == "some of what review should"
    assert why(Outcome.ERROR) == "all that review should"
