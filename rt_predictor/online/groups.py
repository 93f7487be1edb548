"""Groups of jobs by how much is known of their users."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

HISTORY_EDGES: Final = (1, 5, 20)
"""Finished jobs of a user from which on the next group begins."""

HISTORY_LABELS: Final = ("none", "1 to 4", "5 to 19", "20 and more")


def history_groups(user_runs: NDArray[np.floating | np.integer]) -> NDArray[np.intp]:
    """Return the place in `HISTORY_LABELS` of n jobs.

    Args:
        user_runs: [n] finished jobs of the user that were known; NaN counts as none.
    """
    known = np.nan_to_num(np.asarray(user_runs, dtype=np.float64))
    return np.searchsorted(HISTORY_EDGES, known, side="right")
