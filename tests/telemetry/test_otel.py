"""Spans, as a collector receives them."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace.sampling import Decision, TraceIdRatioBased

from bot.errors import Misconfigured
from bot.telemetry import tracing
from bot.telemetry.otel import OpenTelemetry, first_span
from bot.wiring import start_tracing
from config.settings import load
from tests.collector import Collector, SeenSpan

GUID = "72d3162e-cc78-11e3-81ab-4c9367dc0958"


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


@pytest.fixture
def tracer(collector: Collector) -> Iterator[OpenTelemetry]:
    tracer = OpenTelemetry(collector.url)
    yield tracer
    tracer.close()


def by_name(collector: Collector) -> dict[str, SeenSpan]:
    return {span.name: span for span in collector.spans}


def test_job_belongs_to_the_webhook_of_its_delivery_which_another_process_saw(
    tracer: OpenTelemetry, collector: Collector
) -> None:
    with tracer.job("job lint", GUID, {}), tracer.call("GitHub GET", {}):
        pass
    tracer.close()
    other = OpenTelemetry(collector.url)
    other.webhook(GUID, 10.0, 10.5, {"assay.event": "push"})
    other.close()
    spans = by_name(collector)
    first, job, call = spans["POST /webhook"], spans["job lint"], spans["GitHub GET"]
    assert (first.parent, job.parent, call.parent) == ("", first.id, job.id)
    assert len({span.trace for span in spans.values()}) == 1
    assert first.attributes == {"assay.event": "push", "assay.delivery": GUID}


def test_job_without_a_delivery_begins_a_trace(tracer: OpenTelemetry, collector: Collector) -> None:
    for _ in range(2):
        with tracer.job("job publish", "", {}):
            pass
    tracer.close()
    one, other = collector.spans
    assert (one.parent, other.parent) == ("", "")
    assert one.trace != other.trace


def test_call_of_another_thread_belongs_to_the_job_in_hand(tracer: OpenTelemetry, collector: Collector) -> None:
    def ask() -> None:
        with tracer.call("GitHub GET", {}):
            pass

    with tracer.job("job intake", GUID, {}):
        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()
    tracer.close()
    spans = by_name(collector)
    assert spans["GitHub GET"].parent == spans["job intake"].id


def test_call_that_no_job_asked_for_is_no_trace(tracer: OpenTelemetry, collector: Collector) -> None:
    with tracer.job("job intake", GUID, {}):
        pass
    with tracer.call("GitHub GET", {}) as note:
        note("http.response.status_code", 200)
    tracer.close()
    assert list(by_name(collector)) == ["job intake"]


def test_error_is_told_by_its_type_only(tracer: OpenTelemetry, collector: Collector) -> None:
    with pytest.raises(ValueError), tracer.job("job lint", GUID, {}), tracer.call("GitHub GET", {}):
        raise ValueError("the token is abc123")
    tracer.close()
    assert [span.error for span in collector.spans] == ["ValueError", "ValueError"]
    assert "abc123" not in str(collector.spans)


def test_attributes_are_bounded(tracer: OpenTelemetry, collector: Collector) -> None:
    with tracer.job("job lint", GUID, {"assay.run": "x" * 10_000, "assay.agent": ""}) as note:
        note("assay.outcome", "y" * 10_000)
    tracer.close()
    (span,) = collector.spans
    assert {name: len(str(value)) for name, value in span.attributes.items()} == {
        "assay.run": 300,
        "assay.outcome": 300,
    }


def test_all_processes_choose_the_same_samples() -> None:
    """GUIDs of a time differ in few places, but a sampler looks at the end of a trace's id."""
    sampler = TraceIdRatioBased(0.5)
    ids = [first_span(f"72d3{number:04x}-cc78-11e3-81ab-4c9367dc0958").trace_id for number in range(1000)]
    chosen = [sampler.should_sample(None, one, "any").decision is Decision.RECORD_AND_SAMPLE for one in ids]
    assert 400 < sum(chosen) < 600
    assert first_span(GUID) == first_span(GUID)


def test_collector_that_is_away_costs_a_few_seconds_at_most() -> None:
    tracer = OpenTelemetry("http://127.0.0.1:9")
    begun = time.monotonic()
    with tracer.job("job lint", GUID, {}):
        pass
    tracer.close()
    assert time.monotonic() - begun < 4


# -- the choice


def test_nobody_asks_for_traces_and_none_are_made() -> None:
    start_tracing(load({"HOME": "/"}))
    assert tracing.installed() is None
    with tracing.job("job lint", GUID, {}) as note, tracing.call("GitHub GET", {}) as other:
        note("assay.outcome", "clean")
        other("http.response.status_code", 200)
    tracing.close()


def test_traces_are_sent_where_the_settings_say(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "_tracer", None)
    start_tracing(load({"HOME": "/", "OTEL_EXPORTER_OTLP_ENDPOINT": f"{collector.url}/"}))
    with tracing.job("job lint", GUID, {}):
        pass
    tracing.close()
    assert list(by_name(collector)) == ["job lint"]


def test_without_the_extra_whoever_asks_for_traces_is_told_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "bot.telemetry.otel")
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(Misconfigured, match=r"pip install 'assay\[tracing\]'"):
        start_tracing(load({"HOME": "/", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}))
