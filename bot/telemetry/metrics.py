"""Metrics: what is counted, and how the counts of many short-lived processes come together.

Each process counts for itself (`Tally`) and adds its counts to Redis now and then: a worker after a job, the web
process every second, the sweep after a pass. Metrics are best effort: what cannot be sent waits for the next time,
what a killed process had not sent is lost, and what Redis took but did not confirm may count twice. The web process
shows all of it (`exposition.py`).

Label values come from fixed lists, so that nothing a stranger chose, and no repository's name, gets into the metrics,
and their number is bounded.
"""

from __future__ import annotations

import asyncio
import collections
import json
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, get_args

import redis.asyncio
from redis import Redis
from redis.exceptions import RedisError

from bot.domain.findings import Cost, Outcome
from bot.jobs import QUEUES
from config.settings import Served

# Two hashes in Redis: what grows, and the latest word about something.
COUNTS = "assay:metrics"
LATEST = "assay:metrics:latest"
# ARGV: fields, each with its latest value or '', and else by how much it has grown. One call, for it follows each job.
_ADD = f"""
for i = 1, #ARGV, 3 do
  if ARGV[i + 1] ~= '' then redis.call('hset', '{LATEST}', ARGV[i], ARGV[i + 1])
  else redis.call('hincrbyfloat', '{COUNTS}', ARGV[i], ARGV[i + 2]) end
end
"""
# The fields of LATEST: ["budget", installation, resource] and ["sweep"].
BUDGET, SWEEP = "budget", "sweep"
# Seconds between two messages of the web process.
_INTERVAL = 1.0

# What stands for a label's value that is not on its list.
OTHER = "other"
# Upper bounds of the histograms' buckets, in seconds.
BUCKETS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)
SUM = "sum"

# How a job ended that has no agent's outcome.
DONE, FAILED, DROPPED = "done", "failed", "dropped"
_OUTCOMES = (*(outcome.value for outcome in Outcome), DONE, FAILED, DROPPED)
_ANSWERS = ("202", "200", "400", "401", "405", "408", "413", "415", "500", "503")


@dataclass(frozen=True)
class Family:
    """One metric. `labels`: each with the values that it may have."""

    name: str
    help: str
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def key(self, *values: str) -> Key:
        """The key of a sample. A value that is not on its label's list becomes `OTHER`."""
        known = zip(values, self.labels.values(), strict=True)
        return self.name, *(value if value in allowed else OTHER for value, allowed in known)


# A family's name and its labels' values; for a histogram also which of its numbers: the index of a bucket, or SUM.
Key = tuple[str, ...]


class Counter(Family):
    """Something that only grows."""


class Histogram(Family):
    """How long something took, in seconds."""


ADMISSIONS = Counter(
    "assay_admissions_total", "Webhook requests, by the HTTP status of the answer.", {"answer": _ANSWERS}
)
JOBS = Counter(
    "assay_jobs_total",
    "Jobs that ended, by kind of agent (or intake, publish) and outcome.",
    {"agent": QUEUES, "outcome": _OUTCOMES},
)
JOB_SECONDS = Histogram("assay_job_duration_seconds", "How long jobs ran.", {"agent": QUEUES})
JOB_WAIT = Histogram("assay_job_wait_seconds", "How long jobs waited for a worker.", {"agent": QUEUES})
RETRIES = Counter("assay_job_retries_total", "Jobs that were started again after a try failed.", {"agent": QUEUES})
PARKED = Counter("assay_jobs_parked_total", "Jobs that were given up after their last try: dead letters.")
RECOVERIES = Counter(
    "assay_recoveries_total",
    "Things that the sweep found unfinished and set going again or ended.",
    {"what": ("job", "deadline", "publication", "delivery", "run")},
)
REFUSED = Counter(
    "assay_refused_deliveries_total",
    "Webhooks of installations, repositories or events that the operator does not let be served.",
    {"event": get_args(Served)},
)
COST = Counter("assay_model_cost_dollars_total", "What models cost, where their price is known.", {"agent": QUEUES})
TOKENS = Counter(
    "assay_model_tokens_total",
    "Tokens that models read and wrote.",
    {"agent": QUEUES, "direction": ("input", "output")},
)
FALLBACKS = Counter(
    "assay_model_fallbacks_total",
    "Agents' jobs for which another provider of models answered than the first, which failed.",
    {"agent": QUEUES},
)
FAMILIES: tuple[Family, ...] = (
    ADMISSIONS,
    JOBS,
    JOB_SECONDS,
    JOB_WAIT,
    RETRIES,
    PARKED,
    RECOVERIES,
    REFUSED,
    COST,
    TOKENS,
    FALLBACKS,
)


