"""What the metrics say of jobs that fail, run again and are given up."""

from __future__ import annotations

from bot.jobs import ON_LOOSE_CHECKS, PUBLISH, TRIES, JobSpec
from bot.telemetry.metrics import COUNTS, Key, parse_hash
from tests.flow.assay import DIRTY, REPOSITORY, Assay


def counts(assay: Assay) -> dict[Key, float]:
    """What was counted, but for durations."""
    assay.sweep()
    found = parse_hash(assay.redis.hgetall(COUNTS))
    return {key: value for key, value in found.items() if "seconds" not in key[0]}


def test_job_that_always_fails_is_counted_at_every_try_and_parked_once(assay: Assay) -> None:
    assay.store.queues.enqueue(JobSpec(queue=PUBLISH, function=ON_LOOSE_CHECKS, args=("no run", 7)))
    assay.settle()
    assert counts(assay) == {
        ("assay_jobs_total", "publish", "failed"): TRIES,
        ("assay_job_retries_total", "publish"): TRIES - 1,
        ("assay_jobs_parked_total",): 1,
    }
    assert counts(assay)["assay_jobs_parked_total",] == 1


def test_deadline_that_passed_is_counted(assay: Assay) -> None:
    assay.github.push(REPOSITORY, "main", {"demo.py": DIRTY})
    assay.settle("intake")
    assay.wait(7 * 3600)
    found = counts(assay)
    assert found["assay_recoveries_total", "deadline"] == 1
    assert found["assay_jobs_total", "intake", "done"] > 0
