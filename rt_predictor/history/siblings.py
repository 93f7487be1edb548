"""How much an outcome counts among many of its user that could not know of each other.

Jobs of one user that are under way together mostly share one fate: arrays of hundreds fail, or
finish early, all at once. They say little more than one of them does. The siblings of a job are
those of its user that ended between its submit and its end; the more there are, the less it counts.
Jobs that are submitted one after the other have none, and count in full.
"""

import numpy as np
from numpy.typing import NDArray

from rt_predictor.history.experts import SCOPES, ExpertLosses
from rt_predictor.history.key_ids import Ids
from rt_predictor.history.sorted_runs import Times

_HALF_SIBLINGS = 30.0
"""Siblings with which a job counts half. With 15 to 40 the coverage of each of the six logs of
`make accuracy` is within 1.5 points of every level."""


def outcome_weights(siblings: NDArray[np.int64], groups: NDArray[np.int64]) -> NDArray[np.float64]:
    """[n] above 0, at most 1: how much each of n outcomes counts.

    Args:
        siblings: [n] as `ExpertLosses.siblings` gives them.
        groups: [n] as `bounds.history_group` gives them. Those of users without history all count
            in full: there are few, and most of them are siblings.
    """
    return np.where(groups == 0, 1.0, 1 / (1 + siblings / _HALF_SIBLINGS))


def replayed_siblings(users: Ids, submit_s: Times, end_s: Times) -> NDArray[np.int64]:
    """[n] siblings of each job of a whole log, as `ExpertLosses.siblings` gives them.

    Takes the jobs in any order; those that end in the same second come in the order given.
    """
    by_end = np.argsort(end_s, kind="stable")
    folded = ExpertLosses(0, len(users))
    folded.fold(users[by_end], end_s[by_end], np.empty((len(users), SCOPES, 0), dtype=np.float32))
    found = np.empty(len(users), dtype=np.int64)
    found[by_end] = folded.siblings(users[by_end], submit_s[by_end])
    return found
