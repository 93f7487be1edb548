"""Records on their way to jobs: what all formats share once the texts are read.

A record frame has the columns of `JOB_SCHEMA`, and `line` (Int64), `malformed` and `skipped`
(String: the reason, or null).
"""

from collections.abc import Iterable

import polars as pl

from rt_predictor.jobs.normal import normal_texts
from rt_predictor.jobs.outcomes import CLOCK_TOLERANCE_S, Skip, is_no_time
from rt_predictor.jobs.rules import null_invalid
from rt_predictor.jobs.schema import JOB_SCHEMA
from rt_predictor.jobs.states import ACTIVE, ENDINGS, WAITING

SUSPENDED = "suspended"
"""Column that a record frame may have: time that the job was suspended, s."""


def first_reason(reasons: Iterable[tuple[pl.Expr, str]]) -> pl.Expr:
    """The reason of the first condition that holds, null where none does."""
    return pl.coalesce(
        *(pl.when(condition).then(pl.lit(reason)) for condition, reason in reasons),
        pl.lit(None, pl.String),
    )


def complete_jobs(records: pl.DataFrame, *, given: frozenset[str]) -> pl.DataFrame:
    """Fill what the outcome columns say of each other and mark records of unfinished jobs.

    `given`: the job columns that the log has; the others are added, null. Numbers that no valid job
    has become null: logs write 0 MB for "not requested", 68 years for "no limit", and 0 or -1 for
    the start of a job that never started. Time suspended is no part of the runtime.
    """
    records = _without_sentinels(_with_all_columns(records))
    start, end, runtime = (pl.col(name) for name in ("start_time", "end_time", "runtime"))
    records = records.with_columns(runtime=_active_s())
    unfinished = _unfinished(given)
    # What cannot be read is malformed, even where the rest of it looks like an unfinished job.
    finished = pl.col("skipped").is_null()
    return (
        null_invalid(records)
        .with_columns(
            pl.when(pl.col("malformed").is_null()).then(pl.coalesce("skipped", unfinished))
        )
        .with_columns(
            start_time=pl.coalesce(start, pl.when(finished).then(end - runtime)),
            end_time=pl.coalesce(end, pl.when(finished).then(start + runtime)),
            runtime=pl.when(finished).then(runtime),
        )
        .with_columns(
            pl.when(pl.col("skipped").is_null() & pl.col("submit_time").is_null())
            .then(pl.coalesce("malformed", pl.lit("no valid submit time")))
            .otherwise("malformed")
        )
        .drop(SUSPENDED, _NEVER)
    )


_NEVER = " never "
"""Column that says whether the record holds a sentinel in place of a start."""


def _with_all_columns(records: pl.DataFrame) -> pl.DataFrame:
    columns: dict[str, type[pl.DataType]] = {**JOB_SCHEMA, SUSPENDED: pl.Float64}
    absent = [
        pl.lit(None, dtype).alias(name)
        for name, dtype in columns.items()
        if name not in records.columns
    ]
    records = records.with_columns(absent)
    return records.with_columns(normal_texts(records.columns))


def _without_sentinels(records: pl.DataFrame) -> pl.DataFrame:
    """Make null what stands for "never" among the times, and a runtime below 0."""
    never = is_no_time("start_time")
    return records.with_columns(
        never.alias(_NEVER),
        pl.when(~never).then("start_time").alias("start_time"),
        pl.when(~is_no_time("end_time")).then("end_time").alias("end_time"),
        pl.when(pl.col("runtime") >= 0).then("runtime").alias("runtime"),
    )


def _active_s() -> pl.Expr:
    """Return the runtime of jobs, without the time that they were suspended.

    Slurm's Elapsed has that taken off already, and what completion scripts write has not.
    """
    wall = pl.col("end_time") - pl.col("start_time")
    suspended = pl.col(SUSPENDED)
    active = pl.when(suspended.is_between(0, wall)).then(wall - suspended).otherwise(wall)
    runtime = pl.col("runtime")
    is_less = (suspended > 0) & (active < runtime)
    return pl.when(is_less).then(active).otherwise(pl.coalesce(runtime, active))


def _unfinished(given: frozenset[str]) -> pl.Expr:
    """Why a record tells of a job that has not run to its end, else null."""
    submit, start, end, runtime, state = (
        pl.col(name) for name in ("submit_time", "start_time", "end_time", "runtime", "state")
    )
    did_not_run = runtime.is_null() | (runtime <= 0) | (end - runtime < submit - CLOCK_TOLERANCE_S)
    without_start = pl.lit("start_time" in given) & start.is_null()
    has_ended = state.is_in([*ENDINGS]) | (~state.is_in([*ACTIVE]) & runtime.is_not_null())
    no_end = pl.lit("end_time" in given) & end.is_null()
    return first_reason(
        (
            (state.is_in([*WAITING]), Skip.NEVER_STARTED),
            (without_start & pl.col(_NEVER) & did_not_run, Skip.NEVER_STARTED),
            (without_start & (runtime.fill_null(0.0) <= 0), Skip.NEVER_STARTED),
            (state.is_in([*ACTIVE]), Skip.STILL_RUNNING),
            (no_end & ~has_ended.fill_null(value=False), Skip.STILL_RUNNING),
            (runtime.is_null() | (runtime < 0), Skip.NO_RUNTIME),
        )
    )


def cancelled_jobs(records: pl.DataFrame) -> pl.DataFrame:
    """Records of jobs that never started and will not: `JOB_SCHEMA`."""
    will_not = ~pl.col("state").is_in([*WAITING]).fill_null(value=False)
    never = pl.col("skipped") == Skip.NEVER_STARTED.value
    known = pl.col("end_time").is_not_null() & pl.col("submit_time").is_not_null()
    return records.filter(never & will_not & known).select(*JOB_SCHEMA)


def open_jobs(records: pl.DataFrame) -> pl.DataFrame:
    """Records of jobs that waited or ran when the log was written: `JOB_SCHEMA`."""
    never = pl.col("skipped") == Skip.NEVER_STARTED.value
    waits = never & (pl.col("state").is_in([*WAITING]) | pl.col("state").is_null())
    runs = (pl.col("skipped") == Skip.STILL_RUNNING.value) & pl.col("start_time").is_not_null()
    known = pl.col("submit_time").is_not_null() & pl.col("end_time").is_null()
    return records.filter((waits | runs) & known).select(*JOB_SCHEMA)
