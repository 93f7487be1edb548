"""Which of the last jobs under a key are taken as tokens, for many asked jobs at once."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rt_predictor.history.columns import Float
from rt_predictor.history.token_keys import NO_KEY, WALKED, TokenKey
from rt_predictor.history.value_ids import Ids

NO_PLACE = -1
"""Stands where no job is taken."""

FAR: np.float32 = np.float32(1e9)
"""How far a job with a time limit is from one without."""

_COLUMN_BITS = (WALKED - 1).bit_length()
_LAST = np.iinfo(np.int64).max


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
    key: TokenKey,
    places: NDArray[np.integer],
    inside: NDArray[np.bool_],
    jobs: Traits,
    asked: Traits,
) -> NDArray[np.int64]:
    """Return the places of the jobs that are taken: [n, key.slots], `NO_PLACE` where none is.

    Args:
        key: says which are.
        places: [n, key.walked] the last jobs under the key, the latest first: places in `jobs`.
        inside: [n, key.walked] where there is a job.
        jobs: all jobs that places speak of.
        asked: [n] the asked jobs.
    """
    if key.by_others:
        user = asked.users[:, None]
        inside = inside & ((jobs.users[places] != user) | (user == NO_KEY))
    if key.nearest:
        apart = _apart(jobs.log_limits[places], asked.log_limits[:, None])
        return _nearest(places, inside, apart, key.slots)
    if key.by_others:
        return _first(places, inside, key.slots)
    return np.where(inside, places, NO_PLACE)


def _apart(theirs: Float, own: Float) -> Float:
    """Return how far limits are apart; those of two jobs without any are not."""
    apart: Float = np.abs(theirs - own)
    np.copyto(apart, FAR, where=np.isnan(apart))
    apart[np.isnan(theirs) & np.isnan(own)] = 0
    return apart


def _nearest(
    places: NDArray[np.integer], inside: NDArray[np.bool_], apart: Float, slots: int
) -> NDArray[np.int64]:
    # What is not negative is ordered as its bits are; the column behind them settles ties.
    order = apart.view(np.int32).astype(np.int64)
    order <<= _COLUMN_BITS
    order += np.arange(order.shape[1])
    np.copyto(order, _LAST, where=~inside)
    order.partition(slots - 1, axis=1)
    order = order[:, :slots]
    order.sort(axis=1)
    taken = np.take_along_axis(places, order & (1 << _COLUMN_BITS) - 1, axis=1)
    return np.where(order != _LAST, taken, NO_PLACE)


def _first(places: NDArray[np.integer], inside: NDArray[np.bool_], slots: int) -> NDArray[np.int64]:
    rank = inside.cumsum(axis=1, dtype=np.int16)
    job, column = np.nonzero(inside & (rank <= slots))
    first = np.full((len(places), slots), NO_PLACE)
    first[job, rank[job, column] - 1] = places[job, column]
    return first
