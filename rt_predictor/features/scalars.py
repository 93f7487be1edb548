"""Numbers as arrays without axes: NumPy takes them in half the time of numbers of Python."""

import numpy as np

from rt_predictor.history.columns import Float


def scalar(value: float) -> Float:
    """Return a number as an array: [], float32."""
    return np.array(value, dtype=np.float32)
