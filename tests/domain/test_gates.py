"""The gates of a review: a limit on its cost that people may raise, and claims that were refuted again."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic_core import to_json

from bot.domain.accounts import Limits, accounts, with_raises
from bot.domain.effects import StartAgent
from bot.domain.events import (
    BudgetRaised,
    DeadlinePassed,
    Event,
    RerunRequested,
    ReviewAccepted,
)
from bot.domain.findings import AgentResult, Cap, Cost, Judgement, Outcome
from bot.domain.lapses import lapses
from bot.domain.plan import Patience, Plan
from bot.domain.reduce import Step, reduce
from bot.domain.render import checks
from bot.domain.render_comment import comment
from bot.domain.render_gates import budget_order
from bot.domain.render_timeline import explain_run
from bot.domain.run import AgentState, Run, as_written_now
from bot.domain.verdict import Conclusion, verdict
from tests.builders import agent_plan, commit_received, finding, finished, plan_of, pull, result, run_key
from tests.domain.runs import KEY as OF_RUNS
from tests.domain.runs import make_run

REVIEW = agent_plan("review", fail_on=None)
VERIFIER = agent_plan(
    "review/verifier", kind="verify", required=False, fail_on=None, after=("review",), verifies="review"
)
OPENED = commit_received(plan=Plan(agents=(REVIEW, VERIFIER), patience=Patience(expire=1_000, remind=500)))
F1, F2 = (finding(fingerprint=name, tool="review", rule="review/bug") for name in ("f1", "f2"))


def cap(limit: float = 0.5, **fields: Any) -> Cap:
    given = {
        "name": "run",
        "unit": "usd",
        "account": "run x",
        "configured": 0.5,
        "most": 5.0,
        "words": "this run's $0.50",
    }
    return Cap(**given | {"limit": limit, "proposed": limit * 2, "spent": 0.48, "rest": 0.3} | fields)


def stopped(limit: float = 0.5) -> AgentResult:
    return result(Outcome.PARTIAL, reason="2 files not read", cap=cap(limit))


def raised(limit: float = 1.0, at: float = 200.0, delivery: str = "r1", **fields: Any) -> BudgetRaised:
    given = {"name": "run", "configured": 0.5, "words": "this run's $0.50", "actor": "alice"}
    return BudgetRaised(at=at, delivery=delivery, limit=limit, **given | fields)


def play(*events: Event) -> Step:
    step = Step(None)
    for event in events:
        step = reduce(step.run, event, run_key())
    return step


def run_of(*events: Event) -> Run:
    run = play(*events).run
    assert run is not None
    return run


def agent(run: Run, name: str = "review") -> AgentState:
    found = run.agent(name)
    assert found is not None
    return found


# -- a limit on the cost


def test_review_that_stopped_goes_on_once_the_limit_is_raised() -> None:
    run = run_of(OPENED, finished("review", stopped()))
    assert (run.lacking, run.awaits("budget"), verdict(run).conclusion) == (
        ("budget",),
        True,
        Conclusion.ACTION_REQUIRED,
    )
    step = play(OPENED, finished("review", stopped()), raised())
    assert step.effects[0] == StartAgent("review", "review", 2, 600)
    assert step.run
    assert (step.run.lacking, step.run.questions) == ((), {})
    done = run_of(OPENED, finished("review", stopped()), raised(), finished("review", result(), attempt=2))
    assert verdict(done).conclusion is Conclusion.SUCCESS


def test_raise_counts_whenever_it_is_heard_and_once() -> None:
    first = play(OPENED, raised(), finished("review", stopped()))
    assert StartAgent("review", "review", 2, 600) in first.effects
    again = play(OPENED, finished("review", stopped()), raised(), finished("review", stopped(1.0), attempt=2), raised())
    assert again.effects == ()
    assert again.run
    assert again.run.cap == cap(1.0)
    assert agent(again.run).attempt == 2


@pytest.mark.parametrize("other", [{"name": "pull"}, {"configured": 0.4}, {"limit": 0.5}])
def test_raise_of_another_limit_or_to_no_more_changes_nothing(other: dict[str, Any]) -> None:
    run = run_of(OPENED, finished("review", stopped()), raised(**other))
    assert run.awaits("budget")
    assert agent(run).attempt == 1


def test_verifier_that_stopped_goes_on_with_what_its_agent_said_by_then() -> None:
    """The agent begins anew, too: its check is one for both, and what it was answered costs nothing."""
    said = result(Outcome.FINDINGS, F1)
    events: list[Event] = [
        OPENED,
        finished("review", said),
        finished("review/verifier", result(Outcome.ERROR, cap=cap())),
    ]
    assert run_of(*events).awaits("budget")
    step = play(*events, raised())
    assert step.effects[0] == StartAgent("review", "review", 2, 600)
    again = play(*events, raised(), finished("review", said, attempt=2))
    assert again.run
    assert again.effects[0] == StartAgent("review/verifier", "verify", agent(again.run, "review/verifier").attempt, 600)


def test_what_a_fresh_review_was_told_is_kept_when_it_goes_on() -> None:
    full = RerunRequested(at=150.0, delivery="d1", agents=("review",))
    run = run_of(OPENED, finished("review"), full, finished("review", stopped(), attempt=2), raised())
    assert (agent(run).attempt > 2, agent(run).fresh, agent(run).look) == (True, True, 2)


def test_question_reminds_once_ends_and_is_asked_anew_by_a_rerun() -> None:
    asked = (OPENED, finished("review", stopped(), at=160.0))
    assert run_of(*asked).deadline == 660.0
    reminded = run_of(*asked, DeadlinePassed(at=661.0))
    assert "Reminder: this has waited for an answer since" in str(checks(reminded)[-1].summary)
    assert reminded.deadline == 1_160.0
    ends = DeadlinePassed(at=1_161.0)
    expired = run_of(*asked, DeadlinePassed(at=661.0), ends)
    assert [lapse.words for lapse in lapses(reminded, expired)] == [
        "nobody raised the limit in time, and it is not asked for any more"
    ]
    assert (expired.awaits("budget"), expired.deadline) == (False, None)
    assert "it is not asked any more" in checks(expired)[0].summary.replace("\\", "")
    assert checks(expired)[0].actions == ()
    rerun = RerunRequested(at=1_200.0, delivery="d1")
    assert run_of(*asked, DeadlinePassed(at=1_161.0), rerun, finished("review", stopped(), attempt=2)).awaits("budget")


def test_nobody_is_asked_about_a_commit_that_nobody_waits_for() -> None:
    closed = run_of(OPENED, finished("review", stopped())).triggers[0].model_copy(update={"live": False})
    run = run_of(OPENED, finished("review", stopped())).model_copy(update={"triggers": (closed,)})
    assert run.lacking == ()


def test_question_is_shown_with_its_order_and_its_button_on_the_review_s_check() -> None:
    run = run_of(OPENED, finished("review", stopped()))
    review, joined = checks(run)
    (button,) = review.actions
    assert (button.label, button.identifier) == ("Raise to $1.00", "raise_budget")
    assert "raise_budget" not in {action.identifier for action in joined.actions}
    for text in (review.summary, joined.summary, comment(run, pull(), None)):
        words = text.replace("\\", "").replace("&#36;", "$")
        assert "The review stopped at this run's $0.50: $0.4800 spent, and the rest is estimated at $0.3000" in words
        assert "`/assay budget $1.00`" in text


def test_answer_is_shown_and_told() -> None:
    events: list[Event] = [OPENED, finished("review", stopped()), raised(saw=("The review stopped",))]
    text = explain_run(run_of(*events), events)
    assert "BudgetRaised" in text
    assert "this run's $0.50 raised to $1.00 [by alice, delivery r1]" in text
    assert "saw: The review stopped" in text
    done = run_of(*events, finished("review", result(), attempt=2))
    assert "raised to &#36;1.00 by alice" in checks(done)[-1].summary.replace("\\", "")


def test_button_has_no_more_than_github_takes() -> None:
    for unit, proposed in (("usd", 1e9), ("tokens", 123_456_789_012), ("usd", 0.0125), ("tokens", 40_000)):
        run = run_of(OPENED, finished("review", result(Outcome.PARTIAL, cap=cap(unit=unit, proposed=proposed))))
        (button,) = checks(run)[0].actions
        assert len(button.label) <= 20
        assert run.cap
        assert budget_order(run.cap).startswith("/assay budget ")


def test_accounts_are_as_they_were_raised_for_the_run_and_elsewhere() -> None:
    run = make_run(raised=(raised(2.0),))
    limits = Limits(run=0.5, tokens=9_000, pull=1.0, month=5.0, installation=9.0)
    found = accounts(run, limits, 0.0)
    assert [one.words for one in found] == [
        "this run's $2.00",
        "this run's 9,000 tokens",
        "this pull request's $1.00",
        "the repository's $5.00 a month",
        "the installation's $9.00 a month",
    ]
    assert [one.key for one in found][2:] == ["octo/shop#12", "octo/shop:1970-01", "installation 1:1970-01"]
    assert found[0].key == f"run {OF_RUNS}"
    known = with_raises(found, [None, 10_000.0, 0.5, None, None])
    assert [one.limit for one in known] == [2.0, 10_000, 1.0, 5.0, 9.0]
    assert [one.configured for one in known] == [0.5, 9_000, 1.0, 5.0, 9.0]


def test_a_limit_is_proposed_to_be_doubled_until_it_will_do_and_has_an_end() -> None:
    (account,) = accounts(make_run(), Limits(run=0.1), 0.0)
    proposed = [(one.proposed, one.most) for rest in (0.0, 0.25, 7.0) if (one := account.cap(0.1, rest))]
    assert proposed == [(0.2, 1.0), (0.4, 1.0), (1.0, 1.0)]
    assert account.model_copy(update={"limit": 1.0}).cap(1.0, 0.1) is None
    (operators,) = accounts(make_run(), Limits(installation=1.0), 0.0)
    assert operators.cap(1.0, 0.1) is None, "for the operator to raise"
    (nothing,) = accounts(make_run(), Limits(run=0.0), 0.0)
    assert nothing.cap(0.0, 0.1) is None, "it is switched off"


def test_a_charge_is_in_what_the_limit_counts() -> None:
    dollars, tokens = accounts(make_run(), Limits(run=0.1, tokens=9), 0.0)
    cost = Cost(model="m", input_tokens=3, output_tokens=4)
    assert (dollars.of(cost), tokens.of(cost)) == (None, 7.0)
    assert dollars.of(cost.model_copy(update={"usd": 0.5})) == 0.5


# -- claims that were refuted again


def refuting(attempt: int) -> Event:
    judgements = tuple(Judgement(fingerprint=name, ruling="refuted", reason="no") for name in ("f1", "f2"))
    return finished("review/verifier", result(judgements=judgements), attempt=attempt)


def contested() -> list[Event]:
    said = result(Outcome.FINDINGS, F1, F2)
    events: list[Event] = [OPENED, finished("review", said), refuting(1)]
    run = run_of(*events)
    events.append(finished("review", said, attempt=agent(run).attempt))
    return [*events, refuting(agent(run_of(*events), "review/verifier").attempt)]


def accepted(run: Run, **fields: Any) -> ReviewAccepted:
    given = {"agent": "review", "attempt": agent(run).attempt, "actor": "bob", "delivery": "a1"}
    return ReviewAccepted(at=300.0, **given | fields)


def test_review_that_was_refuted_again_counts_once_somebody_lets_it() -> None:
    events = contested()
    run = run_of(*events)
    assert (agent(run).outcome, run.lacking, agent(run).round) == (Outcome.PARTIAL, ("judgement",), 1)
    assert [action.identifier for action in checks(run)[0].actions] == ["accept_review"]
    assert f"/assay accept {run.key.sha}" in checks(run)[-1].summary
    after = run_of(*events, accepted(run))
    assert (agent(after).outcome, after.lacking) == (Outcome.CLEAN, ())
    assert verdict(after).conclusion is Conclusion.SUCCESS
    assert "Accepted as it is by bob" in checks(after)[0].summary + checks(after)[-1].summary
    assert "what review said in attempt" in explain_run(after, [*events, accepted(run)])


def test_acceptance_is_of_one_attempt_and_counts_whenever_it_is_heard() -> None:
    events = contested()
    run = run_of(*events)
    early = run_of(*events[:-1], accepted(run), events[-1])
    assert (agent(early).outcome, early.lacking) == (Outcome.CLEAN, ())
    other = run_of(*events, accepted(run, attempt=1))
    assert other.awaits("judgement")


def test_a_review_refuted_once_is_asked_again_and_nobody_is_asked() -> None:
    run = run_of(*contested()[:3])
    assert run.lacking == ()
    assert agent(run).round == 1


def test_runs_that_had_one_gate_are_understood() -> None:
    run = make_run()
    kept = run.model_dump(mode="json", exclude={"questions", "raised", "accepted"})

    def read(question: object) -> Run:
        return Run.model_validate_json(as_written_now(to_json(kept | {"question": question})))

    assert read({"asked_at": 5.0, "reminded": True}).questions["approval"].reminded
    assert read(None) == run
    setting = run.model_copy(update={"plan": plan_of(agent_plan("docs", settings={"question": "why?"}))})
    assert Run.model_validate_json(as_written_now(setting.model_dump_json().encode())) == setting


@pytest.mark.parametrize("text", [b'{"question":', b'[{"question":null}]'])
def test_what_is_no_run_is_left_for_whoever_reads_it(text: bytes) -> None:
    assert as_written_now(text) == text
