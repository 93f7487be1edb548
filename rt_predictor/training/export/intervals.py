"""What can still reach a node of a tree in one feature, exactly, on float32.

Floats are handled as whole numbers in the same order ("keys"): neighbours differ by one, and -0
and 0 share 0.
"""

from dataclasses import dataclass

import numpy as np

from rt_predictor.training.export.trees import Float32Array

_SIGN_BIT = 0x80000000
_MAGNITUDE_BITS = 0x7FFFFFFF


def order_keys(values: Float32Array) -> list[int]:
    """The keys of `values`; those of NaN mean nothing."""
    bits = values.view(np.int32).astype(np.int64)
    keys: list[int] = np.where(bits >= 0, bits, -(bits & _MAGNITUDE_BITS)).tolist()
    return keys


def next_below(values: Float32Array) -> Float32Array:
    """The float32 before each value; -inf before the smallest finite one and before itself."""
    with np.errstate(over="ignore", under="ignore"):
        return np.nextafter(values, np.float32(-np.inf))


def value_of_key(key: int) -> np.float32:
    """The float32 with this key."""
    bits = key if key >= 0 else -key | _SIGN_BIT
    return np.float32(np.array([bits], dtype=np.uint32).view(np.float32)[0])


_LARGEST = order_keys(np.array([np.finfo(np.float32).max], dtype=np.float32))[0]
_INFINITY = order_keys(np.array([np.inf], dtype=np.float32))[0]


@dataclass(frozen=True, slots=True)
class Interval:
    """The numbers with keys in (low, high], and NaN if `nan`."""

    low: int
    high: int
    nan: bool

    def left_of(self, key: int, missing_left: bool) -> "Interval":
        """What of it goes left at a split `x <= value_of_key(key)`."""
        return Interval(self.low, min(self.high, key), self.nan and missing_left)

    def right_of(self, key: int, missing_left: bool) -> "Interval":
        """What of it goes right at that split."""
        return Interval(max(self.low, key), self.high, self.nan and not missing_left)

    @property
    def is_empty(self) -> bool:
        """Nothing is left, not even NaN."""
        return self.low >= self.high and not self.nan

    def finite_or_nan(self) -> np.float32:
        """A value in it that all libraries accept: a finite one if there is any, else NaN."""
        highest = min(self.high, _LARGEST)
        if max(self.low, -_LARGEST - 1) < highest:
            return value_of_key(highest)
        return np.float32(np.nan)


EVERYTHING = Interval(low=-_INFINITY - 1, high=_INFINITY, nan=True)
"""Any float32."""
