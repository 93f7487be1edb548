"""How good predictions are: the figures of every table.

Runtimes and predictions are in seconds and above zero.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

BLOCKS = 10


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
class IntervalMetrics:
    """Figures of intervals."""

    level: float
    """Share of jobs that the intervals are meant to hold."""
    coverage: float
    """Share that they do hold."""
    block_coverage: tuple[float, ...]
    """The same in ten consecutive blocks of equally many jobs."""
    mean_width: float
    """Mean of upper - lower, s."""
    winkler: float
    """Mean interval score, s; lower is better."""
    winkler_constant_width: float
    """That of split-conformal intervals of constant width in log runtime around the same points."""


def point_metrics(predicted: Array, runtime: Array) -> PointMetrics:
    """Figures of predictions [n] against runtimes [n]."""
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


def winkler_score(lower: Array, upper: Array, runtime: Array, level: float) -> float:
    """Mean interval score of Winkler (1972): width, plus 2 / alpha times the miss; s."""
    miss = np.maximum(lower - runtime, 0) + np.maximum(runtime - upper, 0)
    return float(np.mean(upper - lower + 2 / (1 - level) * miss))


def interval_metrics(
    lower: Array, upper: Array, runtime: Array, level: float, winkler_constant_width: float
) -> IntervalMetrics:
    """Figures of intervals [n] against runtimes [n], in the order of submission."""
    held = (lower <= runtime) & (runtime <= upper)
    return IntervalMetrics(
        level=level,
        coverage=float(held.mean()),
        block_coverage=tuple(
            float(block.mean()) if len(block) else float("nan")
            for block in np.array_split(held, BLOCKS)
        ),
        mean_width=float(np.mean(upper - lower)),
        winkler=winkler_score(lower, upper, runtime, level),
        winkler_constant_width=winkler_constant_width,
    )
