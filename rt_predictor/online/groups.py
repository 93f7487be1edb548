"""Groups of jobs: by how much is known of their users, and by the shape of their distributions."""

from bisect import bisect_right
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rt_predictor.model.distribution import Distribution

Groups = NDArray[np.intp]

HISTORY_EDGES: Final = (1, 5, 20)
"""Finished jobs of a user from which on the next group begins."""

HISTORY_LABELS: Final = ("none", "1 to 4", "5 to 19", "20 and more")

SPREAD_EDGES: Final = (1.1, 2.7)
"""Q(3/4) over Q(1/4) from which on a distribution is of the next spread. Regular users are below
the first, so that what is learned of others does not widen their intervals."""

LIKELY_TIMEOUT: Final = 0.1
"""Chance of a timeout from which on a distribution is of the other half of groups."""

_QUARTILES = (0.25, 0.75)
_SPREAD_EDGES = np.array(SPREAD_EDGES)

SHAPES: Final = 2 * (len(SPREAD_EDGES) + 1)
"""Groups that `shape_groups` tells apart."""


def history_groups(user_runs: NDArray[np.floating | np.integer]) -> Groups:
    """Return the place in `HISTORY_LABELS` of n jobs.

    Args:
        user_runs: [n] finished jobs of the user that were known; NaN counts as none.
    """
    known = np.nan_to_num(np.asarray(user_runs, dtype=np.float64))
    return np.searchsorted(HISTORY_EDGES, known, side="right")


def shape_groups(raw: Distribution) -> Groups:
    """Return the group, below `SHAPES`, of n jobs: the spread of each, and whether it may time out.

    Args:
        raw: distributions before recalibration.
    """
    ends_s = raw.quantiles_s(_QUARTILES)
    if len(ends_s) == 1:  # numbers of Python are quicker
        lower_s, upper_s = ends_s[0].tolist()
        late = raw.timeout_probability().item() >= LIKELY_TIMEOUT
        return np.array([bisect_right(SPREAD_EDGES, upper_s / lower_s) * 2 + late], dtype=np.intp)
    spread = _SPREAD_EDGES.searchsorted(ends_s[:, 1] / ends_s[:, 0], side="right")
    return spread * 2 + (raw.timeout_probability() >= LIKELY_TIMEOUT)
