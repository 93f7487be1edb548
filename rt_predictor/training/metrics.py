"""Figures of point predictions and intervals, as in every table.

Runtimes and predictions are in seconds and above zero.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class PointMetrics:
    """Figures of point predictions."""

    mae: float
    """Mean absolute error, s."""
    median_ae: float
    """Median absolute error, s."""
    accuracy: float
    """Mean of min(p, r) / max(p, r); 0 to 1."""
    underestimated: float
    """Share of jobs that ran longer than predicted."""
    rmse: float
    """Root of the mean squared error, s."""
    r2: float
    """Coefficient of determination."""


@dataclass(frozen=True)
class Intervals:
    """Intervals of one level for n jobs, in the order of submission."""

    level: float
    lower_s: Array
    """[n]"""
    upper_s: Array
    """[n]"""

    def hold(self, runtime_s: Array) -> NDArray[np.bool_]:
        """Return whether each runtime lies inside, ends included: [n]."""
        return (self.lower_s <= runtime_s) & (runtime_s <= self.upper_s)

    def mean_width_s(self) -> float:
        """Return the mean of upper - lower."""
        return float(np.mean(self.upper_s - self.lower_s))


def point_metrics(predicted: Array, runtime: Array) -> PointMetrics:
    """Return the figures of predictions [n] against runtimes [n]."""
    error = predicted - runtime
    spread = float(np.mean((runtime - runtime.mean()) ** 2))
    squared = float(np.mean(error**2))
    return PointMetrics(
        mae=float(np.mean(np.abs(error))),
        median_ae=float(np.median(np.abs(error))),
        accuracy=float(np.mean(np.minimum(predicted, runtime) / np.maximum(predicted, runtime))),
        underestimated=float(np.mean(error < 0)),
        rmse=squared**0.5,
        r2=1 - squared / spread if spread > 0 else 0.0,
    )


def per_user_mae(predicted: Array, runtime: Array, users: pl.Series) -> float:
    """Return the mean over users of their mean absolute errors, s: no heavy user decides it.

    Jobs without a user are left out; NaN where none has one.
    """
    errors = pl.DataFrame({"user": users, "error": np.abs(predicted - runtime)}).drop_nulls("user")
    if errors.is_empty():
        return float("nan")
    return float(
        errors.group_by("user", maintain_order=True)
        .agg(pl.col("error").mean())["error"]
        .to_numpy()
        .mean()
    )
