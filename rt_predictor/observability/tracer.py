"""Port of a tracer: what times calls says so in these terms; OpenTelemetry is behind it."""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

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
        """Send what waits, for a short while, and end."""
        ...
