"""Groups of jobs: by how much is known of their users, and by the shape of their distributions."""

from bisect import bisect_right
from math import isnan
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rt_predictor.model.distribution import Distribution
from rt_predictor.model.lone_distribution import LoneDistribution

Groups = NDArray[np.intp]

HISTORY_EDGES: Final = (1, 5, 20)
"""Finished jobs of a user from which on the next group begins."""

HISTORY_LABELS: Final = ("none", "1 to 4", "5 to 19", "20 and more")

REGULAR_SPREAD: Final = 1.1
"""Q(3/4) over Q(1/4) below which users are regular: what is learned of others does not widen their
intervals."""

TIMEOUT_EDGES: Final = (0.02, 0.035, 0.065, 0.085, 0.13, 0.18, 0.25, 0.35, 0.5, 0.7)
"""Chances of a timeout from which on the next group begins. Narrow, for a map of levels moves the
chance of all its jobs alike; and with .05 and .1, which limits are recommended for, well inside."""

_QUARTILES = (0.25, 0.75)
_TIMEOUT_EDGES = np.array(TIMEOUT_EDGES)

SHAPES: Final = 2 * (len(TIMEOUT_EDGES) + 1)
"""Groups that `shape_groups` tells apart."""


def history_groups(user_runs: NDArray[np.floating | np.integer]) -> Groups:
    """Return the index in `HISTORY_LABELS` of n jobs.

    Args:
        user_runs: [n] finished jobs of the user that were known; NaN counts as none.
    """
    known = np.nan_to_num(np.asarray(user_runs, dtype=np.float64))
    return np.searchsorted(HISTORY_EDGES, known, side="right")


def shape_groups(raw: Distribution) -> Groups:
    """Return the group, below `SHAPES`, of n jobs: by chance of a timeout, and whether regular.

    Args:
        raw: distributions before recalibration.
    """
    ends_s = raw.quantiles_s(_QUARTILES)
    chance = raw.timeout_probability()
    irregulars = ends_s[:, 1] >= ends_s[:, 0] * REGULAR_SPREAD
    return _TIMEOUT_EDGES.searchsorted(np.nan_to_num(chance), side="right") * 2 + irregulars


def shape_group(raw: LoneDistribution) -> int:
    """Return the group of one job: see `shape_groups`."""
    lower_s, upper_s = raw.quantiles_s(_QUARTILES)
    chance = raw.timeout_probability()
    late = 0 if isnan(chance) else bisect_right(TIMEOUT_EDGES, chance)
    return late * 2 + (upper_s >= lower_s * REGULAR_SPREAD)
