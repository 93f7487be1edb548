"""Baselines that need no model: the requested time, and runtimes of the user's last jobs.

A baseline knows only jobs that had ended when the job was submitted, and its prediction is at most
the job's time limit. They share nothing with the model that they are compared with.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from rt_predictor.history.value_ids import NULL_ID, Ids, column_ids, hash_bytes
from rt_predictor.jobs.schema import numbers

Array = NDArray[np.float64]
Float = NDArray[np.float32]

BASELINES: tuple[str, ...] = ("request", "last2", "user_median5", "backoff_median5")
"""Names of those that models are measured by, in the order of the tables."""

USER_RATIO5 = "user_ratio5"
"""Name of another baseline that tables show."""

_RUNS = 10
"""Finished jobs of a key that are looked at."""

_USER = ("user",)
_BACKOFF: tuple[tuple[tuple[str, ...], int], ...] = (
    (("user", "processors_req", "time_req"), 1),
    (("user", "time_req"), 1),
    (_USER, 1),
    (("partition", "time_req"), 10),
)
"""Keys to ask, most specific first, and the finished jobs that each needs at least."""

_PIECE = 1 << 16
"""Jobs that are answered at a time: bounds memory."""


def baselines(log: pl.DataFrame, test: pl.DataFrame) -> dict[str, Array]:
    """Return the predictions of `BASELINES` and `USER_RATIO5` at submit: [n] seconds each.

    `last2` is the mean of the user's last two finished jobs (Tsafrir et al. 2007), `user_median5`
    the median of the last five, `backoff_median5` that of the first of several keys which has
    enough, `user_ratio5` the median share of their limit that the user's last five used, of this
    limit. A baseline without such jobs predicts the time limit, and for a job without one the
    median runtime of what had ended before the first job of `test`. Jobs that name no partition
    count as of one partition.

    Args:
        log: all jobs of the log (`JOB_SCHEMA`, with submit, end and a runtime > 0), any order.
        test: the jobs to answer, among those of `log` or not.
    """
    limit = numbers(test, "time_req")
    request = np.where(np.isnan(limit), _typical_runtime_s(log, test), limit)
    mine = _last_runs(log, test, _USER)
    backoff = np.full(len(test), np.nan)
    for fields, least_runs in reversed(_BACKOFF):
        runs = mine if fields == _USER else _last_runs(log, test, fields)
        backoff = np.where(runs.counts() >= least_runs, runs.median_s(5), backoff)
    predictions = {
        "request": request,
        "last2": mine.mean2_s(),
        "user_median5": mine.median_s(5),
        "backoff_median5": backoff,
        USER_RATIO5: mine.median_used(5) * limit,
    }
    return {
        name: np.fmin(np.where(np.isnan(predicted), request, predicted), limit)
        for name, predicted in predictions.items()
    }


def user_runs(log: pl.DataFrame, test: pl.DataFrame, most: int = 64) -> Array:
    """Return the finished jobs of each job's user known at its submit: [n], counted up to `most`.

    log, test: as for `baselines`.
    """
    ended = _Ended.of(log, _USER)
    starts, stops = ended.find(_keys(test, _USER), numbers(test, "submit_time"))
    runs: Array = np.minimum(stops - starts, most).astype(np.float64)
    return runs


@dataclass(frozen=True)
class _Runs:
    """The last finished jobs under one key that n jobs know of, the latest first."""

    runtime_s: Float
    """[n, _RUNS], NaN after the earliest"""
    used: Float
    """[n, _RUNS] runtime / limit; NaN also where the job had none"""

    def counts(self) -> NDArray[np.int64]:
        """[n] how many there are, of `_RUNS`."""
        return np.asarray(np.count_nonzero(~np.isnan(self.runtime_s), axis=1))

    def mean2_s(self) -> Array:
        """[n] mean of the last two; NaN where there are not two."""
        mean = (self.runtime_s[:, 0] + self.runtime_s[:, 1]) * np.float32(0.5)
        return np.asarray(mean, dtype=np.float64)

    def median_s(self, last: int) -> Array:
        """[n] median of the last so many, NaN where there are none."""
        return _median(self.runtime_s[:, :last])

    def median_used(self, last: int) -> Array:
        """[n] the same of the share of their limits that they used."""
        return _median(self.used[:, :last])


def _median(values: Float) -> Array:
    """Return the median of each row's values that are not NaN; NaN where all are."""
    ordered = np.sort(values, axis=1)  # NaN comes last
    counts = np.count_nonzero(~np.isnan(values), axis=1)
    rows = np.arange(len(values))
    low = ordered[rows, np.maximum(counts - 1, 0) // 2]
    high = ordered[rows, np.minimum(counts // 2, values.shape[1] - 1)]
    middle = (low + high) * np.float32(0.5)
    return np.where(counts > 0, middle, np.nan).astype(np.float64)


@dataclass(frozen=True)
class _Ended:
    """Finished jobs of a log under one key, by key, then by end and runtime."""

    keys: Ids
    """[k] ascending"""
    entries: NDArray[np.int64]
    """[e] ascending: number of the key times the jobs of the log, plus rank by end"""
    end_s: Array
    """[n] ascending"""
    runtime_s: Float
    """[n] in that order"""
    used: Float
    """[n] likewise: runtime / limit"""

    @classmethod
    def of(cls, log: pl.DataFrame, fields: Sequence[str]) -> "_Ended":
        """Sort the jobs of a log under the key of these fields."""
        end_s, runtime_s = numbers(log, "end_time"), numbers(log, "runtime")
        order = np.lexsort((runtime_s, end_s))
        owners = _keys(log, fields)[order]
        ranks = np.flatnonzero(owners != NULL_ID)
        keys, owned = np.unique(owners[ranks], return_inverse=True)
        used = (runtime_s / numbers(log, "time_req")).astype(np.float32)
        return cls(
            keys,
            np.sort(owned * len(log) + ranks),
            end_s[order],
            runtime_s[order].astype(np.float32),
            used[order],
        )

    def find(self, keys: Ids, at_s: Array) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the range in `entries` of the jobs of n keys that had ended by n times: both [n].

        First index and the one after the last; equal where there are no such jobs.
        """
        if not len(self.keys):
            nowhere = np.zeros(len(keys), dtype=np.int64)
            return nowhere, nowhere
        owner = np.minimum(self.keys.searchsorted(keys), len(self.keys) - 1)
        first = owner * len(self.end_s)
        starts = self.entries.searchsorted(first)
        stops = self.entries.searchsorted(first + self.end_s.searchsorted(at_s, side="right"))
        return starts, np.where(self.keys[owner] == keys, stops, starts)


def _last_runs(log: pl.DataFrame, test: pl.DataFrame, fields: Sequence[str]) -> _Runs:
    ended = _Ended.of(log, fields)
    runs = _Runs(*np.full((2, len(test), _RUNS), np.nan, dtype=np.float32))
    keys, submit_s = _keys(test, fields), numbers(test, "submit_time")
    for first in range(0, len(test) if len(ended.keys) else 0, _PIECE):
        piece = slice(first, first + _PIECE)
        starts, stops = ended.find(keys[piece], submit_s[piece])
        entry = stops[:, None] - np.arange(1, _RUNS + 1)
        inside = entry >= starts[:, None]
        jobs = ended.entries[entry[inside]] % len(ended.end_s)
        runs.runtime_s[piece][inside] = ended.runtime_s[jobs]
        runs.used[piece][inside] = ended.used[jobs]
    return runs


def _keys(jobs: pl.DataFrame, fields: Sequence[str]) -> Ids:
    """Return ids of the values of several fields together: [n], `NULL_ID` for jobs without a key.

    Jobs without a user share no key with each other; jobs without a partition share one.
    """
    keys = np.zeros(len(jobs), dtype=np.uint64)
    for name in fields:
        keys += column_ids(jobs[name]) * np.uint64(hash_bytes(name.encode()) | 1)
    if "user" in fields:
        keys[jobs["user"].is_null().to_numpy()] = NULL_ID
    return keys


def _typical_runtime_s(log: pl.DataFrame, test: pl.DataFrame) -> float:
    """Return the median runtime before the first job of `test`; NaN where nothing had ended."""
    ended = log.filter(pl.col("end_time") <= test["submit_time"].min())["runtime"]
    return float(np.median(ended.to_numpy())) if len(ended) else float("nan")
