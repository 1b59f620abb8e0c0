from __future__ import annotations

import pytest

from bot.domain.changes import KNOWN_LIMIT, changes, known
from bot.domain.findings import AgentResult, NotCovered, Outcome
from bot.domain.run import Phase
from tests.domain.runs import clean, clean_run, found, make_agent, make_finding, make_run

FINDING = make_finding()
BEFORE = known(make_run(make_agent("lint", found(FINDING))), ())


def test_a_first_run_has_only_new_findings() -> None:
    news = changes(make_run(make_agent("lint", found(FINDING))), ())
    assert (news.new, news.open, news.fixed) == ((FINDING.fingerprint,), (), ())


def test_a_known_finding_is_still_open() -> None:
    news = changes(make_run(make_agent("lint", found(FINDING))), BEFORE)
    assert (news.new, news.open, news.fixed) == ((), (FINDING.fingerprint,), ())


def test_a_finding_that_is_gone_is_fixed() -> None:
    news = changes(make_run(make_agent("lint", clean())), BEFORE)
    assert [one.where for one in news.fixed] == ["shop/cart.py:3"]
    assert known(make_run(make_agent("lint", clean())), BEFORE) == ()


@pytest.mark.parametrize(
    "outcome",
    [Outcome.ERROR, Outcome.TIMED_OUT, Outcome.NOT_RUN, Outcome.CANCELLED, Outcome.SKIPPED, Outcome.PARTIAL],
)
def test_a_finding_is_not_fixed_when_its_agent_did_not_look(outcome: Outcome) -> None:
    run = make_run(make_agent("lint", AgentResult(outcome=outcome)))
    assert changes(run, BEFORE).fixed == ()
    assert changes(run, BEFORE).unseen == BEFORE
    assert known(run, BEFORE) == BEFORE


def test_a_finding_is_not_fixed_while_its_agent_works_or_when_it_left_the_plan() -> None:
    working = make_run(make_agent("lint", phase=Phase.RUNNING))
    assert changes(working, BEFORE).unseen == BEFORE
    assert changes(make_run(make_agent("test", clean())), BEFORE).unseen == BEFORE


def test_every_agent_that_reported_it_has_to_look_again() -> None:
    both = BEFORE[0].model_copy(update={"sources": ("lint/ruff", "security/bandit")})
    lint = make_agent("lint", clean())
    gone = make_agent("security", AgentResult(outcome=Outcome.ERROR))
    assert changes(make_run(lint, gone), (both,)).unseen == (both,)
    assert changes(make_run(lint, make_agent("security", clean())), (both,)).fixed == (both,)


@pytest.mark.parametrize(
    ("covered", "gap", "fixed"),
    [
        (("shop/cart.py",), NotCovered(what="ci.yml", why="no zizmor"), True),
        (("shop/cart.py",), NotCovered(what="ruff", why="crashed"), False),
        (("shop/cart.py",), NotCovered(what="shop/cart.py", why="too large"), False),
        (("other.py",), NotCovered(what="ci.yml", why="no zizmor"), False),
    ],
)
def test_a_partial_look_counts_where_it_went(covered: tuple[str, ...], gap: NotCovered, fixed: bool) -> None:
    result = AgentResult(outcome=Outcome.PARTIAL, covered=covered, not_covered=(gap,))
    assert bool(changes(make_run(make_agent("lint", result)), BEFORE).fixed) is fixed


def test_what_was_there_before_the_change_is_no_news() -> None:
    run = make_run(make_agent("lint", found(make_finding(new=False))))
    assert changes(run, ()).new == ()
    assert known(run, ()) == ()


def test_one_problem_of_two_agents_is_known_once() -> None:
    other = make_finding(agent="security", tool="bandit")
    run = make_run(make_agent("lint", found(FINDING)), make_agent("security", found(other)))
    assert [one.sources for one in known(run, ())] == [("lint/ruff", "security/bandit")]


def test_it_is_remembered_which_comment_a_finding_has() -> None:
    before = (BEFORE[0].model_copy(update={"comment": 77}),)
    assert known(make_run(make_agent("lint", found(FINDING))), before)[0].comment == 77


def test_memory_is_bounded() -> None:
    many = [make_finding(start_line=n) for n in range(1, KNOWN_LIMIT + 50)]
    assert len(known(make_run(make_agent("lint", found(*many))), ())) == KNOWN_LIMIT


def test_a_clean_run_leaves_nothing_to_remember() -> None:
    assert known(clean_run(), ()) == ()
