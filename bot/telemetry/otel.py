"""Spans by OpenTelemetry, sent as OTLP over HTTP. What is not said here (headers, sampling, the service's name) is set
by OpenTelemetry's own environment variables."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from opentelemetry import context as contexts
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    Tracer,
    get_current_span,
    set_span_in_context,
    use_span,
)

from bot.telemetry.tracing import Attributes, Note, ignore

# Seconds for one request to the collector, its repetitions included; and characters of an attribute.
_TIMEOUT = 2.0
_LONGEST = 300


def first_span(delivery: str) -> SpanContext:
    """The webhook's span of a delivery. Its trace's id is spread evenly, as samplers want it: a GUID's is not."""
    digest = hashlib.sha256(delivery.encode()).digest()
    trace_id, span_id = int.from_bytes(digest[:16]), int.from_bytes(digest[16:24])
    return SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))


class _Ids(RandomIdGenerator):
    """Random ids, but those of a webhook's span."""

    def __init__(self) -> None:
        self.given: ContextVar[SpanContext | None] = ContextVar("given", default=None)

    def generate_trace_id(self) -> int:
        given = self.given.get()
        return given.trace_id if given else super().generate_trace_id()

    def generate_span_id(self) -> int:
        given = self.given.get()
        return given.span_id if given else super().generate_span_id()


class OpenTelemetry:
    """`bot.telemetry.tracing.Tracer` by OpenTelemetry's SDK. Connects, and starts the thread that sends, at a process's
    first span."""

    def __init__(self, endpoint: str) -> None:
        # A line for each try would be too much where the collector is away.
        logging.getLogger("opentelemetry").setLevel(logging.ERROR)
        self._endpoint = f"{endpoint}/v1/traces"
        self._ids = _Ids()
        self._provider: TracerProvider | None = None
        self._pid = 0
        # Threads begin without a context; what they ask for is asked for the job in hand.
        self._job = contexts.Context()

    def webhook(self, delivery: str, begun: float, ended: float, attributes: Attributes) -> None:
        token = self._ids.given.set(first_span(delivery))
        try:
            span = self._tracer().start_span(
                "POST /webhook",
                contexts.Context(),
                SpanKind.SERVER,
                _bounded({**attributes, "assay.delivery": delivery}),
                start_time=_nanoseconds(begun),
            )
        finally:
            self._ids.given.reset(token)
        span.end(_nanoseconds(ended))

    @contextmanager
    def job(self, name: str, delivery: str, attributes: Attributes) -> Iterator[Note]:
        above = contexts.Context()
        if delivery:
            above = set_span_in_context(NonRecordingSpan(first_span(delivery)), above)
        span = self._tracer().start_span(name, above, SpanKind.CONSUMER, _bounded(attributes))
        self._job = set_span_in_context(span, above)
        try:
            with _lasting(span) as note:
                yield note
        finally:
            self._job = contexts.Context()

    @contextmanager
    def call(self, name: str, attributes: Attributes) -> Iterator[Note]:
        above = contexts.get_current() if get_current_span().get_span_context().is_valid else self._job
        if not get_current_span(above).get_span_context().is_valid:
            # Nobody's delivery led here: the lookout looks around.
            yield ignore
            return
        with _lasting(self._tracer().start_span(name, above, SpanKind.CLIENT, _bounded(attributes))) as note:
            yield note

    def close(self) -> None:
        if self._provider is not None and self._pid == os.getpid():
            self._provider.shutdown()
            self._provider = None

    def _tracer(self) -> Tracer:
        if self._provider is None or self._pid != os.getpid():
            resource = Resource.create({"service.name": os.environ.get("OTEL_SERVICE_NAME", "assay")})
            # Forks end without ado; `close` is called where something could be lost.
            self._provider = TracerProvider(resource=resource, shutdown_on_exit=False, id_generator=self._ids)
            exporter = OTLPSpanExporter(endpoint=self._endpoint, timeout=_TIMEOUT)
            self._provider.add_span_processor(BatchSpanProcessor(exporter))
            self._pid = os.getpid()
        return self._provider.get_tracer("assay")


@contextmanager
def _lasting(span: Span) -> Iterator[Note]:
    """While it lasts, the span is the current one. Of an exception its type is told: its words may hold anything."""

    def note(name: str, value: str | int) -> None:
        span.set_attributes(_bounded({name: value}))

    with use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
        try:
            yield note
        except BaseException as error:
            span.set_status(StatusCode.ERROR, type(error).__name__)
            raise


def _bounded(attributes: Attributes) -> dict[str, str | int]:
    return {name: value[:_LONGEST] if isinstance(value, str) else value for name, value in attributes.items() if value}


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1_000_000_000)
