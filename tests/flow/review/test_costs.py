"""What reviews may cost, and who lets them cost more."""

from __future__ import annotations

import pytest

from bot.demo.github import StandInGitHub
from bot.demo.model import MODEL, ScriptedModel
from bot.domain.accounts import Limits, accounts
from bot.domain.findings import Outcome
from bot.domain.render_timeline import explain_run
from bot.domain.verdict import Conclusion, findings
from bot.spending import Spending
from tests.flow.assay import CONFIG, REPOSITORY, Assay
from tests.flow.review.reviewing import (
    FAULTY,
    PADDING,
    REVIEWED,
    Reviewer,
    buttons,
    limited,
    opened,
    orders,
    review_of,
)
from workers.agents import reading


def test_used_up_budget_is_told_of_and_what_was_read_stays(
    assay: Assay, github: StandInGitHub, reviewer: Reviewer, caplog: pytest.LogCaptureFixture
) -> None:
    reviewer.cost = 0.6
    limited = REVIEWED.replace("fail_on: high}", "fail_on: high, budget: {month: 1, pull: 10}}")
    sha = github.commit(REPOSITORY, "feature", {"demo.py": FAULTY, CONFIG: limited})
    number = github.open_pull(REPOSITORY, "feature")
    assay.settle()
    comment = assay.comment(number)
    assert "&#36;1.2000" in comment
    assert "120% of the repository's &#36;1.00 a month spent" in comment
    said = [record.getMessage() for record in caplog.records if "model cost" in record.getMessage()]
    assert [line.split("%")[0].rpartition(" ")[2] for line in said] == ["50", "100"]
    asked = len(reviewer.asked)
    after = github.push(REPOSITORY, "feature", {"other.py": FAULTY})
    assay.settle()
    assert len(reviewer.asked) == asked
    assert review_of(assay, after).outcome is Outcome.PARTIAL, "what was answered before counts"
    assert "raise agents.review.budget.month" in assay.comment(number)
    assert assay.verdict(after) is Conclusion.FAILURE
    assert review_of(assay, sha).outcome is Outcome.FINDINGS


def test_budget_that_ends_between_the_two_looks_leaves_findings_unverified(
    assay: Assay, github: StandInGitHub, reviewer: Reviewer
) -> None:
    reviewer.cost = 2.0
    limited = REVIEWED.replace("fail_on: high}", "fail_on: high, budget: {pull: 1.5}}")
    github.commit(REPOSITORY, "feature", {"demo.py": FAULTY, CONFIG: limited})
    number = github.open_pull(REPOSITORY, "feature")
    assay.settle()
    assert reviewer.asked == ["review"]
    comment = assay.comment(number)
    assert comment.count("· unverified") == 2
    assert "this pull request's &#36;1.50 are used up" in comment


@pytest.mark.usefixtures("two_prices")
def test_each_look_is_metered_at_the_price_of_its_own_model(
    assay: Assay, github: StandInGitHub, server: ScriptedModel
) -> None:
    month = REVIEWED.replace("fail_on: high}", "fail_on: high, verify: {model: other}, budget: {month: 10}}")
    sha = github.commit(REPOSITORY, "feature", {"demo.py": FAULTY, CONFIG: month})
    number = github.open_pull(REPOSITORY, "feature")
    assay.settle()
    assert [request.model for request in server.requests] == [MODEL, "other"]
    first, second = (agent.result.cost for agent in assay.run(sha).agents if agent.result and agent.result.cost)
    for cost, model, price in ((first, MODEL, 1), (second, "other", 100)):
        assert cost.model == model
        assert cost.usd == pytest.approx((cost.input_tokens + cost.output_tokens) * price / 1_000_000)
    charged = accounts(assay.run(sha), Limits(month=10), assay.clock.time())
    assert Spending(assay.redis).spent(charged) == [pytest.approx((first.usd or 0) + (second.usd or 0))]
    assert f"({MODEL}, other, " in assay.comment(number)


@pytest.mark.usefixtures("allowed")
def test_operator_s_model_for_the_second_look_and_his_list_hold(
    assay: Assay, github: StandInGitHub, server: ScriptedModel
) -> None:
    _, sha = opened(github)
    assay.settle()
    assert [request.model for request in server.requests] == [MODEL, "other"]
    own = REVIEWED.replace("fail_on: high}", "fail_on: high, model: third}")
    sha = github.push(REPOSITORY, "feature", {CONFIG: own})
    assay.settle()
    state = review_of(assay, sha)
    assert state.outcome is Outcome.NOT_RUN
    assert state.result
    assert "does not allow the model third" in state.result.reason
    assert len(server.requests) == 2


