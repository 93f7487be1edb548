"""Spans of calls in OpenTelemetry, sent to an OTLP receiver. Needs the extra `tracing`.

Nothing waits for the receiver: spans that ended go into a bounded queue, a thread sends them, and
where they cannot be sent they are dropped. Spans hold times, counts and statuses, and nothing that
a client sent but its place in a trace.
"""

import logging
import os
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from loguru import logger
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Link, Span, SpanKind, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from rt_predictor import __version__
from rt_predictor.observability.tracer import Metadata, ModelRun
from rt_predictor.settings import TracingSettings

CLOSE_S = 2.0
"""Time that spans get to leave at a stop."""
MAX_STEPS = 64
"""Spans below that of a call: a stream may have any number of steps."""
MAX_LINKS = 8
"""Calls of the same run that the span of a run names."""
_SEND_EVERY_MS = 1000
_SPANS_AT_ONCE = 512
_SERVICE = "rt_predictor.v1.RuntimePredictor"
_TRACE_HEADERS = frozenset({"traceparent", "tracestate"})
_FAULTS = frozenset(
    {"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"}
)
"""Statuses that are errors of a server, by OpenTelemetry's conventions for gRPC."""


class OTelTracer:
    """Traces the calls of one process."""

    def __init__(
        self, settings: TracingSettings, exporter: SpanExporter, *, worker: int = 0
    ) -> None:
        """A tracer whose spans `exporter` sends, from a thread of its own."""
        resource = Resource.create(
            {
                "service.name": settings.service_name,
                "service.version": __version__,
                "service.instance.id": f"{socket.gethostname()}-{os.getpid()}",
                "rt_predictor.worker": worker,
            }
        )
        self._exporter = exporter
        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(settings.sample_ratio)),
            resource=resource,
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(
            BatchSpanProcessor(
                exporter,
                max_queue_size=settings.max_queue_spans,
                schedule_delay_millis=_SEND_EVERY_MS,
                max_export_batch_size=min(_SPANS_AT_ONCE, settings.max_queue_spans),
            )
        )
        self._tracer = self._provider.get_tracer("rt_predictor", __version__)
        self._propagator = TraceContextTextMapPropagator()

    def call(self, method: str, metadata: Metadata) -> "OTelCallSpan | None":
        """See `tracer.Tracer`."""
        carrier = {
            key: value
            for key, value in metadata
            if key in _TRACE_HEADERS and isinstance(value, str)
        }
        name = f"{_SERVICE}/{method}"
        span = self._tracer.start_span(
            name,
            # An empty context: what this process traces of itself is nobody's parent.
            self._propagator.extract(carrier, Context()),
            SpanKind.SERVER,
            {"rpc.system.name": "grpc", "rpc.method": name},
        )
        return OTelCallSpan(self._tracer, span) if span.is_recording() else None

    def flush(self) -> None:
        """Send all spans that have ended; return once they are sent or dropped."""
        self._provider.force_flush()

    def close(self) -> None:
        """See `tracer.Tracer`; takes `CLOSE_S` at most."""
        # The exporter would go on trying for its whole time-out.
        give_up = threading.Timer(CLOSE_S, self._exporter.shutdown)
        give_up.daemon = True
        give_up.start()
        self._provider.shutdown()
        give_up.cancel()


class OTelCallSpan:
    """See `tracer.CallSpan`."""

    def __init__(self, tracer: Tracer, span: Span) -> None:
        self._tracer = tracer
        self._span = span
        self._within = trace.set_span_in_context(span, Context())
        self._queue: Span | None = None
        self._in_run = False
        self._steps = 0

    @property
    def trace_id(self) -> str:
        return trace.format_trace_id(self._span.get_span_context().trace_id)

    def queued(self) -> None:
        if self._room():
            self._queue = self._tracer.start_span("queue", self._within)

    def taken(self, at_ns: int) -> None:
        if self._queue is not None:
            self._queue.end(at_ns)
            self._queue, self._in_run = None, True

    def ran(self, run: ModelRun) -> None:
        if not self._in_run:
            return
        self._in_run = False
        span = self._tracer.start_span(
            "predict",
            self._within,
            attributes={"rt_predictor.jobs": run.jobs, "rt_predictor.calls": len(run.calls)},
            links=self._links(run),
            start_time=run.started_ns,
        )
        span.end(run.ended_ns)

    @contextmanager
    def step(self, name: str, jobs: int) -> Iterator[None]:
        if not self._room():
            yield
            return
        span = self._tracer.start_span(name, self._within, attributes={"rt_predictor.jobs": jobs})
        try:
            yield
        except BaseException as error:
            _failed(span, type(error).__qualname__)
            raise
        finally:
            span.end()

    def end(self, status: str) -> None:
        self._in_run = False
        if self._queue is not None:  # the model never saw its jobs
            _failed(self._queue, status)
            self._queue.end()
        self._span.set_attribute("rpc.response.status_code", status)
        if self._steps > MAX_STEPS:
            self._span.set_attribute("rt_predictor.steps_left_out", self._steps - MAX_STEPS)
        if status in _FAULTS:
            _failed(self._span, status)
        self._span.end()

    def _links(self, run: ModelRun) -> list[Link]:
        others = [call for call in run.calls[: MAX_LINKS + 1] if call is not self]
        return [
            Link(call._span.get_span_context())
            for call in others[:MAX_LINKS]
            if isinstance(call, OTelCallSpan)
        ]

    def _room(self) -> bool:
        self._steps += 1
        return self._steps <= MAX_STEPS


class WatchedExporter(SpanExporter):
    """Sends spans with another exporter, and says once when that begins or ceases to fail."""

    def __init__(self, exporter: SpanExporter, endpoint: str) -> None:
        self._exporter = exporter
        self._endpoint = endpoint
        self._library = _LastWords()
        self._failing = False
        self._closed = threading.Lock()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans; never raise."""
        try:
            result = self._exporter.export(spans)
        except Exception:
            result = SpanExportResult.FAILURE
        failing = result is not SpanExportResult.SUCCESS
        if failing and not self._failing:
            logger.warning(
                "traces are not delivered",
                endpoint=self._endpoint,
                reason=self._library.last_message,
            )
        elif self._failing and not failing:
            logger.info("traces are delivered again", endpoint=self._endpoint)
        self._failing = failing
        return result

    def shutdown(self) -> None:
        """Give up what is being sent; once."""
        if self._closed.acquire(blocking=False):
            self._exporter.shutdown()


class _LastWords(logging.Handler):
    """Handler that keeps the last message of OpenTelemetry, and prints none.

    It has several for every attempt to send, and one for every span that is dropped.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.last_message = ""
        library = logging.getLogger("opentelemetry")
        library.handlers[:] = [self]
        library.propagate = False

    def emit(self, record: logging.LogRecord) -> None:
        self.last_message = record.getMessage()


def sender_to(settings: TracingSettings) -> SpanExporter:
    """Return the exporter to the receiver that the settings name."""
    exporter = OTLPSpanExporter(endpoint=settings.endpoint, timeout=settings.export_timeout_s)
    return WatchedExporter(exporter, settings.endpoint)


def _failed(span: Span, kind: str) -> None:
    span.set_status(StatusCode.ERROR)
    span.set_attribute("error.type", kind)
