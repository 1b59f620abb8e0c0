"""Locks on a real Redis."""

from __future__ import annotations

from redis import Redis

from bot.context import Subject, taken_up
from bot.locks import lock


def test_lock_is_held_by_one_and_freed_by_its_holder_only(redis: Redis) -> None:
    with lock(redis, "x", 10) as first, lock(redis, "x", 10) as second:
        assert first is not None
        assert first()
        assert second is None
    with lock(redis, "x", 10) as again:
        assert again is not None
        redis.set("assay:lock:x", "somebody else's")
        assert not again()
    assert redis.get("assay:lock:x") == b"somebody else's"


def test_job_done_again_has_the_lock_that_it_held_when_its_worker_died(redis: Redis) -> None:
    with taken_up(Subject(job="job-1")):
        dead = lock(redis, "x", 60)
        held = dead.__enter__()
    with taken_up(Subject(job="job-10")), lock(redis, "x", 60) as other:
        assert other is None
    with taken_up(Subject(job="job-1")), lock(redis, "x", 60) as again:
        assert held is not None
        assert again is not None
        assert again()
        assert not held(), "its worker was only taken for dead"
