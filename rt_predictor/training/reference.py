"""Learns what jobs and errors are like, to tell later how far they have moved."""

import numpy as np
from numpy.typing import NDArray

from rt_predictor.features.declared import INPUTS, MISSING_CODE, UNSEEN_CODE
from rt_predictor.model.reference import (
    BINS,
    CATEGORY,
    ERROR,
    RUNTIME_TO_PREDICTION,
    WATCHED_INPUTS,
    Reference,
    WatchedColumn,
)

Float = NDArray[np.float32]

_DECILES = np.arange(1, 10) / 10


def fit_reference(inputs: Float, runtime_to_prediction: NDArray[np.float64]) -> Reference:
    """The reference of the jobs of training, and of the errors on later ones.

    Args:
        inputs: [n, len(INPUTS)] of training jobs, n > 0.
        runtime_to_prediction: [m] of jobs that were held out, m > 0.
    """
    place = {item.name: column for column, item in enumerate(INPUTS)}
    columns = (
        _watched(name, group, inputs[:, place[name]]) for name, group in WATCHED_INPUTS.items()
    )
    errors = runtime_to_prediction.astype(np.float32)
    return Reference((*columns, _watched(RUNTIME_TO_PREDICTION, ERROR, errors)))


def _watched(name: str, group: str, values: Float) -> WatchedColumn:
    known = values[~np.isnan(values)]
    edges = np.unique(np.quantile(known, _DECILES, method="inverted_cdf")) if len(known) else known
    if group == CATEGORY:
        # That a name is missing, or new, is what matters most of it.
        edges = np.union1d(edges, np.array([MISSING_CODE, UNSEEN_CODE], dtype=np.float32))
    column = WatchedColumn(name, group, edges.astype(np.float32), np.zeros(BINS))
    counts = np.bincount(column.bins(values), minlength=BINS)
    return WatchedColumn(name, group, column.edges, counts / len(values))
