"""The store on a real Redis: one transaction for event, state, deadline and jobs."""

from __future__ import annotations

import threading

import pytest
from redis import Redis

from bot.domain.events import AgentFinished, AgentStarted, CommitReceived
from bot.domain.findings import AgentResult, Outcome
from bot.domain.plan import AgentPlan, Plan
from bot.domain.publication import ANNOUNCED_AFTER
from bot.domain.reduce import reduce
from bot.domain.run import Run, RunKey
from bot.domain.triggers import Push
from bot.errors import TakenOver
from bot.jobs import AGENT_QUEUES, QUEUES
from bot.queues import Queues
from bot.store import Store

KEY = RunKey(repository="octo/demo", sha="a" * 40)
OTHER = RunKey(repository="octo/demo", sha="b" * 40)


def agent(name: str) -> AgentPlan:
    kind = name if name in AGENT_QUEUES else "command"
    return AgentPlan(name=name, kind=kind, required=True, fail_on=None, report="added", timeout=60)


def received(*agents: str) -> CommitReceived:
    plan = Plan(agents=tuple(agent(name) for name in agents))
    return CommitReceived(at=1000.0, installation=1, trigger=Push(branch="main"), plan=plan)


def finished(name: str) -> AgentFinished:
    return AgentFinished(at=1001.0, agent=name, attempt=1, result=AgentResult(outcome=Outcome.CLEAN))


def waiting(redis: Redis) -> dict[str, int]:
    """Jobs by queue."""
    return {name: Queues(redis).waiting(name) for name in QUEUES}


def folded(store: Store, key: RunKey) -> Run | None:
    run: Run | None = None
    for event in store.log(key):
        run = reduce(run, event, key).run
    return run


def test_update_saves_event_state_deadline_and_jobs_together(store: Store, redis: Redis) -> None:
    run = store.update(KEY, received("test", "lint"))
    stored = store.load(KEY)
    assert stored is not None
    assert stored.run == run == folded(store, KEY)
    assert waiting(redis) == dict.fromkeys(QUEUES, 0) | {"test": 1, "lint": 1}
    # Agents that are quick are shown with their results at once.
    assert (store.queues.send_due(1000.0), store.queues.send_due(1000.0 + ANNOUNCED_AFTER)) == (0, 1)
    assert waiting(redis) == dict.fromkeys(QUEUES, 0) | {"test": 1, "lint": 1, "publish": 1}
    (job,) = Queues(redis).queue("test").jobs
    assert (job.func_name, list(job.args), job.retries_left) == ("workers.wiring.on_agent", [str(KEY), "test", 1], 2)
    assert store.overdue(1000.0 + 7 * 86400) == [KEY]


def test_run_with_nothing_to_wait_for_is_published_at_once(store: Store, redis: Redis) -> None:
    store.update(KEY, received())
    assert waiting(redis)["publish"] == 1
    store.update(OTHER, received("test"))
    store.update(OTHER, finished("test"))
    assert waiting(redis)["publish"] == 2


def test_event_that_changes_nothing_is_not_logged_and_sends_nothing(store: Store, redis: Redis) -> None:
    store.update(KEY, received("test"))
    before = store.load(KEY), len(store.log(KEY)), waiting(redis)
    store.update(KEY, received("test"))
    assert (store.load(KEY), len(store.log(KEY)), waiting(redis)) == before


def test_news_of_an_unknown_run_opens_none(store: Store) -> None:
    assert store.update(KEY, finished("test")) is None
    assert store.load(KEY) is None


def test_racing_updates_lose_nothing(store: Store) -> None:
    names = [f"agent{number}" for number in range(12)]
    store.update(KEY, received(*names))
    threads = [threading.Thread(target=store.update, args=(KEY, finished(name))) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stored = store.load(KEY)
    assert stored is not None
    assert stored.run.complete
    assert len(store.log(KEY)) == 1 + len(names)
    assert folded(store, KEY) == stored.run


def test_what_is_known_of_a_run_may_be_old(store: Store) -> None:
    store.update(KEY, received("test", "lint"))
    old = store.load(KEY)
    store.update(KEY, finished("lint"))
    run = store.update(KEY, finished("test"), known=old)
    assert run is not None
    assert run.complete
    assert store.update(KEY, finished("lint"), known=old) == run == folded(store, KEY)
    assert len(store.log(KEY)) == 3


def test_version_changes_with_the_run_only(store: Store) -> None:
    store.update(KEY, received("test"))
    first = store.load(KEY)
    second = store.load(KEY)
    store.update(KEY, AgentStarted(at=1001.0, agent="test", attempt=1))
    third = store.load(KEY)
    assert first is not None
    assert second is not None
    assert third is not None
    assert first.version == second.version != third.version


def test_retention_is_set_on_everything_of_a_run(redis: Redis) -> None:
    store = Store(redis, Queues(redis), retention=500)
    store.update(KEY, received("test"))
    store.take_up(KEY, "test", 1)
    for name in (f"run:{KEY}", f"log:{KEY}", f"fence:{KEY}:test:1"):
        assert 0 < redis.ttl(f"assay:{name}") <= 500


def test_run_that_has_ended_has_no_deadline(store: Store, redis: Redis) -> None:
    store.update(KEY, received("test"))
    assert redis.zscore("assay:deadlines", str(KEY)) is not None
    store.update(KEY, finished("test"))
    assert redis.zscore("assay:deadlines", str(KEY)) is None


def test_recent_forgets_runs_past_their_retention(store: Store, redis: Redis) -> None:
    store.update(KEY, received("test"))
    assert [run.key for run in store.recent()] == [KEY]
    redis.delete(f"assay:run:{KEY}")
    assert store.recent() == []
    assert store.find("octo/demo") == []


def test_runs_are_found_by_repository_or_sha(store: Store) -> None:
    store.update(KEY, received("test"))
    assert store.find("octo/") == store.find("aaaaaaa") == [KEY]
    assert store.find("bbb") == []


def test_worker_with_an_older_token_is_not_listened_to(store: Store) -> None:
    store.update(KEY, received("test"))
    first, stored = store.take_up(KEY, "test", 1)
    assert stored == store.load(KEY)
    store.update(KEY, AgentStarted(at=1000.5, agent="test", attempt=1), first, stored)
    second, _ = store.take_up(KEY, "test", 1)
    with pytest.raises(TakenOver):
        store.update(KEY, finished("test"), first)
    run = store.update(KEY, finished("test"), second)
    assert run is not None
    assert run.complete
