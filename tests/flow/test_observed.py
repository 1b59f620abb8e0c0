"""What an operator sees of one delivery that real processes handle: log lines, metrics, and a trace."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bot.demo.github import StandInGitHub
from tests.collector import Collector, SeenSpan
from tests.flow.test_serve import QUICK, REPOSITORY, Serve
from tests.servers import get

SERVER, CLIENT, CONSUMER = 2, 3, 5
_JOBS = (("assay_jobs_total", "publish", "done"), ("assay_jobs_total", "lint", "findings"))


@dataclass(frozen=True)
class Seen:
    """One push, taken through all of Assay to its verdict: every span, every log line, the metrics by their names and
    their labels' values, and Assay's own secrets."""

    sha: str
    delivery: str
    spans: list[SeenSpan]
    lines: list[dict[str, Any]]
    metrics: dict[tuple[str, ...], float]
    secrets: tuple[str, ...]

    @property
    def run(self) -> str:
        return f"{REPOSITORY}@{self.sha}"

    @property
    def trace(self) -> list[SeenSpan]:
        """The spans of the push's trace."""
        (first,) = [
            span for span in self.spans if not span.parent and span.attributes["assay.delivery"] == self.delivery
        ]
        return [span for span in self.spans if span.trace == first.trace]


@pytest.fixture(scope="module")
def seen() -> Iterator[Seen]:
    # Not pytest's own folder: a unix socket's path must be short.
    with (
        tempfile.TemporaryDirectory(prefix="assay-t-", ignore_cleanup_errors=True) as folder,
        StandInGitHub() as github,
        Collector() as collector,
    ):
        github.add_repository(REPOSITORY, {".github/assay.yml": QUICK, "demo.py": "A = 1\n"})
        serve = Serve(github, Path(folder))
        try:
            yield _take_through(serve, collector)
        finally:
            serve.clear()


def _take_through(serve: Serve, collector: Collector) -> Seen:
    process = serve.start(ASSAY_LOG_FORMAT="json", OTEL_EXPORTER_OTLP_ENDPOINT=collector.url)
    serve.until("readiness", lambda: serve.status("readyz") == 200)
    sha = serve.push("import os\n")
    assert serve.await_verdict(sha) == "failure"
    # An agent's job is counted after it has told its result: the verdict may be there before.
    awaited = {*_JOBS, ("assay_admissions_total", "202")}
    serve.until("the metrics", lambda: all(map(_metrics(serve).get, awaited)))
    metrics = _metrics(serve)
    process.terminate()
    assert process.wait(30) == 0
    text = serve.log.read_text().splitlines()
    return Seen(
        sha=sha,
        delivery=next(one.guid for one in serve.github.deliveries if one.event == "push"),
        spans=collector.spans,
        lines=[json.loads(line) for line in text],
        metrics=metrics,
        secrets=(serve.github.webhook_secret, serve.github.private_key, *serve.github.private_key.splitlines()[1:-1]),
    )


def _metrics(serve: Serve) -> dict[tuple[str, ...], float]:
    page = get(f"http://127.0.0.1:{serve.port}/metrics")
    assert page.status_code == 200, page.text
    families = text_string_to_metric_families(page.text)
    return {(one.name, *one.labels.values()): one.value for family in families for one in family.samples}


def test_one_delivery_is_one_connected_trace(seen: Seen) -> None:
    ids = {span.id: span for span in seen.trace}
    (first,) = [span for span in seen.trace if not span.parent]
    assert (first.name, first.kind) == ("POST /webhook", SERVER)
    jobs = [span for span in seen.trace if span.kind == CONSUMER]
    assert {span.name for span in jobs} == {"job intake", "job lint", "job publish"}
    assert {span.parent for span in jobs} == {first.id}
    calls = [span for span in seen.trace if span.kind == CLIENT]
    # An agent's job asks nothing of GitHub: it has its token minted by another.
    assert {ids[span.parent].name for span in calls} == {"job intake", "job publish"}
    assert len(seen.trace) == 1 + len(jobs) + len(calls)


def test_the_token_that_an_agent_asks_for_is_in_the_trace(seen: Seen) -> None:
    (job,) = [span for span in seen.trace if str(span.attributes.get("assay.job")).startswith("token-")]
    assert (job.name, job.attributes["assay.run"]) == ("job intake", seen.run)
    (minted,) = [span for span in seen.trace if span.parent == job.id]
    assert str(minted.attributes["url.path"]).endswith("/access_tokens")
    assert minted.attributes["http.response.status_code"] == 201


def test_spans_say_what_they_are_about(seen: Seen) -> None:
    (agent,) = [span for span in seen.trace if span.name == "job lint"]
    about = {"assay.run": seen.run, "assay.agent": "lint", "assay.attempt": 1, "assay.delivery": seen.delivery}
    assert about | {"assay.outcome": "findings"} == {name: agent.attributes[name] for name in (*about, "assay.outcome")}
    (intake,) = [span for span in seen.trace if span.attributes.get("assay.job") == f"intake_{seen.delivery}"]
    assert intake.attributes["assay.run"] == seen.run
    (wrote, *_) = [span for span in seen.trace if span.attributes.get("url.path") == f"/repos/{REPOSITORY}/check-runs"]
    assert wrote.attributes["http.response.status_code"] == 201


def test_every_trace_has_a_delivery(seen: Seen) -> None:
    assert {span.name for span in seen.spans if not span.parent} == {"POST /webhook"}


def test_spans_and_lines_hold_no_query_and_no_secret(seen: Seen) -> None:
    assert not any("?" in str(span.attributes.get("url.path")) for span in seen.spans)
    told = f"{seen.spans} {seen.lines} {seen.metrics}"
    assert not any(secret in told for secret in seen.secrets)
    assert "ghs_" not in told


def test_every_line_says_what_it_is_about(seen: Seen) -> None:
    fields = {"run", "repository", "sha", "agent", "attempt", "delivery", "job"}
    assert all(fields <= line.keys() for line in seen.lines)
    lines = [line for line in seen.lines if line["delivery"] == seen.delivery]
    (line,) = [line for line in lines if line["logger"] == "bot.intake.intake"]
    assert (line["run"], line["repository"], line["sha"]) == (seen.run, REPOSITORY, seen.sha)
    assert line["job"] == f"intake_{seen.delivery}"


def test_metrics_of_all_processes_come_together(seen: Seen) -> None:
    assert seen.metrics["assay_jobs_total", "lint", "findings"] == 1
    assert seen.metrics["assay_job_duration_seconds_count", "lint"] == 1
    assert seen.metrics["assay_job_wait_seconds_count", "intake"] >= 1
    assert seen.metrics["assay_workers", "lint"] == 1
    assert seen.metrics["assay_sweep_last_timestamp_seconds",] > 0
    budgets = {key[1]: value for key, value in seen.metrics.items() if key[0] == "assay_github_budget_remaining"}
    assert len(budgets) == 2
    assert "0" in budgets
    assert all(0 < left < 5000 for left in budgets.values())
