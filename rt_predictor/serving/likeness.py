"""An order of jobs in which those that are alike follow one another.

Trees cost what the processor's guesses at their branches cost, and it guesses by what the last rows
did. In an order of chance a row costs nearly twice what it does among its like. The order need not
be exact: it changes how long scoring takes, and nothing of what is said.
"""

import numpy as np
from numpy.typing import NDArray

from rt_predictor.features.declared import INPUTS

_COLUMN = {item.name: place for place, item in enumerate(INPUTS)}
_KEY = (
    ("user_median5", 24),
    ("partition_code", 10),
    ("processors_req", 12),
    ("time_req", 18),
)
"""Inputs, the most telling first, and the bits of each that count: 64 in all."""


def by_likeness(inputs: NDArray[np.float32]) -> NDArray[np.intp]:
    """[n] places of the rows of [n, len(INPUTS)], alike ones next to each other.

    The bits of floats of one sign are in the order of their values. So the foremost bits of several
    inputs make one whole number, which is sorted in a fraction of the time that columns take.
    """
    key = np.zeros(len(inputs), dtype=np.uint64)
    for name, bits in _KEY:
        column = inputs[:, _COLUMN[name]].view(np.uint32) >> np.uint32(32 - bits)
        key <<= np.uint64(bits)
        key |= column
    return np.argsort(key)
