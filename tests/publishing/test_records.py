"""What Assay remembers of its writes, on a real Redis."""

from __future__ import annotations

from redis import Redis

from bot.domain.publication import CheckRecord, Publication, PullMemory
from bot.publishing.records import Records
from tests.builders import run_key

KEY = run_key()
QUEUED = CheckRecord(external_id="x", written_at=100.0)
COMPLETED = QUEUED.model_copy(update={"status": "completed"})


def test_it_is_kept_for_a_while(redis: Redis) -> None:
    records = Records(redis, 500)
    records.save_publication(KEY, Publication(checks={"assay": QUEUED}))
    records.save_pull("octo/demo", 1, PullMemory(comment=7))
    assert records.publication(KEY).checks == {"assay": QUEUED}
    assert records.pull("octo/demo", 1).comment == 7
    for key in (f"assay:publication:{KEY}", "assay:pull:octo/demo#1"):
        assert 0 < redis.ttl(key) <= 500


def test_run_with_an_unfinished_check_is_on_a_list(redis: Redis) -> None:
    records = Records(redis, 500)
    records.save_publication(KEY, Publication(checks={"assay": COMPLETED, "assay / lint": QUEUED}))
    assert (records.unfinished_checks(99.0), records.unfinished_checks(100.0)) == ([], [KEY])
    records.save_publication(KEY, Publication(checks={"assay": COMPLETED, "assay / lint": COMPLETED}))
    assert records.unfinished_checks(100.0) == []
    records.save_publication(KEY, Publication(checks={"assay": QUEUED}))
    records.forget_checks(KEY)
    assert records.unfinished_checks(100.0) == []


def test_refusal_is_noted_beside_the_checks(redis: Redis) -> None:
    records = Records(redis, 500)
    records.save_publication(KEY, Publication(checks={"assay": QUEUED}))
    records.note_refusal(KEY, "suspended")
    assert records.publication(KEY) == Publication(checks={"assay": QUEUED}, refusal="suspended")
