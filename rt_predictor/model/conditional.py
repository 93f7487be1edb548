"""Distributions of jobs that are running: all given that a job has run for so long already.

What a distribution says beyond the elapsed time is divided by its mass there. That mass may be tiny
or none, and then the shape says nothing: a job that outlives what was expected of it is of a kind
the model does not know. So a small share of such jobs is mixed in, which grows with the mass that
has been outlived. Their tail is that of Pareto: of the jobs that have run for e, the share
`(e / x) ** index` runs for x. Below the limit the index is 1: as long again, in the median
(Lindy's law; Harchol-Balter and Downey 1997 for processes), but no longer than the limit. Past the
limit, little remains.
"""

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rt_predictor.model.distribution import Distribution, Float32, Float64
from rt_predictor.model.level_maps import round_levels
from rt_predictor.model.lone_distribution import LoneDistribution

UNKNOWN_SHARE: Final = 0.01
"""Share of jobs of no known kind among those that outlived all that was expected."""

INDEX_BELOW_LIMIT: Final = 1.0
INDEX_PAST_LIMIT: Final = 10.0

TAIL_POINTS: Final = 16
"""Points that are added to each distribution."""

_SURVIVORS = 1 - (np.arange(TAIL_POINTS) + 0.5) / TAIL_POINTS
_RATIOS_BELOW_LIMIT = _SURVIVORS ** (-1 / INDEX_BELOW_LIMIT)
_RATIOS_PAST_LIMIT = _SURVIVORS ** (-1 / INDEX_PAST_LIMIT)


def given_elapsed(distribution: Distribution, elapsed_s: Float64) -> Distribution:
    """Return the distributions of total runtimes of jobs that have run for some time.

    All mass lies above the elapsed time, so every view does. Jobs with NaN have not started:
    nothing changes for them.

    Args:
        distribution: of the jobs before they ran.
        elapsed_s: [n] how long each has run, in s; NaN for not started.
    """
    points_s, limit_s = distribution.points_s, distribution.limit_s
    running = ~np.isnan(elapsed_s)
    limit_point_s = limit_s.astype(np.float32)
    past_limit = elapsed_s >= np.minimum(limit_s, limit_point_s)
    floor_s = np.where(past_limit, np.maximum(elapsed_s, limit_point_s), elapsed_s)
    masses = np.diff(distribution.cumulative, axis=1, prepend=0.0)
    outlived = points_s <= floor_s[:, np.newaxis]
    lost = np.where(outlived, masses, 0.0).sum(axis=1, keepdims=True)
    masses[outlived] = 0.0
    tail_s = _tail_s(elapsed_s, limit_s, past_limit)
    tail_s[~running] = points_s[~running, -1:]
    tail = np.broadcast_to(lost * (UNKNOWN_SHARE / TAIL_POINTS), tail_s.shape)

    merged_s = np.concatenate([points_s, tail_s], axis=1)
    order = merged_s.argsort(axis=1, kind="stable")
    cumulative = np.take_along_axis(np.concatenate([masses, tail], axis=1), order, axis=1)
    np.add.accumulate(cumulative, axis=1, out=cumulative)
    cumulative /= cumulative[:, -1:].copy()
    round_levels(cumulative)
    return replace(
        distribution,
        points_s=np.take_along_axis(merged_s, order, axis=1),
        cumulative=cumulative,
        elapsed_s=elapsed_s,
    )


def one_given_elapsed(one: LoneDistribution, elapsed_s: float) -> LoneDistribution:
    """Return the same for one job that runs."""
    given = given_elapsed(one.many(), np.array([elapsed_s]))
    return one._replace(
        points_s=given.points_s[0], cumulative=given.cumulative[0], elapsed_s=elapsed_s
    )


def _tail_s(elapsed_s: Float64, limit_s: Float64, past_limit: NDArray[np.bool_]) -> Float32:
    """[n, TAIL_POINTS] runtimes of jobs of no known kind, ascending, above what has elapsed."""
    started_s = np.maximum(elapsed_s, 0.5)[:, np.newaxis]
    below_s = np.fmin(started_s * _RATIOS_BELOW_LIMIT, limit_s[:, np.newaxis])
    tail_s = np.where(past_limit[:, np.newaxis], started_s * _RATIOS_PAST_LIMIT, below_s)
    return np.fmax(tail_s, 1.0).astype(np.float32)
