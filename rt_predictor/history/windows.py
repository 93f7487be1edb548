"""What the last runs under one key say: one implementation for training, folding and serving.

A window holds the latest finished jobs of a key, latest first. Everything is computed element by
element, so that a window's figures do not depend on how many windows are computed together.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

WINDOW_RUNS = 10
"""Runs that a window holds at most."""

EW_ALPHA = np.float32(0.3)
"""Weight of the latest run in exponentially weighted means."""

STATISTICS: tuple[tuple[str, str, str], ...] = (
    ("runs", "count", "how much is known of {why}, up to the size of the window"),
    ("last", "s", "runtime of the last of {why}"),
    ("mean2", "s", "mean of the last two of {why} (Tsafrir et al. 2007)"),
    ("median3", "s", "median of the last three of {why}"),
    ("median5", "s", "median of the last five of {why}"),
    ("median10", "s", "median of the last ten of {why}"),
    ("min5", "s", "shortest of the last five of {why}"),
    ("max5", "s", "longest of the last five of {why}"),
    ("ew_runtime", "s", "exponentially weighted mean runtime of {why}"),
    ("ew_used", "share", "the same of the share of the limit that {why} used"),
    ("ew_timeout", "share", "how often {why} reached their limit lately"),
)
"""Statistics of a window: name, unit, why."""

WINDOW_AGE = ("age", "s", "how long ago the last of {why} ended")
"""Stands after the statistics of each key: depends on the time that is asked for."""

COLUMN = {name: place for place, (name, _, _) in enumerate(STATISTICS)}

Float = NDArray[np.float32]


@dataclass(frozen=True)
class Windows:
    """n windows; column 0 is the latest run, and NaN stands after the earliest."""

    runtime_s: Float
    """[n, WINDOW_RUNS]"""
    used: Float
    """[n, WINDOW_RUNS] runtime / limit; NaN also where the job had no limit."""


def window_statistics(windows: Windows) -> Float:
    """The values of `STATISTICS`: [n, len(STATISTICS)] float32; NaN where there is no run."""
    runtime = windows.runtime_s
    runs: NDArray[np.int64] = np.count_nonzero(~np.isnan(runtime), axis=1)
    timeout = np.where(np.isnan(windows.used), np.nan, windows.used >= 1).astype(np.float32)
    first5 = runtime[:, :5]
    columns = (
        runs.astype(np.float32),
        runtime[:, 0],
        np.where(runs > 1, (runtime[:, 0] + runtime[:, 1]) * np.float32(0.5), runtime[:, 0]),
        _median(runtime[:, :3], np.minimum(runs, 3)),
        _median(first5, np.minimum(runs, 5)),
        _median(runtime, runs),
        np.fmin.reduce(first5, axis=1),
        np.fmax.reduce(first5, axis=1),
        _ew_mean(runtime),
        _ew_mean(windows.used),
        _ew_mean(timeout),
    )
    return np.column_stack(columns).astype(np.float32, copy=False)


def _median(values: Float, counts: NDArray[np.int64]) -> Float:
    """Median of the first `counts` values of each row; NaN where there are none."""
    ordered = np.sort(values, axis=1)  # NaN comes last
    rows = np.arange(len(values))
    low = ordered[rows, np.maximum(counts - 1, 0) // 2]
    high = ordered[rows, np.minimum(counts // 2, values.shape[1] - 1)]
    return np.asarray((low + high) * np.float32(0.5))


def _ew_mean(values: Float) -> Float:
    """Exponentially weighted mean, from the earliest value of each row to the latest."""
    mean = np.full(len(values), np.nan, dtype=np.float32)
    for place in range(values.shape[1] - 1, -1, -1):
        value = values[:, place]
        moved = mean + EW_ALPHA * (value - mean)
        mean = np.where(np.isnan(value), mean, np.where(np.isnan(mean), value, moved))
    return mean
