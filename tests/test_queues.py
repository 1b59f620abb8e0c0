"""Jobs that are put off, on a real Redis."""

from __future__ import annotations

from redis import Redis

from bot.jobs import PUBLISH, JobSpec
from bot.queues import Queues
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
