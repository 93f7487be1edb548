"""A log as a service lives through it: what had ended before, then outcomes as jobs end."""

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True)
class Step:
    """What a service hears next: finished jobs, then jobs that are asked of it."""

    ended: pl.DataFrame
    """In the order of their end."""
    asked: pl.DataFrame
    """In the order of their submission; the last of them after all those ends."""


def steps(log: pl.DataFrame, mark_s: float, jobs_a_step: int = 1) -> Iterator[Step]:
    """The jobs submitted from a mark on, with all that ended meanwhile.

    Args:
        log: `JOB_SCHEMA`, by submit time.
        mark_s: ends before it are not told of: they are imported first.
        jobs_a_step: jobs that are asked at a time at least; those of one second stay together.
    """
    by_end = log.filter(pl.col("end_time") > mark_s).sort("end_time", maintain_order=True)
    test = log.filter(pl.col("submit_time") >= mark_s)
    told, start = 0, 0
    while start < len(test):
        last_s = test["submit_time"][min(start + jobs_a_step, len(test)) - 1]
        stop = test["submit_time"].search_sorted(last_s, side="right")
        seen = by_end["end_time"].search_sorted(last_s, side="right")
        yield Step(by_end[told:seen], test[start:stop])
        told, start = seen, stop


def ended_before(log: pl.DataFrame, mark_s: float) -> pl.DataFrame:
    """What is imported before: in the order of their end."""
    return log.filter(pl.col("end_time") <= mark_s).sort("end_time", maintain_order=True)
