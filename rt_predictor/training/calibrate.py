"""Intervals by split-conformal prediction (Vovk et al. 2005; Lei et al. 2018).

The score is the log of runtime / prediction; its quantiles on jobs that the model has not seen give
the ends of the interval around a new prediction. Ratios are stored instead of their logs: quantiles
are the same, and serving needs no logarithm.
"""

import numpy as np
from numpy.typing import NDArray

from rt_predictor.model.documents import CalibrationDocument

Array = NDArray[np.float64]

_GRID = 201
"""Points at which the distribution of the ratio is kept."""


_OVERRUN_SHARE = 0.995
"""Share of jobs whose runtime lies below the limit times the overrun."""


def fit_calibration(
    predicted_s: Array, runtime_s: Array, level: float, limit_overrun: float
) -> CalibrationDocument:
    """Learns the distribution of runtime / prediction from [n] predictions and [n] runtimes."""
    ratio = np.sort(runtime_s / predicted_s)
    alpha = 1 - level
    return CalibrationDocument(
        method="split_conformal",
        level=level,
        jobs=len(ratio),
        limit_overrun=limit_overrun,
        lower_ratio=min(_conformal_quantile(ratio, alpha / 2), 1.0),
        upper_ratio=max(_conformal_quantile(ratio, 1 - alpha / 2), 1.0),
        probabilities=tuple(np.linspace(0, 1, _GRID).tolist()),
        ratio_quantiles=tuple(np.quantile(ratio, np.linspace(0, 1, _GRID)).tolist()),
    )


def fit_limit_overrun(runtime_s: Array, time_req_s: Array) -> float:
    """How far past their limit jobs run at most, but for a few: a factor of at least 1.

    Args:
        runtime_s: [n] what jobs took.
        time_req_s: [n] their limits, NaN for none.
    """
    used = (runtime_s / time_req_s)[~np.isnan(time_req_s)]
    return max(1.0, float(np.quantile(used, _OVERRUN_SHARE))) if len(used) else 1.0


def constant_width(predicted_s: Array, runtime_s: Array, level: float) -> float:
    """The factor f such that [p / f, p * f] held `level` of the calibration jobs."""
    factor = np.sort(np.maximum(runtime_s / predicted_s, predicted_s / runtime_s))
    return _conformal_quantile(factor, level)


def _conformal_quantile(ordered: Array, share: float) -> float:
    """The quantile that holds for one more exchangeable value: rank of share * (n + 1)."""
    n = len(ordered)
    rank = np.floor(share * (n + 1)) if share < 0.5 else np.ceil(share * (n + 1))
    return float(ordered[int(np.clip(rank, 1, n)) - 1])
