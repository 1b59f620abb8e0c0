"""Reconciliation's choices: how far back a pass looks, and what is news to a run."""

from __future__ import annotations

from typing import cast

from redis import Redis

from bot.deliveries import Deliveries
from bot.domain.events import CommitReceived, TriggerEnded
from bot.domain.plan import Plan
from bot.domain.publication import CheckRecord, Publication
from bot.domain.reduce import reduce
from bot.domain.run import Run, RunKey
from bot.domain.triggers import Pull, Push, Trigger
from bot.github.contents import PullSeen, PushSeen
from bot.missed.comparison import is_news
from bot.missed.reconciliation import LONGEST, OVERLAP, STALE, GitHub, Pass, Reconciliation, next_pass
from bot.publishing.records import Records
from bot.store import Store

NOW = 1_800_000_000.0
KEY = RunKey(repository="octo/demo", sha="a" * 40)


def run_of(trigger: Trigger) -> Run:
    run = reduce(None, CommitReceived(at=NOW, installation=1, trigger=trigger, plan=Plan()), KEY).run
    assert run is not None
    return run


def let_go(run: Run, trigger: Trigger) -> Run:
    ended = TriggerEnded(at=NOW + 1, trigger=trigger.id, updated_at=trigger.updated_at + 1, reason="closed")
    after = reduce(run, ended, KEY).run
    assert after is not None
    return after


def a_pull(**changes: object) -> PullSeen:
    known = PullSeen(
        number=7,
        title="",
        body="",
        author="alice",
        state="open",
        draft=False,
        merged=False,
        base_ref="main",
        base_sha="b" * 40,
        head_ref="feature",
        head_sha=KEY.sha,
        head_repository="octo/demo",
        fork=False,
        updated_at=NOW,
    )
    return known.model_copy(update=changes)


PULL = Pull(number=7, base_ref="main", updated_at=NOW)
PUSH = PushSeen(branch="main", before="b" * 40, head_sha=KEY.sha, forced=False, actor="alice", updated_at=NOW)


def test_first_pass_looks_back_a_little_but_at_checks_as_far_as_there_can_be_any() -> None:
    first = next_pass(None, NOW, 3600)
    assert (first.since, first.checks_since) == (NOW - 3600, NOW - STALE)


def test_pass_looks_back_to_where_the_last_one_began() -> None:
    last = Pass(began=NOW - 9000, since=0, checks_since=0, ended=NOW - 8000)
    new = next_pass(last, NOW, 3600)
    assert new.since == new.checks_since == NOW - 9000 - OVERLAP


def test_pass_that_did_not_end_is_made_up_for_by_the_next() -> None:
    last = Pass(began=NOW - 100, since=NOW - 9000, checks_since=NOW - STALE / 2)
    new = next_pass(last, NOW, 3600)
    assert (new.since, new.checks_since) == (NOW - 9000, NOW - STALE / 2)


def test_long_absence_is_made_up_for_in_part() -> None:
    new = next_pass(Pass(began=0, since=0, checks_since=0, ended=1), NOW, 3600)
    assert (new.since, new.checks_since) == (NOW - LONGEST, NOW - STALE)


def test_clock_that_was_set_back_hides_nothing() -> None:
    new = next_pass(Pass(began=NOW + 9999, since=0, checks_since=0, ended=NOW + 10_000), NOW, 3600)
    assert new.since <= NOW


def test_pull_request_without_a_run_is_news() -> None:
    assert is_news(None, a_pull())
    assert is_news(run_of(Push(branch="feature")), a_pull())


def test_pull_request_that_its_run_knows_is_none() -> None:
    assert not is_news(run_of(PULL), a_pull(updated_at=NOW + 99, title="Another"))


def test_pull_request_that_is_another_by_now_is_news() -> None:
    run = run_of(PULL)
    assert is_news(run, a_pull(base_ref="release"))
    assert is_news(run, a_pull(draft=True))
    assert is_news(let_go(run, PULL), a_pull())


def test_closed_pull_request_is_news_to_a_run_that_still_waits_for_it() -> None:
    closed, run = a_pull(state="closed"), run_of(PULL)
    assert is_news(run, closed)
    assert not is_news(let_go(run, PULL), closed)
    assert not is_news(None, closed)


def test_push_is_news_to_a_run_that_has_not_heard_of_it() -> None:
    assert is_news(None, PUSH)
    assert is_news(run_of(PULL), PUSH)
    assert not is_news(run_of(Push(branch="main")), PUSH)


def test_forgotten_check_of_a_newer_assay_keeps_no_other_waiting(store: Store, redis: Redis) -> None:
    class Nowhere:
        def installations(self) -> tuple[()]:
            return ()

    newer, lost = (RunKey(repository="octo/demo", sha=letter * 40) for letter in "cd")
    records = Records(redis, store.retention)
    for key, at in ((newer, 1.0), (lost, 2.0)):
        record = CheckRecord(id=1, external_id="x", status="in_progress", written_at=at)
        records.save_publication(key, Publication(checks={"assay": record}))
    redis.set(f"assay:run:{newer}", '{"of": "tomorrow"}')
    github = cast("GitHub", Nowhere())
    Reconciliation(store, records, Deliveries(redis), github, lambda: True, 600.0, 600.0).step(NOW)
    assert records.unfinished_checks(NOW) == [newer]
