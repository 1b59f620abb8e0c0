"""`GET /metrics`: what it shows, and to whom."""

from __future__ import annotations

import asyncio
import time

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from starlette.applications import Starlette
from starlette.routing import Route

from bot.domain.events import AgentStarted
from bot.jobs import QUEUES, JobSpec
from bot.queues import Queues
from bot.recovery import Vouching
from bot.redis.embedded import EmbeddedRedis
from bot.store import Store
from bot.telemetry.exposition import GAUGES, Page, render
from bot.telemetry.metrics import (
    ADMISSIONS,
    BUCKETS,
    FAMILIES,
    JOB_SECONDS,
    Budget,
    Counter,
    Histogram,
    Tally,
)
from tests.builders import commit_received, run_key

TOKEN = "a token of the operator's"
NEAR, FAR = "127.0.0.1", "203.0.113.7"
KEY, AT = run_key(), 1000.0

Samples = dict[tuple[str, ...], float]


def get(url: str, token: str = "", client: str = NEAR, **headers: str) -> httpx.Response:
    """The page, as somebody at that address gets it."""

    async def ask() -> httpx.Response:
        connection = AsyncRedis.from_url(url)
        app = Starlette(routes=[Route("/metrics", Page(connection, token).answer)])
        transport = httpx.ASGITransport(app, client=(client, 1234))
        async with httpx.AsyncClient(transport=transport, base_url="http://assay") as asking:
            answer = await asking.get("/metrics", headers={k.replace("_", "-"): v for k, v in headers.items()})
        await connection.aclose()
        return answer

    return asyncio.run(ask())


def samples(text: str) -> Samples:
    """Every sample by its name and its labels' values."""
    families = text_string_to_metric_families(text)
    return {(one.name, *one.labels.values()): one.value for family in families for one in family.samples}


def page(server: EmbeddedRedis) -> Samples:
    answer = get(server.url)
    assert answer.status_code == 200
    return samples(answer.text)


# -- what it shows


def test_empty_redis_is_shown_with_every_queue(redis: Redis, redis_server: EmbeddedRedis) -> None:
    shown = page(redis_server)
    assert {key[1] for key in shown if key[0] == "assay_queue_jobs"} == set(QUEUES)
    assert sum(value for key, value in shown.items() if key[0] == "assay_queue_jobs") == 0
    assert shown["assay_jobs_parked_total",] == 0
    assert shown["assay_runs_open",] == 0
    assert shown["assay_redis_memory_bytes",] > 100_000


def test_few_counts_are_there_before_anything_is_counted(redis: Redis, redis_server: EmbeddedRedis) -> None:
    """An alarm on the growth of one that is not there yet would miss the first time."""
    shown = page(redis_server)
    assert {key[1] for key in shown if key[0] == "assay_admissions_total"} >= {"202", "401", "503"}
    assert shown["assay_recoveries_total", "job"] == shown["assay_job_retries_total", "intake"] == 0
    assert not [key for key in shown if key[0] == "assay_jobs_total"]
    tally = Tally()
    tally.count(ADMISSIONS, "503", amount=2)
    tally.send(redis)
    shown = page(redis_server)
    assert (shown["assay_admissions_total", "503"], shown["assay_admissions_total", "401"]) == (2, 0)


def test_it_is_prometheus_text(redis: Redis, redis_server: EmbeddedRedis) -> None:
    answer = get(redis_server.url)
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "# TYPE assay_jobs_parked_total counter\n" in answer.text


def test_waiting_jobs_are_counted_in_line_and_about_to_be_taken_up(redis: Redis, redis_server: EmbeddedRedis) -> None:
    queues = Queues(redis)
    for number in range(3):
        queues.enqueue(JobSpec.intake(f"guid-{number}"))
    time.sleep(0.05)
    shown = page(redis_server)
    assert shown["assay_queue_jobs", "intake"] == 3
    assert 0.05 <= shown["assay_queue_oldest_seconds", "intake"] < 5
    assert shown["assay_queue_oldest_seconds", "publish"] == 0


