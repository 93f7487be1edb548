"""Rows that are only ever added to: how their arrays grow, and how many are shown at a time."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

FIRST_ROWS = 1024
"""Rows that there is room for at first."""

GROWTH = 1.25
"""How much more room there is each time it has run out."""

FOLDED_EVENTS = 512
"""Events that are folded before readers see them: they wait while so many rows are shown."""

_F = TypeVar("_F", np.float32, np.float64)


def grown(array: NDArray[_F], rows: int) -> NDArray[_F]:
    """A copy with room for more rows; what the new ones hold is yet to be set."""
    new = np.empty((rows, *array.shape[1:]), dtype=array.dtype)
    new[: len(array)] = array
    return new
