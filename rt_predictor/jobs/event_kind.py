"""Kinds of events. Alone here, so that clients know them without what reads frames."""

from enum import StrEnum


class EventKind(StrEnum):
    """Kind of event of a job."""

    SUBMITTED = "submitted"
    STARTED = "started"
    ENDED = "ended"
    """It had started."""
    CANCELLED = "cancelled"
    """It had not started, and will not."""