def test_oldest_job_is_that_which_waits_longest_in_line(redis: Redis, redis_server: EmbeddedRedis) -> None:
    queues = Queues(redis)
    queues.enqueue(JobSpec.intake("guid-1"))
    redis.zadd("assay:waiting:intake", {"intake-of-long-ago": time.time() - 1000})
    assert page(redis_server)["assay_queue_oldest_seconds", "intake"] == pytest.approx(1000, abs=5)


def test_runs_and_jobs_for_later_are_counted(store: Store, redis_server: EmbeddedRedis) -> None:
    store.update(KEY, commit_received("lint"))
    store.queues.put_off(JobSpec.intake("guid-1"), AT)
    shown = page(redis_server)
    assert (shown["assay_runs_open",], shown["assay_runs_unpublished",], shown["assay_jobs_put_off",]) == (1, 1, 2)
    assert shown["assay_queue_jobs", "lint"] == 1


def test_living_workers_are_counted_by_queue(redis: Redis, redis_server: EmbeddedRedis) -> None:
    Vouching(redis).vouch(["lint-1-abc-4", "lint-2-abc-5", "publish-1-abc-6", "web-abc-1"])
    redis.zadd("assay:alive", {"lint-3-old-9": time.time() - 1})
    shown = page(redis_server)
    assert [shown["assay_workers", name] for name in ("lint", "publish", "test")] == [2, 1, 0]


def test_jobs_in_hand_and_dead_letters_are_counted(redis: Redis, redis_server: EmbeddedRedis) -> None:
    redis.zadd("rq:wip:lint", {"job:execution": time.time()})
    redis.zadd("rq:failed:test", {"job-1": time.time(), "job-2": time.time()})
    shown = page(redis_server)
    assert (shown["assay_jobs_in_flight", "lint"], shown["assay_dead_letters", "test"]) == (1, 2)


def test_budgets_are_shown_until_their_window_is_over(redis: Redis, redis_server: EmbeddedRedis) -> None:
    tally = Tally()
    tally.budget(7, "core", Budget(remaining=4990, limit=5000, reset=time.time() + 60))
    tally.budget(8, "core", Budget(remaining=1, limit=5000, reset=time.time() - 1))
    tally.swept(1234.5)
    tally.send(redis)
    shown = page(redis_server)
    assert shown["assay_github_budget_remaining", "7", "core"] == 4990
    assert shown["assay_github_budget_limit", "7", "core"] == 5000
    assert ("assay_github_budget_remaining", "8", "core") not in shown
    assert shown["assay_sweep_last_timestamp_seconds",] == 1234.5


def test_of_many_installations_those_with_the_least_left_are_shown(redis: Redis, redis_server: EmbeddedRedis) -> None:
    tally = Tally()
    for number in range(300):
        tally.budget(number, "core", Budget(remaining=5000 - number, limit=5000, reset=time.time() + 60))
    tally.send(redis)
    shown = {key[1] for key in page(redis_server) if key[0] == "assay_github_budget_remaining"}
    assert shown == {str(number) for number in range(200, 300)}


def test_histogram_is_cumulative(redis: Redis, redis_server: EmbeddedRedis) -> None:
    tally = Tally()
    for seconds in (0.001, 0.03, 0.03, 1e9):
        tally.observe(JOB_SECONDS, seconds, "lint")
    tally.send(redis)
    shown = page(redis_server)
    buckets = [shown["assay_job_duration_seconds_bucket", "lint", str(bound)] for bound in (*BUCKETS, "+Inf")]
    assert buckets == [1, 3, *[3] * (len(BUCKETS) - 2), 4]
    assert shown["assay_job_duration_seconds_count", "lint"] == 4
    assert shown["assay_job_duration_seconds_sum", "lint"] == pytest.approx(1e9)


