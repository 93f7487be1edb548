"""Finished jobs of job logs as events that can be recorded."""

from hashlib import blake2b

import polars as pl

from rt_predictor.errors import InvalidJobError
from rt_predictor.jobs.outcomes import broken_outcomes
from rt_predictor.jobs.rules import null_invalid
from rt_predictor.jobs.schema import JOB_SCHEMA


def read_events(jobs: pl.DataFrame) -> tuple[pl.DataFrame, tuple[InvalidJobError, ...]]:
    """The jobs that can be recorded, in the order of their end, and why others cannot.

    What a log puts for "not asked for" is left out, and a job without an id gets one.
    """
    events = _with_ids(null_invalid(jobs)).sort("end_time", maintain_order=True)
    broken = broken_outcomes(events)
    keep = ~pl.int_range(pl.len()).is_in(list(broken))
    return events.filter(keep), tuple(broken.values())


def _with_ids(jobs: pl.DataFrame) -> pl.DataFrame:
    """Ids that are the same in every import of the same job, and differ between equal jobs."""
    without = jobs["job_id"].is_null()
    if not without.any():
        return jobs
    names = [name for name in JOB_SCHEMA if name != "job_id"]
    alike = jobs.select(pl.int_range(pl.len()).over(names, mapping_strategy="group_to_rows"))
    rows = jobs.select(names).with_columns(alike.to_series().alias("alike")).filter(without)
    ids = pl.Series([_stable_id(row) for row in rows.iter_rows()], dtype=pl.String)
    places = without.arg_true()
    return jobs.with_columns(jobs["job_id"].scatter(places, ids))


def _stable_id(row: tuple[object, ...]) -> str:
    return "row-" + blake2b(repr(row).encode(), digest_size=12).hexdigest()
