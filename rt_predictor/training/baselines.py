"""What needs no model: the requested time, and what the user's last jobs took.

Every baseline sees of other jobs only those that had ended when a job was submitted, and none says
more than the job's time limit.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from rt_predictor.history.keys import KEYS
from rt_predictor.history.replay import COLUMNS_A_KEY, LogHistory, user_runs
from rt_predictor.history.windows import COLUMN, Float
from rt_predictor.jobs.schema import numbers

Array = NDArray[np.float64]

BASELINES: tuple[str, ...] = ("request", "last2", "user_median5", "backoff_median5")
"""Names, in the order of the tables."""

_BACKOFF_KEYS: tuple[tuple[str, int], ...] = (
    ("user_size_time", 1),
    ("user_time", 1),
    ("user", 1),
    ("partition_time", 10),
)
"""Keys to ask, most specific first, and the finished jobs that each needs at least."""

_FIRST_COLUMN = {key.name: place * COLUMNS_A_KEY for place, key in enumerate(KEYS)}


def baselines(log: pl.DataFrame, test: pl.DataFrame) -> dict[str, Array]:
    """What each of `BASELINES` says of jobs when they are submitted: [n] seconds each.

    `last2` is the mean of the user's last two finished jobs (Tsafrir et al. 2007), `user_median5`
    the median of the last five, `backoff_median5` that of the first of several keys which has
    enough. Who has nothing to go by says the time limit, and of a job without one the median
    runtime of what had ended before the first job of `test`. Jobs that name no partition share one.

    Args:
        log: all jobs of the log (`JOB_SCHEMA`, with submit, end and a runtime > 0), any order.
        test: the jobs to answer, among those of `log` or not.
    """
    limit = numbers(test, "time_req")
    request = np.where(np.isnan(limit), _typical_runtime_s(log, test), limit)
    known = LogHistory(log).features(test)
    found = (request, last2(known), user_median5(known), backoff_median5(known))
    return {
        name: np.fmin(np.where(np.isnan(says), request, says), limit)
        for name, says in zip(BASELINES, found, strict=True)
    }


def last2(known: Float) -> Array:
    """Mean of the user's last two finished jobs: [n], NaN where there are not two.

    `known` are the features of `LogHistory`, here and below.
    """
    two = user_runs(known) >= 2
    return np.where(two, _column(known, "user", "mean2"), np.nan)


def user_median5(known: Float) -> Array:
    """Median of the user's last five finished jobs: [n], NaN where there is none."""
    return _column(known, "user", "median5")


def backoff_median5(known: Float) -> Array:
    """Median of the last five jobs under the first key that has enough: [n], NaN if none has."""
    found = np.full(len(known), np.nan)
    for key, least_runs in reversed(_BACKOFF_KEYS):
        enough = _column(known, key, "runs") >= least_runs
        found = np.where(enough, _column(known, key, "median5"), found)
    return found


def _column(known: Float, key: str, statistic: str) -> Array:
    return known[:, _FIRST_COLUMN[key] + COLUMN[statistic]].astype(np.float64)


def _typical_runtime_s(log: pl.DataFrame, test: pl.DataFrame) -> float:
    """NaN where nothing had ended."""
    ended = log.filter(pl.col("end_time") <= test["submit_time"].min())["runtime"]
    return float(np.median(ended.to_numpy())) if len(ended) else float("nan")
