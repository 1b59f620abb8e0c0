"""Jobs that are put off, on a real Redis."""

from __future__ import annotations

import zlib
from typing import Any

import pytest
from redis import Redis
from rq.job import JobStatus, Retry
from rq.serializers import JSONSerializer

from bot.jobs import FAILURE_TTL, PUBLISH, TRIES, AllowedJob, JobSpec
from bot.queues import Queues, to_fields
from tests.builders import run_key

KEY = run_key()


def test_job_put_off_by_a_clock_that_was_ahead_is_sent(redis: Redis) -> None:
    """By a day, but for the seconds that the sweep was late."""
    queues = Queues(redis)
    queues.put_off(JobSpec.publish(KEY, 1), 100_000.0 + 86400 - 10)
    assert queues.send_due(100_000.0) == 1
    assert queues.waiting(PUBLISH) == 1


def test_job_for_later_is_sent_once_and_not_before_its_time(redis: Redis) -> None:
    queues = Queues(redis)
    queues.put_off(JobSpec.publish(KEY, 1), 100.0)
    assert (queues.send_due(99.0), queues.send_due(100.0), queues.send_due(101.0)) == (0, 1, 0)
    assert queues.waiting(PUBLISH) == 1


def test_job_for_later_of_the_version_before_is_understood(redis: Redis) -> None:
    queues = Queues(redis)
    old = f'{{"queue":"publish","function":"bot.wiring.on_publish","args":["{KEY}"],"timeout":300}}'
    redis.zadd("assay:later", {old: 100.0})
    assert queues.send_due(100.0) == 1
    assert queues.waiting(PUBLISH) == 1


@pytest.mark.parametrize("more", [{}, {"delivery": "guid-1", "since": 5.0, "installation": 7}])
def test_jobs_are_written_as_rq_writes_them(redis: Redis, more: dict[str, Any]) -> None:
    spec = JobSpec.publish(KEY, 0).model_copy(update=more)
    job = AllowedJob.create(
        spec.function,
        args=spec.args,
        connection=redis,
        serializer=JSONSerializer,
        timeout=spec.timeout,
        retry=Retry(max=TRIES - 1),
        result_ttl=0,
        failure_ttl=FAILURE_TTL,
        status=JobStatus.QUEUED,
        origin=spec.queue,
        description=f"{spec.function}{spec.args}",
        meta=more or None,
    )
    told = {name: value for name, value in job.to_dict().items() if value not in ("", None)}
    ours = to_fields(spec)
    assert ours.keys() == told.keys() | {"enqueued_at", "status"}
    assert zlib.decompress(ours["data"]) == zlib.decompress(told["data"])
    times = {"created_at", "enqueued_at", "data"}
    assert {n: v for n, v in ours.items() if n not in times} == {n: v for n, v in told.items() if n not in times} | {
        "status": "queued"
    }