def test_review_that_stopped_at_a_limit_goes_on_where_it_stopped_once_somebody_raises_it(
    assay: Assay, github: StandInGitHub, reviewer: Reviewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The button on its check, then an order in a comment: by who may, once each, and up to what was said only."""
    monkeypatch.setattr(reading, "REQUEST_CHARACTERS", 300)
    reviewer.cost = 0.6
    files = {f"f{number}.py": f"def at_{number}(items):\n    return items[{number}]\n{PADDING}" for number in range(4)}
    github.commit(REPOSITORY, "main", limited("run: 1"))
    sha = github.commit(REPOSITORY, "feature", files)
    number = github.open_pull(REPOSITORY, "feature")
    assay.settle()
    assert review_of(assay, sha).outcome is Outcome.PARTIAL
    asked = reviewer.asked.count("review")
    assert asked == 2
    assert buttons(assay, sha) == ["Raise to $2.00"]
    assert "`/assay budget $2.00`" in assay.comment(number)
    first = assay.check(sha, "assay / review").id

    github.click_action(first, "raise_budget", author="eve")
    assay.settle()
    assert reviewer.asked.count("review") == asked, "eve may not write"
    for text, why in (
        ("/assay budget $0.90", "it can be raised to more than `$1.00`"),
        ("/assay budget $11", "`$10.00` at most"),
        ("/assay budget 500000 tokens", "another kind of limit"),
    ):
        assert why in orders(assay, github, number, text)[-1]
    assert reviewer.asked.count("review") == asked

    github.click_action(first, "raise_budget", author="alice")
    assay.settle()
    assert reviewer.asked.count("review") == asked + 2, "what was answered is not asked again"
    run = assay.run(sha)
    assert run.cap, "now the verifier stopped"
    assert (run.cap.limit, run.cap.proposed) == (2.0, 4.0)
    assert [(one.actor, one.limit) for one in run.raised] == [("alice", 2.0)]

    github.click_action(first, "raise_budget", author="alice")
    assay.settle()
    assert [one.limit for one in assay.run(sha).raised] == [2.0], "that button was of an earlier question"
    orders(assay, github, number, "/assay budget $4.00")
    run = assay.run(sha)
    assert [one.limit for one in run.raised] == [2.0, 4.0]
    assert run.lacking == ()
    assert review_of(assay, sha).outcome is Outcome.FINDINGS
    assert reviewer.asked.count("review") == asked + 2
    assert {finding.verification for finding in findings(run)} == {"confirmed"}
    assert orders(assay, github, number, "/assay budget $8.00")[-1].count("no review has stopped") == 1
    told = explain_run(run, assay.store.log(run.key))
    assert told.count("BudgetRaised") == 2
    assert "this run's $1.00 raised to $2.00 [by alice" in told
    assert "saw: The review stopped at this run's $1.00: $" in told


def test_limit_of_a_month_that_was_raised_counts_for_the_next_push_too(
    assay: Assay, github: StandInGitHub, reviewer: Reviewer
) -> None:
    reviewer.cost = 0.6
    github.commit(REPOSITORY, "feature", {"demo.py": FAULTY, **limited("month: 1")})
    number = github.open_pull(REPOSITORY, "feature")
    assay.settle()
    after = github.push(REPOSITORY, "feature", {"other.py": FAULTY})
    assay.settle()
    assert review_of(assay, after).outcome is Outcome.PARTIAL
    orders(assay, github, number, "/assay budget $10.00")
    assert review_of(assay, after).outcome is Outcome.FINDINGS
    third = github.push(REPOSITORY, "feature", {"third.py": FAULTY})
    assay.settle()
    assert review_of(assay, third).outcome is Outcome.FINDINGS
    assert assay.run(third).raised == ()


def test_month_is_limited_in_tokens_where_no_price_is_known(
    assay: Assay, github: StandInGitHub, reviewer: Reviewer, caplog: pytest.LogCaptureFixture
) -> None:
    """Of the repository here, of the installation by the operator's setting alike."""
    unknown = limited("month_tokens: 16000")[CONFIG].replace("fail_on: high", "fail_on: high, model: other")
    sha = github.commit(REPOSITORY, "feature", {"demo.py": FAULTY, CONFIG: unknown})
    number = github.open_pull(REPOSITORY, "feature")
    assay.settle()
    assert review_of(assay, sha).outcome is Outcome.FINDINGS
    spent = 0
    while review_of(assay, sha).outcome is Outcome.FINDINGS:
        spent += 1
        assert spent < 20
        sha = github.push(REPOSITORY, "feature", {f"f{spent}.py": f"{FAULTY}# {spent}\n"})
        assay.settle()
    assert spent
    asked = len(reviewer.asked)
    assert "the repository's 16,000 tokens a month are used up" in str(review_of(assay, sha).result)
    assert "`/assay budget 32000 tokens`" in assay.comment(number)
    said = [
        record.getMessage() for record in caplog.records if "16,000 tokens a month are spent" in record.getMessage()
    ]
    assert said
    orders(assay, github, number, "/assay budget 32000 tokens")
    assert len(reviewer.asked) > asked
    assert review_of(assay, sha).outcome is Outcome.FINDINGS


def test_review_most_of_whose_claims_were_refuted_again_counts_once_another_person_says_so(
    assay: Assay, github: StandInGitHub, reviewer: Reviewer
) -> None:
    reviewer.rule = lambda _number, _line: {"verdict": "refuted", "reason": "No caller passes a short list."}
    sha = github.commit(REPOSITORY, "feature", {"demo.py": FAULTY})
    number = github.open_pull(REPOSITORY, "feature", author="alice")
    github.world.repositories[REPOSITORY].collaborators["bob"] = "write"
    assay.settle()
    assert buttons(assay, sha) == ["Accept review"]
    assert assay.verdict(sha) is Conclusion.ACTION_REQUIRED
    github.click_action(assay.check(sha, "assay / review").id, "accept_review", author="alice")
    assay.settle()
    assert assay.run(sha).accepted == (), "nobody in their own cause"
    assert "another commit" in orders(assay, github, number, f"/assay accept {'0' * 40}", "bob")[-1]
    github.click_action(assay.check(sha, "assay / review").id, "accept_review", author="bob")
    assay.settle()
    assert [one.actor for one in assay.run(sha).accepted] == ["bob"]
    assert assay.verdict(sha) is Conclusion.SUCCESS
    assert "Accepted as it is by bob" in str(assay.check(sha, "assay").output["summary"])
