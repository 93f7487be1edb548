"""History features of a whole log at once: what was known when each job was submitted.

For every key the log is sorted by key and end time; an as-of join finds the last job that had ended
at or before each submit, and the window is that job and the ones before it. A job that ends in the
very second another is submitted is visible to it.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from rt_predictor.history.keys import KEYS, key_hashes
from rt_predictor.history.windows import (
    COLUMN,
    STATISTICS,
    WINDOW_RUNS,
    Float,
    Windows,
    window_statistics,
)

COLUMNS_A_KEY = len(STATISTICS) + 1
"""The statistics of the window, and the age of its latest run."""


_PIECE = 1 << 16
"""Windows that are computed at a time: bounds memory."""


_USER_RUNS = [key.name for key in KEYS].index("user") * COLUMNS_A_KEY + COLUMN["runs"]


def user_runs(known: Float) -> Float:
    """Finished jobs of the user: [n], counted up to the size of the window.

    `known` is [n, len(KEYS) * COLUMNS_A_KEY], as `LogHistory.features` gives it.
    """
    return np.asarray(known[:, _USER_RUNS])


@dataclass(frozen=True)
class _Runs:
    """Finished jobs under one key, by key, end, runtime and share of the limit used.

    One NaN stands after the last, so that there always is a row to look at.
    """

    ends: pl.DataFrame
    """`key`, `end_time`, `last` (row in the arrays) and `first` (row where the key begins)."""
    end_s: NDArray[np.float64]
    runtime_s: Float
    used: Float


class LogHistory:
    """All finished jobs of a log, to be asked what was known at any time."""

    def __init__(self, events: pl.DataFrame) -> None:
        """Sorts finished jobs (`JOB_SCHEMA`, any order) under every key."""
        outcomes = events.select(
            pl.col("end_time"),
            runtime=pl.col("runtime").cast(pl.Float32),
            used=(pl.col("runtime") / pl.col("time_req")).cast(pl.Float32).fill_null(float("nan")),
        )
        hashes = key_hashes(events)
        self._runs = {key: _sorted_runs(hashes[key.name], outcomes) for key in KEYS}

    def features(self, jobs: pl.DataFrame) -> Float:
        """[n, len(KEYS) * COLUMNS_A_KEY] float32: what was known at each job's submit_time.

        NaN where nothing was; the columns of one key stand together, in the order of `KEYS`.
        """
        hashes = key_hashes(jobs)
        submit = jobs["submit_time"]
        found = np.empty((len(jobs), len(KEYS) * COLUMNS_A_KEY), dtype=np.float32)
        for place, key in enumerate(KEYS):
            columns = slice(place * COLUMNS_A_KEY, (place + 1) * COLUMNS_A_KEY)
            _fill(found[:, columns], self._runs[key], hashes[key.name], submit)
        return found


def _sorted_runs(hashes: pl.Series, outcomes: pl.DataFrame) -> _Runs:
    runs = (
        outcomes.with_columns(key=hashes)
        .filter(pl.col("key").is_not_null())
        .sort("key", "end_time", "runtime", "used")
        .with_row_index("last")
    )
    ends = runs.select("key", "end_time", "last", first=pl.col("last").min().over("key")).sort(
        "end_time", maintain_order=True
    )
    arrays = (runs[name].to_numpy() for name in ("end_time", "runtime", "used"))
    return _Runs(ends, *(np.append(array, array.dtype.type(np.nan)) for array in arrays))


def _fill(found: Float, runs: _Runs, hashes: pl.Series, submit: pl.Series) -> None:
    """Writes what was known under one key: [n, COLUMNS_A_KEY]."""
    rows = (
        pl.DataFrame({"key": hashes, "submit_time": submit})
        .with_row_index("row")
        .sort("submit_time", maintain_order=True)
        .join_asof(
            runs.ends,
            left_on="submit_time",
            right_on="end_time",
            by="key",
            strategy="backward",
            check_sortedness=False,
        )
        .sort("row")
    )
    last = rows["last"].cast(pl.Int64).fill_null(-1).to_numpy()
    first = rows["first"].cast(pl.Int64).fill_null(0).to_numpy()
    submit_s = submit.to_numpy()
    for start in range(0, len(found), _PIECE):
        piece = slice(start, start + _PIECE)
        found[piece] = _at(runs, last[piece], first[piece], submit_s[piece])


def _at(
    runs: _Runs, last: NDArray[np.int64], first: NDArray[np.int64], submit_s: NDArray[np.float64]
) -> Float:
    places = last[:, None] - np.arange(WINDOW_RUNS)
    outside = places < first[:, None]
    places[outside] = 0
    windows = Windows(
        np.where(outside, np.float32(np.nan), runs.runtime_s[places]),
        np.where(outside, np.float32(np.nan), runs.used[places]),
    )
    age = np.where(outside[:, 0], np.nan, submit_s - runs.end_s[places[:, 0]])
    return np.column_stack([window_statistics(windows), age.astype(np.float32)])
