"""`GET /metrics`: what was counted (`metrics.py`) and how things stand at this moment, in Prometheus' text format.

All of it is read from Redis, so every web process shows the same, whatever process or machine it is about.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hmac import compare_digest
from ipaddress import ip_address
from itertools import product
from typing import Any, NamedTuple

import redis.asyncio
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from redis.exceptions import RedisError
from rq.utils import str_to_date
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from bot.jobs import QUEUES
from bot.telemetry.metrics import (
    BUCKETS,
    BUDGET,
    COUNTS,
    FAMILIES,
    LATEST,
    SUM,
    SWEEP,
    Family,
    Histogram,
    Key,
    parse_hash,
)

GAUGES = {
    "assay_queue_jobs": "Jobs that wait for a worker.",
    "assay_queue_oldest_seconds": "For how long the oldest waiting job has waited, 0 where none waits.",
    "assay_jobs_in_flight": "Jobs that workers have in hand.",
    "assay_workers": "Workers that live.",
    "assay_jobs_put_off": "Jobs that are sent later, because GitHub is away, say.",
    "assay_dead_letters": "Jobs that were given up and that nobody has looked after yet.",
    "assay_runs_open": "Runs with an agent that has not ended.",
    "assay_runs_unpublished": "Runs that GitHub does not show as they are yet.",
    "assay_sweep_last_timestamp_seconds": "When a pass of the sweep ended last.",
    "assay_redis_memory_bytes": "Memory that Redis uses.",
    "assay_github_budget_remaining": "Requests that GitHub still answers in this hour.",
    "assay_github_budget_limit": "Requests that GitHub answers in an hour.",
}
# Installations that are shown, those with the least left first.
_INSTALLATIONS = 100
# What tells that a proxy passed the request on: who is connected is not who asks.
_FORWARDED = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip")


@dataclass(frozen=True)
class Sample:
    """A gauge at this moment; labels by their names."""

    name: str
    value: float
    labels: Mapping[str, str]


class Page:
    """The endpoint. `token` is what a reader has to show; without one only this very machine may read."""

    def __init__(self, connection: redis.asyncio.Redis, token: str) -> None:
        self._connection = connection
        self._token = token

    async def answer(self, request: Request) -> Response:
        """200, 401 or 403 for those who may not read, 503 while Redis is away."""
        if refusal := self._refusal(request):
            return refusal
        try:
            counts = parse_hash(await self._connection.hgetall(COUNTS))
            samples = await _stock(self._connection)
        except (RedisError, OSError) as error:
            return PlainTextResponse(f"Redis is away ({type(error).__name__})\n", 503)
        return Response(render(counts, samples), media_type=CONTENT_TYPE_PLAIN_0_0_4)

    def _refusal(self, request: Request) -> Response | None:
        if self._token:
            shown = request.headers.get("authorization", "").encode()
            if compare_digest(shown, f"Bearer {self._token}".encode()):
                return None
            headers = {"WWW-Authenticate": "Bearer"}
            return PlainTextResponse("show ASSAY_METRICS_TOKEN as a bearer token\n", 401, headers)
        if _is_local(request):
            return None
        return PlainTextResponse("set ASSAY_METRICS_TOKEN to read metrics from another machine\n", 403)


def _is_local(request: Request) -> bool:
    if request.client is None or any(name in request.headers for name in _FORWARDED):
        return False
    try:
        return ip_address(request.client.host).is_loopback
    except ValueError:
        return False


# -- how things stand


class _Queue(NamedTuple):
    """What Redis knows of a queue: jobs in line, jobs about to be taken up, the oldest in line with its time, the next
    to be taken up, jobs in hand, dead letters."""

    waiting: int
    ready: int
    oldest: list[tuple[bytes, float]]
    next: bytes | None
    in_flight: int
    dead: int

    @classmethod
    def ask(cls, pipe: redis.asyncio.client.Pipeline, name: str) -> None:
        pipe.zcard(f"assay:waiting:{name}")
        pipe.llen(f"rq:queue:{name}")
        pipe.zrange(f"assay:waiting:{name}", 0, 0, withscores=True)
        pipe.lindex(f"rq:queue:{name}", 0)
        pipe.zcard(f"rq:wip:{name}")
        pipe.zcard(f"rq:failed:{name}")


async def _stock(connection: redis.asyncio.Redis) -> list[Sample]:
    pipe = connection.pipeline(transaction=False)
    for name in QUEUES:
        _Queue.ask(pipe, name)
    for key in ("assay:later", "assay:deadlines", "assay:unpublished"):
        pipe.zcard(key)
    pipe.time()
    pipe.zrange("assay:alive", 0, -1, withscores=True)
    pipe.hgetall(LATEST)
    pipe.info("memory")
    *rows, later, open_runs, unpublished, (seconds, micros), alive, latest, memory = await pipe.execute()
    now = seconds + micros / 1_000_000
    size = len(_Queue._fields)
    queues = [_Queue(*rows[start : start + size]) for start in range(0, len(rows), size)]
    living = Counter(name.decode().partition("-")[0] for name, until in alive if until > now)
    return [
        Sample("assay_jobs_put_off", later, {}),
        Sample("assay_runs_open", open_runs, {}),
        Sample("assay_runs_unpublished", unpublished, {}),
        Sample("assay_redis_memory_bytes", memory["used_memory"], {}),
        *_of_queues(queues, await _sent_at(connection, [queue.next for queue in queues]), living, now),
        *_of_latest(parse_hash(latest), now),
    ]


async def _sent_at(connection: redis.asyncio.Redis, jobs: Sequence[bytes | None]) -> list[float | None]:
    """When these jobs were sent, in seconds since the epoch."""
    pipe = connection.pipeline(transaction=False)
    for job in jobs:
        pipe.hget(f"rq:job:{job.decode() if job else ''}", "enqueued_at")
    return [str_to_date(text).timestamp() if text else None for text in await pipe.execute()]


def _of_queues(
    queues: Sequence[_Queue], sent: Sequence[float | None], living: Mapping[str, int], now: float
) -> Iterator[Sample]:
    for name, queue, next_sent in zip(QUEUES, queues, sent, strict=True):
        about = {"queue": name}
        since = min([at for _, at in queue.oldest] + ([next_sent] if next_sent else []), default=now)
        yield Sample("assay_queue_jobs", queue.waiting + queue.ready, about)
        yield Sample("assay_queue_oldest_seconds", max(now - since, 0.0), about)
        yield Sample("assay_jobs_in_flight", queue.in_flight, about)
        yield Sample("assay_workers", living.get(name, 0), about)
        yield Sample("assay_dead_letters", queue.dead, about)


def _of_latest(latest: Mapping[Key, Any], now: float) -> Iterator[Sample]:
    if (SWEEP,) in latest:
        yield Sample("assay_sweep_last_timestamp_seconds", latest[SWEEP,], {})
    # Once its window is over a budget is whole again, as GitHub will say with its next answer.
    budgets = [(value, key) for key, value in latest.items() if key[0] == BUDGET and value[2] > now]
    for (remaining, limit, _), (_, installation, resource) in sorted(budgets)[:_INSTALLATIONS]:
        about = {"installation": installation, "resource": resource}
        yield Sample("assay_github_budget_remaining", remaining, about)
        yield Sample("assay_github_budget_limit", limit, about)


# -- in Prometheus' words


def render(counts: Mapping[Key, Any], samples: Iterable[Sample]) -> bytes:
    """The page. What is in `counts` of a metric that this version does not know is left out."""
    return generate_latest(_Shelf([*map(_Counts(counts).metric, FAMILIES), *_gauges(samples)]))


@dataclass(frozen=True)
class _Shelf:
    """Metrics as prometheus_client wants to be given them."""

    metrics: Sequence[Metric]

    def collect(self) -> Iterable[Metric]:
        return self.metrics


class _Counts:
    """The counts of all families, by family and labels."""

    def __init__(self, counts: Mapping[Key, Any]) -> None:
        self._counts = counts

    def metric(self, family: Family) -> Metric:
        if isinstance(family, Histogram):
            return self._histogram(family)
        metric = CounterMetricFamily(family.name, family.help, labels=list(family.labels))
        # Few are there from the start: Prometheus sees no growth in what has only come.
        few = product(*family.labels.values()) if len(family.labels) <= 1 else ()
        for key, value in ({family.key(*labels): 0.0 for labels in few} | dict(self._of(family))).items():
            metric.add_metric(key[1:], value)
        return metric

    def _histogram(self, family: Histogram) -> Metric:
        metric = HistogramMetricFamily(family.name, family.help, labels=list(family.labels))
        numbers: dict[Key, dict[str, float]] = {}
        for key, value in self._of(family):
            numbers.setdefault(key[1:-1], {})[key[-1]] = value
        for labels, found in numbers.items():
            total, buckets = 0.0, []
            for index, bound in enumerate((*map(str, BUCKETS), "+Inf")):
                total += found.get(str(index), 0)
                buckets.append((bound, total))
            metric.add_metric(labels, buckets, found.get(SUM, 0))
        return metric

    def _of(self, family: Family) -> list[tuple[Key, float]]:
        length = 1 + len(family.labels) + isinstance(family, Histogram)
        return sorted(
            (key, value) for key, value in self._counts.items() if key[0] == family.name and len(key) == length
        )


def _gauges(samples: Iterable[Sample]) -> list[Metric]:
    metrics: dict[str, GaugeMetricFamily] = {}
    for sample in samples:
        if sample.name not in metrics:
            metrics[sample.name] = GaugeMetricFamily(sample.name, GAUGES[sample.name], labels=list(sample.labels))
        metrics[sample.name].add_metric(list(sample.labels.values()), sample.value)
    return list(metrics.values())
