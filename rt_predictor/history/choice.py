"""Which of the last jobs under a key are taken as tokens."""

from collections.abc import Sequence
from math import isnan
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rt_predictor.history.columns import Float
from rt_predictor.history.token_keys import NO_KEY, TokenKey
from rt_predictor.history.value_ids import Ids

NO_POSITION = -1
"""Stands where no job is."""

FAR: Float = np.array(1e9, dtype=np.float32)
"""How far a job with a time limit is from one without; two without any are not apart."""

_FEW = 128
"""Rows that are quicker sorted: of few it is the number of NumPy's calls that takes time."""

Places = NDArray[np.integer]


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
    keys: Sequence[TokenKey], windows: Places, of: NDArray[np.intp], jobs: Traits, asked: Traits
) -> list[Places]:
    """Return the positions of the jobs that are taken: of each key [n, key.slots].

    `NO_POSITION` stands where none is.

    Args:
        keys: [k] say which are; all look through `WALKED` jobs.
        windows: [g, WALKED] the last jobs under keys, the latest first: positions in `jobs`;
            `NO_POSITION` where there is none.
        of: [k, n] the window of each asked job.
        jobs: all jobs that positions speak of.
        asked: [n] the asked jobs.
    """
    theirs = Traits(jobs.users.take(windows), jobs.log_limits[windows])
    if of.size <= _FEW:
        return _chosen(keys, windows, of, theirs, asked)
    # What is compared of one key fits the processor's cache.
    each = (_chosen([key], windows, of[k : k + 1], theirs, asked) for k, key in enumerate(keys))
    return [taken for (taken,) in each]


def _chosen(
    keys: Sequence[TokenKey], windows: Places, of: NDArray[np.intp], theirs: Traits, asked: Traits
) -> list[Places]:
    """Return the same; theirs: [g, WALKED] traits of the jobs in the windows."""
    apart = _apart_of_many(theirs.log_limits, of, asked.log_limits)
    own = asked.users[:, None]
    for apart_of_key, key, windows_of_key in zip(apart, keys, of, strict=True):
        if not key.nearest:
            apart_of_key[:] = 0
        if key.by_others:
            mine = theirs.users.take(windows_of_key, axis=0) == own
            np.copyto(apart_of_key, np.inf, where=mine & (own != NO_KEY))
    none = windows < 0
    if none.any():
        np.copyto(apart, np.inf, where=none.take(of, axis=0))
    slots = max(key.slots for key in keys)
    flat = apart.reshape(of.size, windows.shape[1])
    taken = _least(windows, of.reshape(-1), flat, slots).reshape(*of.shape, slots)
    return [taken[number, :, : key.slots] for number, key in enumerate(keys)]


def _apart_of_many(theirs: Float, of: NDArray[np.intp], own: Float) -> Float:
    """Return how far limits [g, w] are from those of n jobs, a missing one `FAR`: [k, n, w]."""
    without = np.isnan(theirs)
    apart: Float = np.where(without, FAR, theirs).take(of, axis=0)
    apart -= own[:, None]
    np.abs(apart, out=apart)
    lacking = np.flatnonzero(np.isnan(own))
    if len(lacking):
        apart[:, lacking] = FAR * ~without[of[:, lacking]]
    return apart


def _least(windows: Places, of: NDArray[np.intp], apart: Float, slots: int) -> Places:
    """Return the positions that are least apart, of equal ones the first: [m, slots].

    apart: [m, w] infinite for those that are not to be taken; is overwritten.
    """
    flat, width = windows.reshape(-1), windows.shape[1]
    first, lines = of * width, np.arange(0, apart.size, width)
    if len(of) <= _FEW:
        columns = apart.argsort(axis=1, kind="stable")[:, :slots]
        found: Places = flat.take(columns + first[:, None])
        far = np.isinf(apart.reshape(-1).take(columns + lines[:, None]))
        np.copyto(found, NO_POSITION, where=far)
        return found
    # Of many the least is found so many times: to sort all costs more.
    taken = np.empty((len(of), slots), dtype=windows.dtype)
    distances = apart.reshape(-1)
    for slot in range(slots):
        column = apart.argmin(axis=1)
        there = lines + column
        positions = flat.take(first + column)
        np.copyto(positions, NO_POSITION, where=np.isinf(distances.take(there)))
        taken[:, slot] = positions
        distances[there] = np.inf
    return taken


def nearest_of_one(log_limits: Float, own: Float) -> NDArray[np.intp]:
    """Return the positions of the nearest limits of [w], the nearest first: [w], as `choose`.

    own: [1] the limit that is asked for.
    """
    if isnan(own.item()):
        return np.argsort(~np.isnan(log_limits), kind="stable")
    apart = log_limits - own  # NaN where there is no limit: that comes last
    np.abs(apart, out=apart)
    return apart.argsort(kind="stable")
