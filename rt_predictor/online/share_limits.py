"""Limits of the share that one user, or one client, may have of a state that all jobs share.

One user has at most a twentieth of the weight, or an equal share where fewer than twenty are
active. So has one client, whoever it claims to speak for; but where a trusted client has reported
any job lately, a client that is not trusted has a twentieth at most.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

LEAST_SHARE = 0.05
"""Share of the weight that one user, or one client that is not trusted, may have in any case."""

TRUSTED_S = 14 * 86400.0
"""Time for which a trusted client that has reported a job limits those that are not trusted."""


class TrustedReports:
    """The time at which a trusted client last reported a job."""

    def __init__(self, last_s: float = -np.inf) -> None:
        self.last_s = last_s

    def any_lately(self, *, from_trusted: bool, now_s: float) -> bool:
        """Note one more report; return whether a trusted client has reported any job lately.

        Args:
            from_trusted: whether this report is from a trusted client: then it counts itself.
            now_s: latest end of a job, Unix s.
        """
        if from_trusted:
            self.last_s = now_s
        return now_s - self.last_s <= TRUSTED_S


def equal_share(active: int) -> float:
    """Return the share that each of so many active users or clients may have."""
    return max(LEAST_SHARE, 1 / max(active, 1))


def greatest_count(counts: Array, share: float, others: float) -> float:
    """Return how many outcomes of one may count, so that none has more than a share of all.

    The greatest m with m <= share * (others + the sum over counts of min(count, m)); infinite where
    no count is above it.

    Args:
        counts: [n] outcomes of each user, or of each client.
        share: 0 to 1.
        others: outcomes that belong to none of these.
    """
    ordered = np.sort(counts)
    below = np.concatenate(([0.0], np.cumsum(ordered)))
    for full in range(len(ordered), -1, -1):
        # The `full` smallest count in full, all others as m.
        bounded = len(ordered) - full
        if bounded == 0:
            if not len(ordered) or ordered[-1] <= share * (others + below[-1]):
                return np.inf
            continue
        left = 1 - share * bounded
        least = ordered[full - 1] if full else 0.0
        if left <= 0:
            return float(ordered[full])
        m = share * (others + below[full]) / left
        if least <= m:
            return float(min(m, ordered[full]))
    return 0.0
