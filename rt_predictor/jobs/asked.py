"""Questions about a job beside what it is: as of when, how sure, and why.

Rows of asked jobs have these fields beside those of `REQUEST_SCHEMA`, frames may have any of them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from rt_predictor.errors import InvalidJobError
from rt_predictor.jobs.rules import MAX_RUNTIME_S, MAX_TIME_S, NumberRule
from rt_predictor.jobs.schema import REQUEST_SCHEMA, Jobs

ASKED_SCHEMA: Mapping[str, Any] = {
    "elapsed": pl.Float64,
    "as_of": pl.Float64,
    "confidence_level": pl.Float64,
    "quantiles": pl.List(pl.Float64),
    "explain": pl.Boolean,
}
"""Columns of a question: name -> Polars type.

elapsed: how long the job has run, s; with it `as_of` is required.
as_of: the time that the question is about, Unix s; null: when the job is submitted.
confidence_level: of the interval and of the recommended limit; null: the service's.
quantiles: levels of runtimes that are wanted beside.
explain: whether to tell which finished jobs the answer rests on.
"""

NOTHING_ASKED: Mapping[str, None] = dict.fromkeys(ASKED_SCHEMA)
"""The fields of a row of which nothing is asked beside."""

MAX_QUANTILES = 100
"""Levels that one job may ask for."""

ELAPSED_RULE = NumberRule("elapsed", 0, MAX_RUNTIME_S, "s", required=False)
AS_OF_RULE = NumberRule("as_of", 0, MAX_TIME_S, "Unix s, 1970 to 2100", required=False)

_LEVEL_RULE = "must lie between 0 and 1, ends excluded"
_CLOCKS_S = 1.0
"""Tolerance between two readings of a clock."""


def check_level(level: float, field: str = "confidence_level") -> float:
    """Return the level, which lies between 0 and 1. Raises InvalidJobError where it does not."""
    if not 0 < level < 1:
        raise InvalidJobError(field, level, _LEVEL_RULE)
    return level


def check_asked(row: Mapping[str, Any]) -> None:
    """Check what is asked of one job: a row with the fields of `ASKED_SCHEMA` and `submit_time`.

    Raises InvalidJobError for the first rule that is broken.
    """
    level, quantiles = row["confidence_level"], row["quantiles"]
    if level is not None:
        check_level(level)
    if quantiles:
        check_quantiles(quantiles)
    check_moment(row["elapsed"], row["as_of"], row["submit_time"])


def check_quantiles(levels: Sequence[float]) -> None:
    """Check levels that are asked for. Raises InvalidJobError."""
    if len(levels) > MAX_QUANTILES:
        rule = f"{len(levels)} are too many: at most {MAX_QUANTILES} levels"
        raise InvalidJobError("quantiles", levels[MAX_QUANTILES], rule)
    for level in levels:
        check_level(level, "quantiles")


def check_moment(elapsed: float | None, as_of: float | None, submit_time: float | None) -> None:
    """Check how long a job has run and when that is said, s and Unix s. Raises InvalidJobError."""
    for value, rule in ((elapsed, ELAPSED_RULE), (as_of, AS_OF_RULE)):
        if value is not None and not rule.admits(value):
            raise InvalidJobError(rule.field, value, rule.text)
    if as_of is None:
        if elapsed is not None:
            raise InvalidJobError(
                "as_of", None, "required with elapsed: the time at which it has run for so long"
            )
        return
    if submit_time is None:
        return
    if as_of < submit_time:
        text = f"must not be before submit_time = {submit_time!r} (Unix s)"
        raise InvalidJobError("as_of", as_of, text)
    if elapsed is not None and elapsed > as_of - submit_time + _CLOCKS_S:
        text = f"must not be more than as_of - submit_time = {as_of - submit_time!r} (s)"
        raise InvalidJobError("elapsed", elapsed, text)


MOMENT = ("elapsed", "as_of")
"""Columns of `ASKED_SCHEMA` that say of a job that it runs, and when."""


def broken_moments(jobs: pl.DataFrame) -> dict[int, InvalidJobError]:
    """Hold a frame with `submit_time` and maybe the columns `MOMENT` against `check_moment`.

    Returns row number -> the first rule that the row breaks.
    """
    broken: dict[int, InvalidJobError] = {}
    names = [name for name in MOMENT if name in jobs.columns]
    if not names:
        return broken
    given = jobs.select(pl.any_horizontal(pl.col(names).is_not_null()).arg_true())
    for row in given.to_series().to_list():
        elapsed, as_of = (jobs[name][row] if name in names else None for name in MOMENT)
        try:
            check_moment(elapsed, as_of, jobs["submit_time"][row])
        except InvalidJobError as error:
            broken[row] = error
    return broken


def with_moments(jobs: pl.DataFrame, now_s: float) -> pl.DataFrame:
    """Fill what is not said of the times of jobs, in a frame with `submit_time` and `MOMENT`.

    Those that run do so as of now, and were submitted when they started; others were submitted at
    the time that is asked about.
    """
    runs = pl.col("elapsed").is_not_null()
    as_of = pl.when(runs).then(pl.col("as_of").fill_null(now_s)).otherwise("as_of")
    submitted = pl.col("as_of") - pl.col("elapsed").fill_null(0.0)
    return jobs.with_columns(as_of=as_of).with_columns(
        submit_time=pl.coalesce("submit_time", submitted)
    )


def frame_of(jobs: Jobs) -> pl.DataFrame:
    """Return jobs, with what is asked of them, in a frame, whichever way they come."""
    if isinstance(jobs, pl.DataFrame):
        return jobs
    return asked_frame(pl.from_dicts(jobs, schema={**REQUEST_SCHEMA, **ASKED_SCHEMA}))


def asked_frame(jobs: pl.DataFrame) -> pl.DataFrame:
    """Return the jobs with those columns of `ASKED_SCHEMA` in which anything is asked."""
    empty = [name for name in ASKED_SCHEMA if name in jobs.columns and jobs[name].is_null().all()]
    return jobs.drop(empty) if empty else jobs