def test_counts_of_another_version_are_left_out() -> None:
    counts = {
        ("assay_things_total", "x"): 1,
        ("assay_jobs_total", "lint"): 1,
        ("assay_jobs_total", "lint", "clean", "more"): 1,
        ("assay_jobs_total", "lint", "clean"): 1,
    }
    shown = samples(render(counts, []).decode())
    assert {key for key, value in shown.items() if value} == {("assay_jobs_total", "lint", "clean")}
    assert "assay_things_total" not in {key[0] for key in shown}


def test_no_name_of_a_repository_is_shown(store: Store, redis_server: EmbeddedRedis) -> None:
    store.update(KEY, commit_received("lint"))
    store.update(KEY, AgentStarted(at=AT, agent="lint", attempt=1))
    text = get(redis_server.url).text
    owner, name = KEY.repository.split("/")
    assert KEY.sha not in text
    assert owner not in text
    assert f"/{name}" not in text


# -- to whom


def test_without_a_token_only_this_machine_may_read(redis: Redis, redis_server: EmbeddedRedis) -> None:
    assert [get(redis_server.url, client=one).status_code for one in (NEAR, "127.3.2.1", "::1")] == [200] * 3
    answers = [get(redis_server.url, client=one) for one in (FAR, "::2", "testclient")]
    assert [answer.status_code for answer in answers] == [403] * 3
    assert "ASSAY_METRICS_TOKEN" in answers[0].text


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "Via", "X-Real-Ip"])
def test_what_a_proxy_passes_on_is_not_from_this_machine(
    redis: Redis, redis_server: EmbeddedRedis, header: str
) -> None:
    assert get(redis_server.url, **{header: NEAR}).status_code == 403


def test_who_shows_the_token_may_read_from_anywhere(redis: Redis, redis_server: EmbeddedRedis) -> None:
    assert get(redis_server.url, TOKEN, FAR, authorization=f"Bearer {TOKEN}").status_code == 200


@pytest.mark.parametrize("shown", ["", "Bearer ", f"Bearer {TOKEN}x", TOKEN, "Basic Zm9vOmJhcg==", "Bearer ä"])
def test_with_a_token_even_this_machine_has_to_show_it(redis: Redis, redis_server: EmbeddedRedis, shown: str) -> None:
    answer = get(redis_server.url, TOKEN, **({"authorization": shown} if shown.isascii() else {}))
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert "assay_" not in answer.text


def test_without_redis_it_is_503() -> None:
    assert get("unix:///nowhere/redis.sock").status_code == 503


# -- what is promised


def test_names_follow_prometheus_conventions() -> None:
    for family in FAMILIES:
        assert isinstance(family, Counter | Histogram)
        assert family.name.startswith("assay_")
        assert family.name.endswith("_total" if isinstance(family, Counter) else "_seconds")
    for name in GAUGES:
        assert name.startswith("assay_")
        assert not name.endswith("_total")
    names = [*GAUGES, *(family.name for family in FAMILIES)]
    assert len({name.removesuffix("_total") for name in names}) == len(names)


def test_every_gauge_is_shown(store: Store, redis_server: EmbeddedRedis) -> None:
    tally = Tally()
    tally.budget(7, "core", Budget(remaining=1, limit=2, reset=time.time() + 60))
    tally.swept(1.0)
    for family in FAMILIES:
        labels = [values[0] for values in family.labels.values()]
        if isinstance(family, Counter):
            tally.count(family, *labels)
        elif isinstance(family, Histogram):
            tally.observe(family, 1, *labels)
    tally.send(store.redis)
    shown = {key[0] for key in page(redis_server)}
    assert {*GAUGES, *(f.name for f in FAMILIES if isinstance(f, Counter))} <= shown
    assert {f"{f.name}_count" for f in FAMILIES if isinstance(f, Histogram)} <= shown
