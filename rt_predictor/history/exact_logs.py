"""Logarithms of many numbers in float32, with the bits of the C library's in float64, rounded.

NumPy's own logarithm may differ from that of the C library in the last bits of float64, and with
the number of values. What is left after rounding to float32 is the same nearly always: where it may
not be, because both sides of a rounding lie near, the C library is asked.
"""

from collections.abc import Callable
from math import log, log1p, nan

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]
Float64 = NDArray[np.float64]

_NEAR = 2.0**-40
"""How far two libraries may be apart, as a share; they are a thousand times as near."""


def log_of(value: float | None) -> float:
    """Return the logarithm of one number, NaN where there is none or where it is not above 0."""
    return log(value) if value is not None and value > 0 else nan


def log1p_of(value: float | None) -> float:
    """Return that of 1 more, NaN where there is no number or where it is below 0."""
    return log1p(value) if value is not None and value >= 0 else nan


def logs_of(values: Float64) -> Float:
    """Return `log_of` each of many numbers, rounded: of the same shape, NaN for NaN."""
    return _rounded(np.log, log_of, values, values > 0)


def log1ps_of(values: Float64) -> Float:
    """Return `log1p_of` each of many numbers, rounded: of the same shape, NaN for NaN."""
    return _rounded(np.log1p, log1p_of, values, values >= 0)


def _rounded(
    many: np.ufunc, one: Callable[[float], float], values: Float64, allowed: NDArray[np.bool_]
) -> Float:
    logs = np.full(values.shape, nan)
    many(values, out=logs, where=allowed)
    found = logs.astype(np.float32)
    unsure = (logs * (1 - _NEAR)).astype(np.float32) != (logs * (1 + _NEAR)).astype(np.float32)
    unsure &= allowed
    for index in np.flatnonzero(unsure).tolist():
        found.flat[index] = one(values.item(index))
    return found
