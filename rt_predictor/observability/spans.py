"""Spans of the current call, by context variable; and the tracer that the settings ask for.

Where nothing is traced no call has a span, and that is all that is looked at.
"""

import importlib.util
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from time import time_ns

from rt_predictor.errors import StartupError
from rt_predictor.observability.tracer import CallSpan, ModelRun, Tracer
from rt_predictor.settings import TracingSettings

__all__ = ["CallSpan", "ModelRun", "Tracer", "model_run", "queued", "step", "tracer_of", "use_span"]

_span: ContextVar[CallSpan | None] = ContextVar("call_span", default=None)


def use_span(span: CallSpan) -> None:
    """Make it the span of this task, and of tasks and work on threads that begin in it."""
    _span.set(span)


def queued() -> CallSpan | None:
    """Note that jobs of the current call begin to wait. Returns its span, for `model_run`."""
    span = _span.get()
    if span is not None:
        span.queued()
    return span


def step(name: str, jobs: int) -> AbstractContextManager[None]:
    """A step of the current call, for that many jobs, while the context lasts."""
    span = _span.get()
    return nullcontext() if span is None else span.step(name, jobs)


@contextmanager
def model_run(calls: Sequence[CallSpan], jobs: int) -> Iterator[None]:
    """A run of the model for calls that `queued`, while the context lasts."""
    started_ns = time_ns()
    for call in calls:
        call.taken(started_ns)
    try:
        yield
    finally:
        run = ModelRun(started_ns, time_ns(), jobs, calls)
        for call in calls:
            call.ran(run)


def tracer_of(settings: TracingSettings, *, worker: int = 0) -> Tracer | None:
    """Return the tracer of a worker process; None if tracing is off.

    Raises StartupError where OpenTelemetry is not installed.
    """
    if not settings.enabled:
        return None
    if not _installed():
        raise StartupError(
            "tracing.enabled needs OpenTelemetry, which is not installed: pip install "
            "'rt-predictor[tracing]', or set tracing.enabled = false"
        )
    from rt_predictor.observability.tracing import OTelTracer, sender_to

    return OTelTracer(settings, sender_to(settings), worker=worker)


def _installed() -> bool:
    needed = ("opentelemetry", "opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.grpc")
    try:
        return all(importlib.util.find_spec(name) is not None for name in needed)
    except ModuleNotFoundError:
        return False
