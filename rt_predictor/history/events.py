"""Finished jobs of job logs as events that can be recorded."""

import polars as pl

from rt_predictor.errors import InvalidJobError
from rt_predictor.jobs.identity import with_ids
from rt_predictor.jobs.outcomes import broken_outcomes
from rt_predictor.jobs.rules import null_invalid


def read_events(jobs: pl.DataFrame) -> tuple[pl.DataFrame, tuple[InvalidJobError, ...]]:
    """The jobs that can be recorded, in the order of their end, and why others cannot.

    What a log puts for "not asked for" is left out, and a job without an id gets one.
    """
    events = with_ids(null_invalid(jobs)).sort("end_time", maintain_order=True)
    broken = broken_outcomes(events)
    keep = ~pl.int_range(pl.len()).is_in(list(broken))
    return events.filter(keep), tuple(broken.values())
