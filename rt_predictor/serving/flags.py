"""What makes a job's answer less certain: its flags, from what was assembled of it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from rt_predictor.features.assemble import Range
from rt_predictor.features.categories import Category
from rt_predictor.features.declared import REQUEST_INPUTS, UNSEEN_CODE
from rt_predictor.model.documents import RangeDocument
from rt_predictor.serving.predictions import Flag

_NAMES = [item.name for item in REQUEST_INPUTS]
_TIME_REQ = _NAMES.index("time_req")
_UNSEEN = {"partition_code": Flag.UNSEEN_PARTITION, "qos_code": Flag.UNSEEN_QOS}
_RAISED_BY = np.array(
    [_UNSEEN.get(name, Flag.OUT_OF_TRAINING_RANGE) for name in _NAMES], dtype=np.uint8
)
_FEW_JOBS = 4
"""Jobs that are looked at one by one: an operation of NumPy costs as much as one of them."""
_NO_TIME_LIMIT, _COLD_START_USER = np.uint8(Flag.NO_TIME_LIMIT), np.uint8(Flag.COLD_START_USER)
_UNBOUNDED = Range(-np.inf, np.inf)


@dataclass(frozen=True)
class Flags:
    """When each of `REQUEST_INPUTS` raises its flag; of NaN none of it is true."""

    least: NDArray[np.float32]
    """[len(REQUEST_INPUTS)] below that"""
    greatest: NDArray[np.float32]
    """[len(REQUEST_INPUTS)] above that"""
    unseen: NDArray[np.float32]
    """[len(REQUEST_INPUTS)] where it equals that"""

    def raised(
        self, inputs: NDArray[np.float32], knows_user: NDArray[np.bool_]
    ) -> NDArray[np.uint8]:
        """[n] bits of `Flag` for [n, len(INPUTS)] and [n] whether jobs of the user have ended."""
        asked = inputs[:, : len(_NAMES)]
        if len(asked) <= _FEW_JOBS:
            each = map(self._raised_by_one, asked.tolist(), knows_user.tolist())
            return np.array(list(each), dtype=np.uint8)
        raised = (asked < self.least) | (asked > self.greatest) | (asked == self.unseen)
        flags = np.bitwise_or.reduce(raised * _RAISED_BY, axis=1)
        flags |= np.isnan(asked[:, _TIME_REQ]) * _NO_TIME_LIMIT
        flags |= ~knows_user * _COLD_START_USER
        return np.asarray(flags)

    def _raised_by_one(self, asked: Sequence[float], knows_user: bool) -> int:
        """The same as `raised` for one job."""
        flags = 0 if knows_user else int(Flag.COLD_START_USER)
        if math.isnan(asked[_TIME_REQ]):
            flags |= int(Flag.NO_TIME_LIMIT)
        for value, (least, greatest, unseen, flag) in zip(asked, self._rules, strict=True):
            if value < least or value > greatest or value == unseen:
                flags |= flag
        return flags

    @cached_property
    def _rules(self) -> Sequence[tuple[float, float, float, int]]:
        """Least, greatest, unseen, and the flag, of each of `REQUEST_INPUTS`."""
        columns = (self.least, self.greatest, self.unseen, _RAISED_BY)
        return list(zip(*(column.tolist() for column in columns), strict=True))


def flags_of(known: Mapping[str, RangeDocument], categories: Sequence[Category]) -> Flags:
    """Flags for numbers outside of what training saw, and for names that it did not see.

    Nothing is said of a number that it never saw, nor of names where it saw none of that field.

    Args:
        known: range of each number that training saw.
        categories: names that it saw.
    """
    ranges = [known.get(name, _UNBOUNDED) for name in _NAMES]
    named = {f"{category.field}_code" for category in categories if category.names}
    return Flags(
        least=np.array([seen.minimum for seen in ranges], np.float32),
        greatest=np.array([seen.maximum for seen in ranges], np.float32),
        unseen=np.array(
            [UNSEEN_CODE if name in named & _UNSEEN.keys() else np.nan for name in _NAMES],
            np.float32,
        ),
    )
