"""Admission in a real Redis: many at once, the bound, the ledger, and the jobs as RQ's own are."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from typing import cast

import pytest
import redis.asyncio
from redis import Redis
from rq.job import Job
from rq.serializers import JSONSerializer

from bot.deliveries import Admission, Admissions, Arrival, Deliveries
from bot.jobs import INTAKE, JobSpec
from bot.queues import Queues
from bot.redis.embedded import EmbeddedRedis
from tests.told import told

LIMIT = 100


def arrival(guid: str, body: bytes = b"{}", repository: str = "octo/demo") -> Arrival:
    return Arrival(guid, "push", body, 1_700_000_000.25, 7, repository)


def admit(server: EmbeddedRedis, queues: Queues, arrivals: Sequence[Arrival], limit: int = LIMIT) -> list[Admission]:
    async def main() -> list[Admission]:
        connection = redis.asyncio.Redis.from_url(server.url)
        admissions = Admissions(connection, queues, limit)
        try:
            return await asyncio.gather(*(told(admissions.admit, arrival) for arrival in arrivals))
        finally:
            await connection.aclose()

    return asyncio.run(main())


@pytest.fixture
def queues(redis: Redis) -> Queues:
    return Queues(redis)


def test_exactly_as_many_as_there_is_room_for(redis_server: EmbeddedRedis, queues: Queues) -> None:
    answers = admit(redis_server, queues, [arrival(f"guid-{number}") for number in range(150)])
    assert Counter(answers) == {Admission.ACCEPTED: LIMIT, Admission.FULL: 50}
    assert queues.waiting(INTAKE) == LIMIT


def test_twins_in_one_batch_are_taken_once(redis_server: EmbeddedRedis, queues: Queues) -> None:
    answers = admit(redis_server, queues, [arrival("guid-1"), arrival("guid-2"), arrival("guid-1"), arrival("guid-1")])
    assert answers == ["accepted", "accepted", "seen", "seen"]
    assert queues.waiting(INTAKE) == 2


def test_what_asks_for_nothing_is_in_the_ledger_only(redis_server: EmbeddedRedis, redis: Redis, queues: Queues) -> None:
    echo = arrival("guid-1")._replace(ignored="check_run.created only reports what was done")
    assert admit(redis_server, queues, [echo, echo], limit=0) == ["accepted", "seen"]
    assert queues.waiting(INTAKE) == 0
    delivery = Deliveries(redis).load("guid-1")
    assert delivery is not None
    assert (delivery.outcome, delivery.body) == ("ignored: check_run.created only reports what was done", b"")
    assert [one.guid for one in Deliveries(redis).recent()] == ["guid-1"]


@pytest.mark.parametrize("size", [0, 1000, 3_000_000])
def test_body_comes_out_as_it_went_in(redis_server: EmbeddedRedis, redis: Redis, queues: Queues, size: int) -> None:
    body = json.dumps({"text": 'ä"\\\0' * (size // 4)}, ensure_ascii=False).encode()
    admit(redis_server, queues, [arrival("guid-1", body)])
    delivery = Deliveries(redis).load("guid-1")
    assert delivery is not None
    assert (delivery.body, delivery.received_at, delivery.event) == (body, 1_700_000_000.25, "push")


def test_job_is_as_rq_would_have_made_it(redis_server: EmbeddedRedis, redis: Redis, queues: Queues) -> None:
    admit(redis_server, queues, [arrival("guid-1")])
    job = Job.fetch("intake_guid-1", connection=redis, serializer=JSONSerializer)
    queues.enqueue(JobSpec.intake("guid-1", 7, "octo/demo"))
    (other_id,) = cast("list[bytes]", redis.zrange("assay:waiting:intake", 0, -1))
    other = Job.fetch(other_id.decode(), connection=redis, serializer=JSONSerializer)
    for name in ("func_name", "args", "kwargs", "origin", "timeout", "retries_left", "result_ttl", "failure_ttl"):
        assert getattr(job, name) == getattr(other, name), name
    assert job.get_status() == other.get_status() == "queued"
    assert job.created_at is not None
    assert abs((job.created_at - other.created_at).total_seconds()) < 60


def test_tenants_take_turns(redis_server: EmbeddedRedis, redis: Redis, queues: Queues) -> None:
    noisy = [arrival(f"noisy-{number}", repository="octo/noisy") for number in range(5)]
    admit(redis_server, queues, [*noisy, arrival("quiet", repository="octo/quiet")])
    order = []
    for _ in range(6):
        order.append(queues.queue(INTAKE).pop_job_id())
        queues.feed(INTAKE)
    assert order.index("intake_quiet") <= 2
