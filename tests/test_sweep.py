"""The sweep on a real Redis, at whatever time it is."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from redis import Redis

from bot.dead import DeadLetters
from bot.deliveries import Deliveries
from bot.domain.events import AgentStarted, DeadlinePassed
from bot.jobs import JobSpec
from bot.locks import lock
from bot.publishing.unpublished import Unpublished
from bot.queues import Queues
from bot.store import Store
from bot.sweep import Sweep
from tests.builders import agent_plan, commit_received, run_key

KEY = run_key()
BEGUN = commit_received(agent_plan("test", timeout=60), at=1000.0)


def sweep_at(store: Store, clock: Callable[[], float]) -> Sweep:
    unpublished = Unpublished(store)
    return Sweep(store, unpublished, DeadLetters(store, unpublished, Deliveries(store.redis), clock), clock)


def _complete(store: Store) -> bool:
    stored = store.load(KEY)
    assert stored is not None
    return stored.run.complete


def test_what_is_overdue_is_ended_and_told(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    store.update(KEY, BEGUN)
    store.update(KEY, AgentStarted(at=1000.0, agent="test", attempt=1))
    sweep_at(store, lambda: 1010.0).once()
    assert not _complete(store)
    sweep_at(store, lambda: 5000.0).once()
    assert _complete(store)
    assert isinstance(store.log(KEY)[-1], DeadlinePassed)
    [told] = [record for record in caplog.records if record.name == "bot.sweep"]
    assert (told.levelname, told.getMessage()) == (
        "WARNING",
        f"{KEY}: test was given up: it gave no result within 60 s",
    )


def test_deadline_of_a_run_that_is_gone_is_forgotten(store: Store, redis: Redis) -> None:
    store.update(KEY, BEGUN)
    redis.delete(f"assay:run:{KEY}")
    sweep_at(store, lambda: 1e9).once()
    assert store.overdue(1e10) == []


def test_what_nobody_published_is_published_again(store: Store, redis: Redis) -> None:
    store.update(KEY, BEGUN)
    redis.delete("assay:later")
    sweep_at(store, lambda: 1030.0).once()
    assert Queues(redis).waiting("publish") == 0
    sweep_at(store, lambda: 1100.0).once()
    sweep_at(store, lambda: 1101.0).once()
    assert Queues(redis).waiting("publish") == 1


def test_another_sweep_is_let_work(store: Store, redis: Redis) -> None:
    store.queues.put_off(JobSpec.publish(KEY, 1), 0.0)
    with lock(store.redis, "sweep", 10):
        sweep_at(store, lambda: 100.0).once()
    assert Queues(redis).waiting("publish") == 0
