"""Records on their way to jobs: what all formats share once the texts are read.

A record frame has the columns of `JOB_SCHEMA`, and `line` (Int64), `malformed` and `skipped`
(String: the reason, or null).
"""

from collections.abc import Iterable

import polars as pl

from rt_predictor.jobs.rules import null_invalid
from rt_predictor.jobs.schema import JOB_SCHEMA
from rt_predictor.jobs.states import ACTIVE, WAITING, normal_states
from rt_predictor.traces.trace import Skip

_TEXTS = tuple(name for name, dtype in JOB_SCHEMA.items() if dtype == pl.String)


def first_reason(reasons: Iterable[tuple[pl.Expr, str]]) -> pl.Expr:
    """The reason of the first condition that holds, null where none does."""
    return pl.coalesce(
        *(pl.when(condition).then(pl.lit(reason)) for condition, reason in reasons),
        pl.lit(None, pl.String),
    )


def complete_jobs(records: pl.DataFrame, *, given: frozenset[str]) -> pl.DataFrame:
    """Fills what the outcome columns say of each other and marks records of unfinished jobs.

    `given`: the job columns that the log has; the others are added, null. Numbers that no valid job
    has become null: logs write 0 MB for "not requested", and 68 years for "no limit".
    """
    absent = [
        pl.lit(None, dtype).alias(name)
        for name, dtype in JOB_SCHEMA.items()
        if name not in records.columns
    ]
    start, end, runtime, state = (
        pl.col(name) for name in ("start_time", "end_time", "runtime", "state")
    )
    records = records.with_columns(absent).with_columns(
        pl.coalesce(runtime, end - start),
        normal_states(state),
    )
    ended = state.is_not_null() & ~state.is_in(ACTIVE)
    unfinished = first_reason(
        (
            (state.is_in(WAITING), Skip.NEVER_STARTED),
            (
                pl.lit("start_time" in given) & start.is_null() & (runtime.fill_null(0.0) <= 0),
                Skip.NEVER_STARTED,
            ),
            (state.is_in(ACTIVE), Skip.STILL_RUNNING),
            (pl.lit("end_time" in given) & end.is_null() & ~ended, Skip.STILL_RUNNING),
            (runtime.is_null() | (runtime < 0), Skip.NO_RUNTIME),
        )
    )
    # What cannot be read is malformed, even where the rest of it looks like an unfinished job.
    return (
        null_invalid(records)
        .with_columns(
            pl.when(pl.col("malformed").is_null()).then(pl.coalesce("skipped", unfinished)),
            start_time=pl.coalesce(start, end - runtime),
            end_time=pl.coalesce(end, start + runtime),
        )
        .with_columns(
            pl.when(pl.col("skipped").is_null() & pl.col("submit_time").is_null())
            .then(pl.coalesce("malformed", pl.lit("no valid submit time")))
            .otherwise("malformed")
        )
        .with_columns(
            *(pl.when(pl.col(name) != "").then(pl.col(name)) for name in _TEXTS),
        )
    )
