"""The outcome log: a port, so that a log shared between hosts can take SQLite's place.

An event is one finished job. The log only grows; an event is known by its job id and submit time,
and one that is known already is ignored. When `append` returns, the events survive the death of the
process.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import polars as pl

from rt_predictor.jobs.schema import JOB_SCHEMA

EVENT_SCHEMA: Mapping[str, type[pl.DataType]] = {
    name: JOB_SCHEMA[name]
    for name in (
        "submit_time",
        "processors_req",
        "nodes_req",
        "mem_req",
        "gpus_req",
        "time_req",
        "partition",
        "qos",
        "user",
        "account",
        "job_name",
        "job_id",
        "start_time",
        "end_time",
        "runtime",
        "state",
    )
}
"""The columns of an event: the request as it was submitted, and the outcome.

Files of edition 1.0 have these and no others; they are read and written as they are.
"""


@dataclass(frozen=True)
class Appended:
    """What became of the events of one `append`."""

    recorded: int
    """New events that are in the log now."""
    duplicates: int
    """Events that it held already."""


@dataclass(frozen=True)
class Tail:
    """A piece of the log in the order of arrival."""

    events: pl.DataFrame
    """[n] `JOB_SCHEMA`; null where the log has no such column"""
    position: int
    """Where to go on reading."""


class EventLog(Protocol):
    """Append-only storage of finished jobs.

    Every method raises HistoryError where the log cannot be used, DamagedLogError where that will
    not pass.
    """

    @property
    def log_id(self) -> str:
        """Tells this log from every other, for ever."""
        ...

    def append(self, events: pl.DataFrame) -> Appended:
        """Adds events (`EVENT_SCHEMA`; job_id, submit_time, end_time and runtime are not null).

        After a HistoryError none of the events is in the log.
        """
        ...

    def append_all(self, batches: Sequence[pl.DataFrame]) -> list[Appended]:
        """The same for several batches in one commit: all of them, or after an error none."""
        ...

    def read_after(self, position: int, limit: int) -> Tail:
        """At most `limit` events that arrived after `position`; 0 is the beginning."""
        ...

    def last_position(self) -> int:
        """Position of the event that arrived last; 0 where there is none."""
        ...

    def is_in_place(self) -> bool:
        """Whether others who open the log now get this one: it may have been set aside."""
        ...

    def count(self) -> int:
        """Events in the log."""
        ...

    def close(self) -> None:
        """Lets go of files and connections."""
        ...
