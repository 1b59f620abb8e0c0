"""Counts of many processes come together in Redis."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

import bot.web
from bot.domain.findings import Cost
from bot.redis.embedded import EmbeddedRedis
from bot.telemetry.metrics import (
    ADMISSIONS,
    BUCKETS,
    COST,
    COUNTS,
    FAMILIES,
    JOB_SECONDS,
    JOBS,
    LATEST,
    PARKED,
    Answers,
    Budget,
    Key,
    Tally,
    parse_hash,
)

NOWHERE = "unix:///nowhere/redis.sock"


def counts(redis: Redis) -> dict[Key, float]:
    return parse_hash(redis.hgetall(COUNTS))


def test_counts_of_processes_add_up(redis: Redis) -> None:
    for amount in (1, 2):
        tally = Tally()
        tally.count(JOBS, "lint", "clean", amount=amount)
        tally.count(COST, "review", amount=0.25)
        tally.send(redis)
    assert counts(redis) == {
        ("assay_jobs_total", "lint", "clean"): 3,
        ("assay_model_cost_dollars_total", "review"): 0.5,
    }


def test_what_was_sent_is_not_sent_again(redis: Redis) -> None:
    tally = Tally()
    tally.count(PARKED)
    tally.send(redis)
    tally.send(redis)
    assert counts(redis) == {("assay_jobs_parked_total",): 1}


def test_count_of_nothing_leaves_no_trace(redis: Redis) -> None:
    tally = Tally()
    tally.count(PARKED, amount=0)
    tally.send(redis)
    assert counts(redis) == {}


def test_while_redis_is_away_counts_are_kept(redis: Redis) -> None:
    tally = Tally()
    tally.count(JOBS, "lint", "clean")
    tally.budget(7, "core", Budget(remaining=10, limit=100, reset=5))
    tally.swept(1.0)
    tally.send(Redis.from_url(NOWHERE))
    tally.count(JOBS, "lint", "clean")
    tally.swept(2.0)
    tally.send(redis)
    assert counts(redis) == {("assay_jobs_total", "lint", "clean"): 2}
    assert parse_hash(redis.hgetall(LATEST)) == {("budget", "7", "core"): [10, 100, 5], ("sweep",): 2.0}


def test_strange_label_is_other(redis: Redis) -> None:
    tally = Tally()
    for name in ("octo/secret-project", "x" * 10_000, '"}\n'):
        tally.count(JOBS, name, "clean")
        tally.count(JOBS, "lint", name)
    tally.send(redis)
    assert counts(redis) == {
        ("assay_jobs_total", "other", "clean"): 3,
        ("assay_jobs_total", "lint", "other"): 3,
    }


def test_label_too_few_is_a_bug() -> None:
    with pytest.raises(ValueError):
        Tally().count(JOBS, "lint")


def test_model_without_a_known_price_costs_tokens_only(redis: Redis) -> None:
    tally = Tally()
    tally.cost("review", Cost(model="m", input_tokens=100, output_tokens=10))
    tally.send(redis)
    assert counts(redis) == {
        ("assay_model_tokens_total", "review", "input"): 100,
        ("assay_model_tokens_total", "review", "output"): 10,
    }


def test_job_that_another_provider_answered_is_counted(redis: Redis) -> None:
    tally = Tally()
    tally.cost("review", Cost(model="m", input_tokens=1, output_tokens=1, fallback="answered by backup"))
    tally.cost("review", Cost(model="m", input_tokens=1, output_tokens=1))
    tally.send(redis)
    assert counts(redis)["assay_model_fallbacks_total", "review"] == 1


@given(st.lists(st.floats(min_value=-10, max_value=1e6), min_size=1, max_size=20))
def test_each_observation_is_in_the_first_bucket_that_holds_it(seconds: list[float]) -> None:
    tally = Tally()
    for one in seconds:
        tally.observe(JOB_SECONDS, one, "lint")
    taken, _ = tally._take()
    bounds = (*BUCKETS, float("inf"))
    expected = Counter(min(index for index, bound in enumerate(bounds) if max(one, 0) <= bound) for one in seconds)
    found = {int(key[-1]): amount for key, amount in taken.items() if key[-1] != "sum"}
    assert found == expected
    assert taken.get(("assay_job_duration_seconds", "lint", "sum"), 0) == pytest.approx(sum(max(s, 0) for s in seconds))


def test_number_of_samples_is_bounded() -> None:
    most = 0
    for family in FAMILIES:
        combinations = 1
        for values in family.labels.values():
            combinations *= len(values) + 1
        most += combinations * (len(BUCKETS) + 2)
    assert most < 5_000


def test_every_answer_of_the_web_process_is_counted_under_its_own_status() -> None:
    statuses = re.findall(r"(?:Rejected|Answer)\((\d{3})\b", Path(bot.web.__file__).read_text())
    assert {"202", "408", "503"} <= set(statuses)
    assert [ADMISSIONS.key(status) for status in statuses] == [(ADMISSIONS.name, status) for status in statuses]


def test_answers_of_the_web_process_are_told_every_second_and_at_the_end(
    redis: Redis, redis_server: EmbeddedRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.telemetry.metrics._INTERVAL", 0.01)

    async def serve() -> dict[Key, float]:
        connection = AsyncRedis.from_url(redis_server.url)
        answers = Answers()
        async with answers.sending(connection):
            answers.by_status[202] += 2
            answers.by_status[999] += 1
            await asyncio.sleep(0.2)
            meanwhile = counts(redis)
            answers.by_status[202] += 1
        await connection.aclose()
        return meanwhile

    assert asyncio.run(serve()) == {(ADMISSIONS.name, "202"): 2, (ADMISSIONS.name, "other"): 1}
    assert counts(redis) == {(ADMISSIONS.name, "202"): 3, (ADMISSIONS.name, "other"): 1}


def test_what_a_fork_counted_is_handed_over_once(redis: Redis) -> None:
    parent, fork = Tally(), Tally()
    parent.count(JOBS, "lint", "clean")
    fork.count(JOBS, "lint", "clean", amount=2)
    fork.swept(7.0)
    told = json.loads(json.dumps(fork.hand_over()))
    assert fork.hand_over() == [[], []]
    parent.take_in(told)
    parent.send(redis)
    assert parse_hash(redis.hgetall(COUNTS)) == {JOBS.key("lint", "clean"): 3}
    assert list(parse_hash(redis.hgetall(LATEST)).values()) == [7.0]