@dataclass(frozen=True)
class Budget:
    """How many of `limit` requests GitHub still answers an installation until `reset` (seconds since the epoch)."""

    remaining: int
    limit: int
    reset: float


class Tally:
    """What one process counted and Redis has not been told yet. Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[Key, float] = {}
        self._latest: dict[Key, object] = {}

    def count(self, family: Counter, *labels: str, amount: float = 1) -> None:
        self._add({family.key(*labels): amount})

    def observe(self, family: Histogram, seconds: float, *labels: str) -> None:
        key, seconds = family.key(*labels), max(seconds, 0.0)
        bucket = next((index for index, bound in enumerate(BUCKETS) if seconds <= bound), len(BUCKETS))
        self._add({(*key, str(bucket)): 1, (*key, SUM): seconds})

    def cost(self, agent: str, cost: Cost) -> None:
        """What a model was asked for an agent."""
        self.count(TOKENS, agent, "input", amount=cost.input_tokens)
        self.count(TOKENS, agent, "output", amount=cost.output_tokens)
        self.count(COST, agent, amount=cost.usd or 0)
        self.count(FALLBACKS, agent, amount=bool(cost.fallback))

    def budget(self, installation: int, resource: str, budget: Budget) -> None:
        self._note((BUDGET, str(installation), resource), [budget.remaining, budget.limit, budget.reset])

    def swept(self, at: float) -> None:
        """A pass of the sweep has ended, at that time in seconds since the epoch."""
        self._note((SWEEP,), at)

    def hand_over(self) -> list[list[list[Any]]]:
        """All that was counted, as JSON's values, for another process to take in."""
        return [[[key, value] for key, value in part.items()] for part in self._take()]

    def take_in(self, counted: list[list[list[Any]]]) -> None:
        """What another process handed over."""
        counts, latest = ({tuple(key): value for key, value in part} for part in counted)
        self._keep(counts, latest)

    def send(self, connection: Redis) -> None:
        """Tell Redis; what could not be told is kept for the next time. Raises no RedisError."""
        counts, latest = self._take()
        try:
            if words := _words(counts, latest):
                connection.register_script(_ADD)(args=words)
        except (RedisError, OSError):
            self._keep(counts, latest)

    async def send_async(self, connection: redis.asyncio.Redis) -> None:
        """As `send`."""
        counts, latest = self._take()
        try:
            if words := _words(counts, latest):
                await connection.register_script(_ADD)(args=words)
        except (RedisError, OSError):
            self._keep(counts, latest)

    def _add(self, counts: Mapping[Key, float]) -> None:
        with self._lock:
            for key, amount in counts.items():
                if amount:
                    self._counts[key] = self._counts.get(key, 0) + amount

    def _note(self, key: Key, value: object) -> None:
        with self._lock:
            self._latest[key] = value

    def _take(self) -> tuple[dict[Key, float], dict[Key, object]]:
        with self._lock:
            taken = self._counts, self._latest
            self._counts, self._latest = {}, {}
        return taken

    def _keep(self, counts: dict[Key, float], latest: dict[Key, object]) -> None:
        self._add(counts)
        with self._lock:
            self._latest = latest | self._latest


class Answers:
    """The web process's answers to webhooks, by status: counted without ado, for there may be thousands in a second."""

    def __init__(self) -> None:
        self.by_status: collections.Counter[int] = collections.Counter()
        self._tally = Tally()

    @asynccontextmanager
    async def sending(self, connection: redis.asyncio.Redis) -> AsyncIterator[None]:
        """While it lasts, and once more at its end, Redis is told every `_INTERVAL`."""

        async def repeat() -> None:
            while True:
                await asyncio.sleep(_INTERVAL)
                await self._send(connection)

        task = asyncio.create_task(repeat())
        try:
            yield
        finally:
            task.cancel()
            await self._send(connection)

    async def _send(self, connection: redis.asyncio.Redis) -> None:
        taken, self.by_status = self.by_status, collections.Counter()
        for status, count in taken.items():
            self._tally.count(ADMISSIONS, str(status), amount=count)
        await self._tally.send_async(connection)


def _words(counts: dict[Key, float], latest: dict[Key, object]) -> list[str]:
    """What the script takes; nothing where there is nothing to tell."""
    words = [word for key, amount in counts.items() for word in (json.dumps(key), "", repr(amount))]
    return words + [word for key, value in latest.items() for word in (json.dumps(key), json.dumps(value), "")]


def parse_hash(fields: dict[Any, Any]) -> dict[Key, Any]:
    """One of the two hashes as it stands in Redis: its fields and values are JSON."""
    return {tuple(json.loads(name)): json.loads(value) for name, value in fields.items()}
