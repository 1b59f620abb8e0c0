"""What is told of a process's work from the outside: its metrics and its traces.

The composition roots put it around jobs and around requests to GitHub; what is inside knows nothing of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from redis import Redis
from rq import get_current_job
from rq.job import Job

from bot.context import Subject, current
from bot.domain.findings import AgentResult, Cost
from bot.github.connection import Call
from bot.jobs import TRIES
from bot.telemetry import tracing
from bot.telemetry.metrics import DONE, DROPPED, FAILED, JOB_SECONDS, JOB_WAIT, JOBS, RETRIES, Budget, Tally


@dataclass
class Report:
    """How a job ended, in its own words."""

    outcome: str = DONE
    cost: Cost | None = None

    def result(self, result: AgentResult | None) -> None:
        """What an agent found; None where nobody waited for it any more."""
        self.outcome = result.outcome if result else DROPPED
        self.cost = result.cost if result else None


class Observer:
    """Of one process. What it counted is sent when a job ends."""

    def __init__(self, redis: Redis, tally: Tally | None = None) -> None:
        self._redis = redis
        self._tally = tally or Tally()

    def hand_over(self) -> list[list[list[Any]]]:
        """What was counted and not sent, for the process that this one was forked from."""
        return self._tally.hand_over()

    def keep(self, counted: list[list[list[Any]]]) -> None:
        """Send it with what is counted next."""
        self._tally.take_in(counted)

    def take_in(self, counted: list[list[list[Any]]]) -> None:
        """Send what another process has handed over."""
        self._tally.take_in(counted)
        self._tally.send(self._redis)

    @contextmanager
    def job(self, *, sends: bool = True) -> Iterator[Report]:
        """While it lasts, RQ's job in hand is done. Unless it `sends`, what was counted is to be handed over; where the
        job fails it is sent."""
        job, subject = get_current_job(), current()
        queue, report, begun = job.origin if job else "", Report(), time.monotonic()
        try:
            with tracing.job(f"job {queue}", subject.delivery, _attributes(subject)) as note:
                yield report
                # By now it may have turned out what it is about.
                note("assay.run", current().run)
                note("assay.outcome", report.outcome)
        except BaseException:
            report.outcome, sends = FAILED, True
            raise
        finally:
            self._count(queue, job, report, time.monotonic() - begun)
            if sends:
                self._tally.send(self._redis)

    def github(self, call: Call, exchange: Callable[[], httpx.Response]) -> httpx.Response:
        """The answer of `exchange`, which sends a request to GitHub."""
        attributes = {"http.request.method": call.method, "url.path": call.path}
        with tracing.call(f"GitHub {call.method}", attributes) as note:
            response = exchange()
            note("http.response.status_code", response.status_code)
        if budget := _budget(response):
            self._tally.budget(call.installation, *budget)
        return response

    def _count(self, queue: str, job: Job | None, report: Report, seconds: float) -> None:
        self._tally.count(JOBS, queue, report.outcome)
        self._tally.observe(JOB_SECONDS, seconds, queue)
        if report.cost:
            self._tally.cost(queue, report.cost)
        if job is None or job.enqueued_at is None:
            return
        if (job.retries_left or 0) < TRIES - 1:
            self._tally.count(RETRIES, queue)
        else:
            waited = time.time() - seconds - job.enqueued_at.timestamp()
            self._tally.observe(JOB_WAIT, waited, queue)


def _attributes(subject: Subject) -> dict[str, str | int]:
    return {
        "assay.run": subject.run,
        "assay.agent": subject.agent,
        "assay.attempt": subject.attempt,
        "assay.delivery": subject.delivery,
        "assay.job": subject.job,
    }


_RESOURCES = ("core", "graphql", "search")


def _budget(response: httpx.Response) -> tuple[str, Budget] | None:
    """What GitHub says in its headers of a budget and what is left of it."""
    headers = response.headers
    remaining, limit, reset = (headers.get(f"x-ratelimit-{name}", "")[:12] for name in ("remaining", "limit", "reset"))
    if not all(text.isascii() and text.isdigit() for text in (remaining, limit, reset)):
        return None
    resource = headers.get("x-ratelimit-resource", "core")
    return resource if resource in _RESOURCES else "other", Budget(int(remaining), int(limit), int(reset))
