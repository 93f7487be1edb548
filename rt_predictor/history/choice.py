"""Which of the last jobs under a key are taken as tokens."""

from math import isnan
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rt_predictor.history.columns import Float
from rt_predictor.history.token_keys import NO_KEY, WALKED, TokenKey
from rt_predictor.history.value_ids import Ids

NO_PLACE = -1
"""Stands where no job is."""

FAR: Float = np.array(1e9, dtype=np.float32)
"""How far a job with a time limit is from one without; two without any are not apart."""

_COLUMNS = np.arange(WALKED)
_COLUMN = (1 << (WALKED - 1).bit_length()) - 1
_BEHIND_ALL = np.float64(np.inf).view(np.int64)


class Traits(NamedTuple):
    """By what jobs are chosen."""

    users: Ids
    """[n] ids of their users"""
    log_limits: Float
    """[n] logarithms of their time limits; NaN for none"""

    def part(self, jobs: slice) -> "Traits":
        """Return those of some of the jobs."""
        return Traits(self.users[jobs], self.log_limits[jobs])


def choose(
    key: TokenKey, places: NDArray[np.integer], jobs: Traits, asked: Traits
) -> NDArray[np.integer]:
    """Return the places of the jobs that are taken: [n, key.slots], `NO_PLACE` where none is.

    Args:
        key: says which are.
        places: [n, key.walked] the last jobs under the key, the latest first: places in `jobs`;
            `NO_PLACE` where there is none.
        jobs: all jobs that places speak of.
        asked: [n] the asked jobs.
    """
    if key.walked == key.slots:
        return places
    if key.by_others:
        user = asked.users[:, None]
        mine = (jobs.users.take(places) == user) & (user != NO_KEY)
        places = np.where(mine, NO_PLACE, places)
    apart = np.zeros(places.shape, dtype=np.float32)
    if key.nearest:
        theirs, own = jobs.log_limits[places], asked.log_limits
        apart = _apart(theirs, own[:, None])
        without = np.flatnonzero(np.isnan(own))
        apart[without] = FAR * ~np.isnan(theirs[without])
    return _first(places, apart)[:, : key.slots]


def nearest_of_one(log_limits: Float, own: Float) -> NDArray[np.intp]:
    """Return the places of the nearest limits of [w], the nearest first: [w], as `choose`.

    own: [1] the limit that is asked for.
    """
    if isnan(own.item()):
        return np.argsort(~np.isnan(log_limits), kind="stable")
    return _apart(log_limits, own).argsort(kind="stable")


def _apart(theirs: Float, own: Float) -> Float:
    """Return how far limits are apart, where the asked job has one."""
    apart: Float = theirs - own
    np.abs(apart, out=apart)
    return np.fmin(apart, FAR, out=apart)


def _first(places: NDArray[np.integer], apart: Float) -> NDArray[np.integer]:
    """Return places [n, w] in the order of `apart`, and of the columns where that is equal."""
    # Floats from 0 on are ordered as their bits are; the last bits say the column.
    order = apart.astype(np.float64).view(np.int64)
    order += _COLUMNS
    np.bitwise_or(order, _BEHIND_ALL, out=order, where=places < 0)
    order.sort(axis=1)
    order &= _COLUMN
    order += np.arange(0, places.size, WALKED)[:, None]
    return places.reshape(-1).take(order)
