"""Spans of calls: a port. What is timed says so here; OpenTelemetry is behind it (`tracing`).

Where nothing is traced no call has a span, and that is all that is looked at.
"""

import importlib.util
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from time import time_ns
from typing import Protocol

from rt_predictor.errors import StartupError
from rt_predictor.settings import TracingSettings

Metadata = Iterable[tuple[str, str | bytes]]


@dataclass(frozen=True)
class ModelRun:
    """One run of the model for the jobs of one or several calls. Times are in Unix ns."""

    started_ns: int
    ended_ns: int
    jobs: int
    calls: "Sequence[CallSpan]"


class CallSpan(Protocol):
    """The span of a call that is traced."""

    @property
    def trace_id(self) -> str:
        """As W3C writes it: 32 hexadecimal digits."""
        ...

    def queued(self) -> None:
        """Jobs of the call begin to wait for the model."""
        ...

    def taken(self, at_ns: int) -> None:
        """A run of the model takes those jobs. Time in Unix ns."""
        ...

    def ran(self, run: ModelRun) -> None:
        """That run is over; the call may be, too."""
        ...

    def step(self, name: str, jobs: int) -> AbstractContextManager[None]:
        """A step of the call, for that many jobs, while the context lasts."""
        ...

    def end(self, status: str) -> None:
        """The call has ended with a gRPC status, given by name."""
        ...


class Tracer(Protocol):
    """Begins spans of calls and sends those that ended."""

    def call(self, method: str, metadata: Metadata) -> CallSpan | None:
        """The span of a call that begins; None if this one is not traced."""
        ...

    def close(self) -> None:
        """Sends what waits, for a short while, and ends."""
        ...


_span: ContextVar[CallSpan | None] = ContextVar("call_span", default=None)


def use_span(span: CallSpan) -> None:
    """Makes it the span of this task, and of tasks and work on threads that begin in it."""
    _span.set(span)


def queued() -> CallSpan | None:
    """Notes that jobs of the current call begin to wait. Returns its span, for `model_run`."""
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
    """What traces the calls of a worker process; None if tracing is off.

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
