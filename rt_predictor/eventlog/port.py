"""The event log: a port, so that a log shared between hosts can take SQLite's place.

An event is known by `EVENT_IDENTITY`; one that is known already is ignored, and one that is known
with other content is kept apart. When `append` returns, the events survive the death of the
process. A position counts up in the order of arrival, over events of all kinds. Nothing is ever
changed; where an operator takes events out, the log gets another `log_id`, and everything that was
made from it before is worth nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

import polars as pl


class Fate(IntEnum):
    """Fate of one event of an `append`."""

    RECORDED = 0
    """It is new, and in the log now."""
    DUPLICATE = 1
    """The log held it already."""
    CONFLICT = 2
    """The log holds one of the same identity that says something else, which stands."""
    PRUNED = 3
    """It is older than what was pruned from the log."""
    QUARANTINED = 4
    """It is new and doubtful: in the log, but read by nobody until an operator releases it."""


@dataclass(frozen=True)
class Appended:
    """Fates of the events of one `append`."""

    fates: bytes = b""
    """A `Fate` for each event, in their order."""

    @property
    def recorded(self) -> int:
        """New events that are in the log now."""
        return self.fates.count(Fate.RECORDED)

    @property
    def duplicates(self) -> int:
        """Events that were not recorded because the log knows of them, conflicts among them."""
        return len(self.fates) - self.recorded - self.quarantined

    @property
    def conflicts(self) -> int:
        """Events of which the log holds another version, which stands."""
        return self.fates.count(Fate.CONFLICT)

    @property
    def quarantined(self) -> int:
        """New events that are in quarantine now."""
        return self.fates.count(Fate.QUARANTINED)


@dataclass(frozen=True)
class Tail:
    """A piece of the log in the order of arrival."""

    events: pl.DataFrame
    """[n] `EVENT_SCHEMA`, without those in quarantine, so that there may be fewer than are left"""
    position: int
    """Position to go on reading from."""
    log_id: str
    """Of the log at the time of reading; positions of another one mean nothing."""


class EventLog(Protocol):
    """Append-only storage of events of jobs.

    Every method raises HistoryError where the log cannot be used, DamagedLogError where that will
    not pass.
    """

    @property
    def log_id(self) -> str:
        """Identity of the log that was opened, unlike that of any other, for ever."""
        ...

    def append(self, events: pl.DataFrame) -> Appended:
        """Add valid events. After a HistoryError none of them is in the log.

        events: `EVENT_SCHEMA`; those with a reason in the column `QUARANTINE`, if there is one,
        come into quarantine.
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
        """Return whether others who open the log now get this one: it may have been set aside."""
        ...

    def count(self) -> int:
        """Events in the log."""
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...
