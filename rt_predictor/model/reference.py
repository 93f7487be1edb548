"""What jobs were like when the model was made, and how far those of late have moved from it.

Each watched column is cut into bins at its deciles in training; the population stability index
compares the shares of the bins with those of late: the sum over bins of (late - then) ln(late /
then), which is zero where nothing has changed and has no upper bound.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rt_predictor.features.declared import CATEGORY_FIELDS, INPUTS, REQUEST_INPUTS
from rt_predictor.history.keys import KEYS

Float = NDArray[np.float32]
Array = NDArray[np.float64]
Bins = NDArray[np.int64]

_CODES = tuple(f"{field}_code" for field in CATEGORY_FIELDS)
_OF_A_KEY = ("runs", "median5", "age")
"""Of each window: how much is known, what it says, and how old that is."""

REQUEST, CATEGORY, HISTORY, ERROR = "request", "category", "history", "error"
GROUPS: tuple[str, ...] = (REQUEST, CATEGORY, HISTORY, ERROR)
"""What drift is told of: numbers of the request and the calendar; codes of partition, QoS and
account; windows of finished jobs; and runtime / prediction."""

WATCHED_INPUTS: Mapping[str, str] = {
    **{item.name: REQUEST for item in REQUEST_INPUTS if item.name not in _CODES},
    **dict.fromkeys(_CODES, CATEGORY),
    **{f"{key.name}_{statistic}": HISTORY for key in KEYS for statistic in _OF_A_KEY},
}
"""Input -> its group."""

RUNTIME_TO_PREDICTION = "runtime_to_prediction"

BINS = 13
"""Bins of a column at most: ten between deciles, two for codes that mean missing and unseen, and
the last for NaN."""

_LEAST_SHARE = 1e-4
"""Of a bin: what training never saw must be nearly, not infinitely, surprising."""

_PRIOR_JOBS = 20.0
"""Jobs like those of training that are taken as seen before the first."""

_COLUMN = {item.name: place for place, item in enumerate(INPUTS)}


@dataclass(frozen=True)
class WatchedColumn:
    """A column and what it was like."""

    name: str
    group: str
    """One of `GROUPS`"""
    edges: Float
    """Ascending; a bin holds what is above one edge and up to the next, NaN goes to the last"""
    shares: Array
    """[BINS] share of the jobs in each bin"""

    def bins(self, values: Float) -> Bins:
        """[n] values -> [n] their bins."""
        places = self.edges.searchsorted(values, side="left")
        return np.where(np.isnan(values), BINS - 1, places)


@dataclass(frozen=True)
class Drift:
    """How far a group has moved."""

    psi: float
    """Population stability index of the column that has moved furthest"""
    column: str
    """Which one that is"""


@dataclass(frozen=True)
class Reference:
    """All watched columns. One named `RUNTIME_TO_PREDICTION` is of errors, others are inputs."""

    columns: tuple[WatchedColumn, ...]

    def bins(self, inputs: Float, runtime_to_prediction: Array) -> Bins:
        """[n, len(INPUTS)] inputs and [n] errors -> [n, len(columns)] their bins."""
        found = np.empty((len(inputs), len(self.columns)), dtype=np.int64)
        errors = runtime_to_prediction.astype(np.float32)
        for place, column in enumerate(self.columns):
            is_error = column.name == RUNTIME_TO_PREDICTION
            found[:, place] = column.bins(errors if is_error else inputs[:, _COLUMN[column.name]])
        return found

    def drift(self, counts: Array) -> dict[str, Drift]:
        """Group -> how far it has moved, from counts [len(columns), BINS] of late."""
        found: dict[str, Drift] = {}
        for column, seen in zip(self.columns, counts, strict=True):
            psi = _moved(column.shares, seen)
            if column.group not in found or psi > found[column.group].psi:
                found[column.group] = Drift(psi, column.name)
        return found


NO_REFERENCE = Reference(())
"""Of a model that says nothing of what jobs were like."""


def population_stability_index(then: Array, late: Array) -> float:
    """How far shares have moved; none may be zero."""
    return float(np.sum((late - then) * np.log(late / then)))


def _moved(shares: Array, counts: Array) -> float:
    then = np.maximum(shares, _LEAST_SHARE)
    then = then / then.sum()
    late = (counts + _PRIOR_JOBS * then) / (counts.sum() + _PRIOR_JOBS)
    return population_stability_index(then, late)
