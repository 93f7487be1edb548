"""Jobs of job logs, queues and spools as events that can be recorded."""

import polars as pl

from rt_predictor.errors import InvalidJobError
from rt_predictor.jobs.events import broken_events, last_events
from rt_predictor.jobs.rules import null_invalid


def log_events(
    finished: pl.DataFrame,
    cancelled: pl.DataFrame | None = None,
    open_: pl.DataFrame | None = None,
    *,
    now_s: float | None = None,
) -> tuple[pl.DataFrame, tuple[InvalidJobError, ...]]:
    """The last event of each job of a log that can be recorded, in the order of their times.

    What a log puts for "not asked for" is left out, and a job without an id gets one.

    Args:
        finished: jobs that ran and ended (`JOB_SCHEMA`).
        cancelled: jobs that never started and will not, likewise.
        open_: jobs that wait, or run where they have a `start_time`, likewise.
        now_s: the time by our clock; without it, events in the future are let pass.

    Returns `EVENT_SCHEMA`, and why other jobs cannot be recorded.
    """
    events = last_events(
        null_invalid(finished),
        None if cancelled is None else null_invalid(cancelled),
        None if open_ is None else null_invalid(open_),
    )
    broken = broken_events(events, now_s=now_s)
    keep = ~pl.int_range(pl.len()).is_in(list(broken))
    return events.filter(keep), tuple(broken.values())
