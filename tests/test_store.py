"""The store on a real Redis: one transaction for event, state, deadline and jobs."""

from __future__ import annotations

import threading

import pytest
from redis import Redis

from bot.domain.events import AgentFinished, AgentStarted, CommitReceived, DeadlinePassed
from bot.domain.findings import AgentResult, Outcome
from bot.domain.plan import AgentPlan, Plan
from bot.domain.publication import CheckRecord, Publication
from bot.domain.reduce import reduce
from bot.domain.run import Run, RunKey
from bot.domain.triggers import Push
from bot.errors import Misconfigured
from bot.queues import AGENT_QUEUES, FUNCTIONS, QUEUES, AllowedJob, JobSpec, Queues
from bot.store import Store
from bot.sweep import Sweep

KEY = RunKey(repository="octo/demo", sha="a" * 40)


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
    return {name: Queues(redis).queue(name).count for name in QUEUES}


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
    assert waiting(redis) == dict.fromkeys(QUEUES, 0) | {"test": 1, "lint": 1, "publish": 1}
    (job,) = Queues(redis).queue("test").jobs
    assert (job.func_name, list(job.args), job.retries_left) == ("workers.wiring.on_agent", [str(KEY), "test", 1], 2)
    assert store.overdue(1000.0 + 7 * 86400) == [KEY]


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


def test_run_stays_unpublished_until_its_latest_version_is_shown(store: Store) -> None:
    store.update(KEY, received("test"))
    first = store.load(KEY)
    assert first is not None
    store.update(KEY, finished("test"))
    store.published(KEY, first.version)
    assert store.unpublished(2000.0) == [KEY]
    latest = store.load(KEY)
    assert latest is not None
    store.published(KEY, latest.version)
    assert store.unpublished(2000.0) == []


def test_retention_is_set_on_everything_of_a_run(redis: Redis) -> None:
    store = Store(redis, Queues(redis), retention=500)
    store.update(KEY, received("test"))
    store.save_publication(KEY, Publication(checks={"assay": CheckRecord(external_id="x")}))
    for name in ("run", "log", "publication"):
        assert 0 < redis.ttl(f"assay:{name}:{KEY}") <= 500


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


def test_move_head_tells_the_head_before(store: Store) -> None:
    assert store.move_head("octo/demo", 1, "a") is None
    assert store.move_head("octo/demo", 1, "a") is None
    assert store.move_head("octo/demo", 1, "b") == "a"
    assert store.head("octo/demo", 1) == "b"


def test_lock_is_held_by_one_and_freed_by_its_holder_only(store: Store, redis: Redis) -> None:
    with store.lock("x", 10) as first, store.lock("x", 10) as second:
        assert first is not None
        assert first()
        assert second is None
    with store.lock("x", 10) as again:
        assert again is not None
        redis.set("assay:lock:x", "somebody else's")
        assert not again()
    assert redis.get("assay:lock:x") == b"somebody else's"


def test_job_for_later_is_sent_once_and_not_before_its_time(store: Store, redis: Redis) -> None:
    store.later(JobSpec.publish(KEY), 100.0)
    assert (store.send_due(99.0), store.send_due(100.0), store.send_due(101.0)) == (0, 1, 0)
    assert waiting(redis)["publish"] == 1


def test_sweep_ends_what_is_overdue(store: Store) -> None:
    store.update(KEY, received("test"))
    store.update(KEY, AgentStarted(at=1000.0, agent="test", attempt=1))
    Sweep(store, lambda: 1010.0).once()
    assert not _complete(store)
    Sweep(store, lambda: 5000.0).once()
    assert _complete(store)
    assert isinstance(store.log(KEY)[-1], DeadlinePassed)


def test_sweep_forgets_the_deadline_of_a_run_that_is_gone(store: Store, redis: Redis) -> None:
    store.update(KEY, received("test"))
    redis.delete(f"assay:run:{KEY}")
    Sweep(store, lambda: 1e9).once()
    assert store.overdue(1e10) == []


def test_sweep_publishes_again_what_nobody_published(store: Store, redis: Redis) -> None:
    store.update(KEY, received("test"))
    redis.delete("rq:queue:publish")
    Sweep(store, lambda: 1030.0).once()
    assert waiting(redis)["publish"] == 0
    Sweep(store, lambda: 1100.0).once()
    Sweep(store, lambda: 1101.0).once()
    assert waiting(redis)["publish"] == 1


def test_sweep_lets_another_sweep_work(store: Store, redis: Redis) -> None:
    store.later(JobSpec.publish(KEY), 0.0)
    with store.lock("sweep", 10):
        Sweep(store, lambda: 100.0).once()
    assert waiting(redis)["publish"] == 0


def test_job_that_names_a_foreign_function_is_refused(redis: Redis) -> None:
    job = AllowedJob.create("os.system", args=["true"], connection=redis)
    with pytest.raises(Misconfigured, match="no job of Assay's"):
        _ = job.func


def test_every_job_function_exists(redis: Redis) -> None:
    for name in FUNCTIONS:
        assert callable(AllowedJob.create(name, connection=redis).func)


def _complete(store: Store) -> bool:
    stored = store.load(KEY)
    assert stored is not None
    return stored.run.complete
