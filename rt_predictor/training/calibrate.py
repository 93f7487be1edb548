"""Overruns of limits, and widths of constant intervals to compare with, from earlier jobs."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_OVERRUN_SHARE = 0.995
"""Share of jobs whose runtime lies below the limit times the overrun."""


def fit_limit_overrun(runtime_s: Array, time_req_s: Array) -> float:
    """Return the factor of their limit that jobs do not exceed, but for a few; at least 1.

    Args:
        runtime_s: [n] what jobs took.
        time_req_s: [n] their limits, NaN for none.
    """
    used = (runtime_s / time_req_s)[~np.isnan(time_req_s)]
    return max(1.0, float(np.quantile(used, _OVERRUN_SHARE))) if len(used) else 1.0


def constant_width(predicted_s: Array, runtime_s: Array, level: float) -> float:
    """Return the factor f such that [p / f, p * f] held `level` of the calibration jobs.

    Split-conformal prediction (Vovk et al. 2005; Lei et al. 2018) with one width in log runtime.
    """
    factor = np.sort(np.maximum(runtime_s / predicted_s, predicted_s / runtime_s))
    count = len(factor)
    rank = int(np.clip(np.ceil(level * (count + 1)), 1, count))  # holds for one more job
    return float(factor[rank - 1])
