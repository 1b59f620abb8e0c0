"""Redis did what it was asked to, and nobody heard so: whatever is asked again is not done twice."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from redis import Redis

from bot.deliveries import Admission, Admissions, Arrival
from bot.domain.events import AgentProgressed, AgentStarted, DeadlinePassed, Event, RerunRequested
from bot.domain.findings import Outcome
from bot.jobs import INTAKE, QUEUES, JobSpec
from bot.locks import lock
from bot.publishing.unpublished import Unpublished
from bot.queues import Queues
from bot.redis.connection import connect, connect_async
from bot.store import Store
from tests.builders import commit_received, finding, finished, pull, pull_changed, result, run_key
from tests.servers import Proxy, Server
from tests.told import told

KEY = run_key()
STORY: list[Event] = [
    commit_received("test", "lint", trigger=pull(1, updated_at=100.0)),
    AgentStarted(at=101.0, agent="test", attempt=1),
    AgentProgressed(at=102.0, agent="test", attempt=1, message="half way"),
    finished("test", result(Outcome.FINDINGS, finding())),
    finished("lint"),
    RerunRequested(at=170.0, delivery="d1", failed_only=True),
    AgentStarted(at=171.0, agent="test", attempt=2),
    DeadlinePassed(at=9e9),
    finished("test", attempt=2),
    pull_changed(1, updated_at=300.0),
    commit_received("test", "lint", trigger=pull(1, updated_at=400.0), at=400.0),
]


@contextmanager
def forgetful(server: Server, command: bytes, every: int = 2) -> Iterator[tuple[Proxy, list[bytes]]]:
    """A way to Redis on which one in so many answers to this command is lost, the first one too. Yields those losses
    as well."""
    seen: list[bytes] = []
    lost: list[bytes] = []

    def lose(sent: bytes) -> bool:
        if command in sent:
            seen.append(sent)
            if len(seen) % every == 1 % every:
                lost.append(sent)
                return True
        return False

    with Proxy(server.port, lose=lose) as proxy:
        yield proxy, lost


@pytest.fixture
def redis(server: Server) -> Iterator[Redis]:
    """The direct way."""
    with connect(server.url) as client:
        yield client


def kept(redis: Redis) -> object:
    """All that a store is about: runs, their logs, deadlines and what waits. (Ids of jobs differ by chance.)"""
    store = Store(redis, Queues(redis), 1000)
    waiting = {name: Queues(redis).waiting(name) for name in QUEUES}
    return store.load(KEY), store.log(KEY), store.overdue(9e9), Unpublished(store).since_before(9e9), waiting


def test_every_event_is_folded_in_once_though_every_answer_is_lost(server: Server, redis: Redis) -> None:
    store = Store(redis, Queues(redis), 1000)
    expected = []
    for event in STORY:
        store.update(KEY, event)
        expected.append(kept(redis))
    redis.flushall()
    way = forgetful(server, b"EVALSHA")
    with way as (proxy, lost), connect(f"redis://127.0.0.1:{proxy.port}", 10) as client:
        unlucky = Store(client, Queues(client), 1000)
        for event, right in zip(STORY, expected, strict=True):
            unlucky.update(KEY, event)
            assert kept(redis) == right, event
    assert len(lost) == len(STORY)


def test_lock_is_ours_though_the_answer_was_lost(server: Server, redis: Redis) -> None:
    with forgetful(server, b"assay:lock:") as (proxy, lost), connect(f"redis://127.0.0.1:{proxy.port}", 10) as client:
        with lock(client, "x", 60) as held:
            assert held
            with lock(redis, "x", 60) as also:
                assert not also
            assert held()
        with lock(redis, "x", 60) as free:
            assert free
    assert lost


def test_delivery_is_taken_in_once(server: Server, redis: Redis) -> None:
    async def admit(port: int) -> list[Admission]:
        client = connect_async(f"redis://127.0.0.1:{port}", 10)
        admissions = Admissions(client, Queues(redis), 100)
        arrivals = [Arrival(f"guid-{n}", "push", b"{}", 1.0, 1, "octo/demo") for n in range(6)]
        answers = [await told(admissions.admit, arrival) for arrival in arrivals]
        await client.aclose()
        return answers

    with forgetful(server, b"EVALSHA") as (proxy, lost):
        answers = asyncio.run(admit(proxy.port))
    assert lost
    assert set(answers) <= {Admission.ACCEPTED, Admission.SEEN}
    assert Queues(redis).waiting(INTAKE) == 6


def test_job_for_later_is_sent_once(server: Server, redis: Redis) -> None:
    with forgetful(server, b"EVALSHA") as (proxy, lost), connect(f"redis://127.0.0.1:{proxy.port}", 10) as client:
        unlucky = Queues(client)
        unlucky.put_off(JobSpec.intake("guid"), at=5.0)
        unlucky.send_due(now=6.0)
        unlucky.send_due(now=6.0)
    assert lost
    assert Queues(redis).waiting(INTAKE) == 1
