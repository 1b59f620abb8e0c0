"""Whose turn it is: lines of tenants in front of RQ's queues, on a real Redis."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis

from bot.domain.effects import StartAgent
from bot.domain.events import CommitReceived
from bot.domain.plan import Plan
from bot.domain.reduce import reduce
from bot.domain.run import Run, RunKey
from bot.domain.triggers import Push
from bot.jobs import AGENT_QUEUES, INTAKE, ON_AGENT, JobSpec, Priority, agent_job
from bot.queues import Queues
from bot.turns import LIBRARY


def job(name: str, repository: str = "octo/one", installation: int = 1, **more: object) -> JobSpec:
    given = {"queue": "test", "function": ON_AGENT, "args": (name,), "name": name}
    return JobSpec.model_validate(given | {"repository": repository, "installation": installation} | more)


def send(queues: Queues, *jobs: JobSpec) -> None:
    for one in jobs:
        queues.enqueue(one)


def take(redis: Redis, queue: str = "test") -> str | None:
    """As RQ takes a job; it is in hand from here on."""
    taken = cast("bytes | None", redis.lmove(f"rq:queue:{queue}", f"rq:queue:{queue}:intermediate"))
    return taken.decode() if taken else None


def end(redis: Redis, job_id: str, queue: str = "test") -> None:
    redis.lrem(f"rq:queue:{queue}:intermediate", 1, job_id)
    redis.delete(f"rq:job:{job_id}")


def order(redis: Redis, queues: Queues, queue: str = "test") -> list[str]:
    """What comes out when one job after the other is taken and ended."""
    served = []
    while (taken := take(redis, queue)) is not None:
        served.append(taken)
        end(redis, taken, queue)
        queues.feed(queue)
    return served


@pytest.fixture
def queues(redis: Redis) -> Queues:
    return Queues(redis)


def test_quiet_repository_does_not_wait_for_a_noisy_one(redis: Redis, queues: Queues) -> None:
    send(queues, *(job(f"noisy{number}") for number in range(300)))
    send(queues, *(job(f"quiet{number}", "octo/two") for number in range(5)))
    served = order(redis, queues)
    assert [served.index(f"quiet{number}") for number in range(5)] == [2, 4, 6, 8, 10]
    assert len(served) == 305


def test_installation_with_many_repositories_has_one_turn_like_the_others(redis: Redis, queues: Queues) -> None:
    send(queues, *(job(f"many{number}", f"many/{number}", 1) for number in range(6)))
    send(queues, *(job(f"one{number}", "one/one", 2) for number in range(3)))
    assert order(redis, queues) == ["many0", "many1", "one0", "many2", "one1", "many3", "one2", "many4", "many5"]


def test_jobs_of_one_repository_keep_their_order(redis: Redis, queues: Queues) -> None:
    send(queues, job("a"), job("b"), job("c"))
    assert order(redis, queues) == ["a", "b", "c"]


def test_person_goes_before_a_schedule(redis: Redis, queues: Queues) -> None:
    send(queues, *(job(f"cron{number}", priority=Priority.SCHEDULE) for number in range(3)))
    send(queues, job("push", "octo/two"), job("person", "octo/three", priority=Priority.PERSON))
    # The first was about to be taken already.
    assert order(redis, queues) == ["cron0", "person", "push", "cron1", "cron2"]


def test_repository_at_its_limit_is_passed_over_and_served_when_it_has_room(redis: Redis) -> None:
    queues = Queues(redis, repository_limit=2)
    send(queues, *(job(f"a{number}") for number in range(4)), job("b0", "octo/two"))
    taken = []
    for _ in range(4):
        taken.append(take(redis))
        queues.feed("test")
    assert taken == ["a0", "a1", "b0", None]
    end(redis, "a0")
    queues.feed("test")
    assert take(redis) == "a2"


def test_limit_counts_a_repository_over_all_agents(redis: Redis) -> None:
    queues = Queues(redis, repository_limit=1)
    send(queues, job("a"), job("b", queue="lint"))
    assert (take(redis), take(redis, "lint")) == ("a", None)
    end(redis, "a")
    queues.feed(*AGENT_QUEUES)
    assert take(redis, "lint") == "b"


def test_one_publisher_at_a_time_for_an_installation(redis: Redis, queues: Queues) -> None:
    send(queues, *(JobSpec.publish(RunKey(repository=f"octo/{n}", sha="a" * 40), 1 + n // 2) for n in range(4)))
    first = take(redis, "publish")
    queues.feed("publish")
    second = take(redis, "publish")
    queues.feed("publish")
    assert first
    assert second
    assert take(redis, "publish") is None
    end(redis, first, "publish")
    queues.feed("publish")
    assert take(redis, "publish")


def test_publish_that_waits_is_enough_for_one_run(redis: Redis, queues: Queues) -> None:
    other, key = RunKey(repository="octo/one", sha="b" * 40), RunKey(repository="octo/one", sha="a" * 40)
    spec = JobSpec.publish(key, 1)
    send(queues, JobSpec.publish(other, 1), spec, spec, spec)
    assert queues.waiting("publish") == 2
    assert len(order(redis, queues, "publish")) == 2
    # What is sent once the job is in RQ's hands has its own.
    send(queues, spec)
    send(queues, spec)
    assert queues.waiting("publish") == 2


def started() -> Run:
    event = CommitReceived(at=1.0, installation=7, trigger=Push(branch="main"), plan=Plan())
    run = reduce(None, event, RunKey(repository="octo/one", sha="a" * 40)).run
    assert run is not None
    return run


@pytest.mark.parametrize("before", [0, 1])
def test_job_that_nobody_took_up_can_be_taken_back(redis: Redis, queues: Queues, before: int) -> None:
    run = started()
    send(queues, *(job(f"before{number}") for number in range(before)))
    send(queues, JobSpec.agent(run, StartAgent("unit", "test", 1, 60)), job("after"))
    for name in ("unit", "unknown"):
        redis.eval(LIBRARY + "drop(unpack(ARGV))", 0, *queues.to_drop(agent_job(run.key, name, 1), run))
    assert order(redis, queues) == [*(f"before{number}" for number in range(before)), "after"]
    assert redis.keys("rq:job:*") == []


def test_nothing_is_left_of_lines_that_are_empty(redis: Redis, queues: Queues) -> None:
    send(queues, *(job(f"{n}", f"octo/{n % 3}", n % 2, priority=n % 3) for n in range(20)))
    order(redis, queues)
    assert [key for key in redis.keys("assay:*") if key != b"assay:turn"] == []


def test_job_reads_as_rq_made_it(redis: Redis, queues: Queues) -> None:
    send(queues, JobSpec.intake("guid-1", 5, "octo/one"))
    (found,) = queues.queue(INTAKE).jobs
    assert (found.func_name, found.args, found.get_status(), found.retries_left, found.timeout) == (
        "bot.wiring.on_delivery",
        ["guid-1"],
        "queued",
        2,
        300,
    )


tenants = st.tuples(st.integers(1, 3), st.integers(0, 2), st.integers(0, 2))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(tenants | st.none(), max_size=40), st.integers(0, 2))
def test_every_job_is_served_once_and_no_tenant_above_its_limit(
    redis: Redis, steps: Sequence[tuple[int, int, int] | None], limit: int
) -> None:
    """`None` takes one job, whatever it is; the oldest in hand ends when nothing else goes."""
    redis.flushall()
    queues, sent, served = Queues(redis, repository_limit=limit), list[str](), list[str]()
    in_hand: list[str] = []

    def step() -> bool:
        taken = take(redis)
        queues.feed("test")
        if taken is None and in_hand:
            end(redis, in_hand.pop(0))
            queues.feed("test")
            return True
        if taken is not None:
            served.append(taken)
            in_hand.append(taken)
            most = max(Counter(name.partition("-")[0] for name in in_hand).values())
            assert not limit or most <= limit
        return taken is not None

    for number, tenant in enumerate(steps):
        if tenant is None:
            step()
        else:
            installation, repository, priority = tenant
            name = f"r{installation}{repository}-{number}"
            sent.append(name)
            send(queues, job(name, f"o{installation}/{repository}", installation, priority=priority))
    while step():
        pass
    assert sorted(served) == sorted(sent)
