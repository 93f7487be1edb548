"""From raw quantiles and their offsets to the ends of intervals, and to the limit to ask for.

Quantiles live on the cube-root scale: `(runtime / scale) ** (1 / 3)`, where the scale is the job's
limit, or a typical runtime where it has none. Runtimes span six orders of magnitude; on seconds the
short jobs are invisible to the loss, on logarithms a small error in the upper quantile of a long
job costs hours. The cube is two multiplications, exact in any order of evaluation that a runtime
may choose. Offsets widen (or, below zero, narrow) each quantile by what outcomes have taught:
conformalised quantile regression (Romano, Patterson, Candes 2019), one tail at a time.
"""

from bisect import bisect_left
from functools import cache
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from rt_predictor.errors import InvalidJobError
from rt_predictor.settings import CONFIDENCE_LEVELS

Array = NDArray[np.float64]
_F = TypeVar("_F", np.float32, np.float64)

LEVELS: Final = CONFIDENCE_LEVELS
"""Levels of the intervals, ascending."""

QUANTILES: Final = (0.025, 0.05, 0.25, 0.5, 0.75, 0.95, 0.975)
"""Probabilities of the raw quantiles: the median, and both ends of each level."""

MEDIAN: Final = QUANTILES.index(0.5)

LOWER: Final = tuple(MEDIAN - 1 - place for place in range(len(LEVELS)))
UPPER: Final = tuple(MEDIAN + 1 + place for place in range(len(LEVELS)))
"""Places in `QUANTILES` of the ends of each level."""

TAILS: Final = 2 * len(LEVELS)
"""Numbers of an offset row: the lower ends of `LEVELS`, then the upper ends."""

MISS_SHARES: Final = tuple((1 - level) / 2 for level in LEVELS) * 2
"""Share of jobs that may lie outside of each tail."""

GROUPS: Final = 3
"""Groups of jobs, each with offsets of its own, by how many jobs of the user have ended."""

_SOME_RUNS, _MANY_RUNS = 1, 5

_OUT_OF_REACH = 1.0
"""Score of ends that no offset moves across a job: all of its limit, on the cube-root scale."""

_ROUNDED_DOWN = 1 - 4 * float(np.finfo(np.float64).eps)

MIN_RUNTIME_S: Final = 1.0


def check_level(level: float) -> float:
    """The level, which is one of `LEVELS`. Raises InvalidJobError where it is not."""
    if level not in LEVELS:
        known = ", ".join(map(str, LEVELS))
        raise InvalidJobError("confidence_level", level, f"must be one of {known}")
    return level


def history_group(user_runs: NDArray[np.floating]) -> NDArray[np.int64]:
    """Group of n jobs: 0 without history of the user, 1 with one to four runs, 2 with more.

    Args:
        user_runs: [n] finished jobs of the user that are known; NaN counts as none.
    """
    group = (user_runs >= _SOME_RUNS).astype(np.int64)
    return np.asarray(group + (user_runs >= _MANY_RUNS))


def quantile_scale_s(time_req_s: NDArray[_F], typical_runtime_s: float) -> NDArray[_F]:
    """[n] limits, NaN for none -> [n] what runtimes are measured in, at least a second."""
    scale = np.where(np.isnan(time_req_s), typical_runtime_s, time_req_s)
    return np.asarray(np.maximum(scale, MIN_RUNTIME_S))


def limit_ceiling_s(time_req_s: NDArray[_F], overrun: float) -> NDArray[_F]:
    """[n] what no job runs for longer than: its limit, NaN for none, times a factor."""
    return np.asarray(np.where(np.isnan(time_req_s), np.inf, time_req_s * overrun))


def to_cube_root(runtime_s: Array, scale_s: Array) -> Array:
    """[n] runtimes in s -> [n] on the scale of the quantiles."""
    return np.asarray(np.cbrt(runtime_s / scale_s))


def from_cube_root(relative: NDArray[_F], scale_s: NDArray[_F]) -> NDArray[_F]:
    """The inverse of `to_cube_root`; what lies below zero is a runtime of nothing."""
    positive = np.maximum(relative, 0.0)
    return np.asarray(positive * positive * positive * scale_s)


def tail_scores(quantiles: Array, relative: Array) -> Array:
    """How far outcomes lie outside of each raw quantile; below zero inside.

    Args:
        quantiles: [n, len(QUANTILES)] raw, on the cube-root scale.
        relative: [n] outcomes, likewise.

    Returns [n, TAILS]: an offset of at least the score would have held the job.
    """
    outcome = relative[:, np.newaxis]
    return np.hstack([quantiles[:, LOWER] - outcome, outcome - quantiles[:, UPPER]])


def told_scores(scores: Array, runtime_s: Array, point_s: Array, ceiling_s: Array) -> Array:
    """`tail_scores` of ends as they are told: they hold the prediction, and end at the ceiling.

    A job that ran for longer than predicted lies above every lower end, whatever the offset, and
    the same the other way round; one that ran for longer than the ceiling and the prediction lies
    above every upper end. Scores then are `_OUT_OF_REACH`, and no infinity: an offset that goes on
    where nothing changes any more would be as long in coming back.

    Args:
        scores: [n, TAILS].
        runtime_s: [n] what the jobs took.
        point_s: [n] what was predicted.
        ceiling_s: [n] as for `interval_s`.
    """
    lower, upper = np.hsplit(scores, 2)
    shorter, longer, beyond = (
        cases[:, np.newaxis]
        for cases in (
            runtime_s < point_s,
            runtime_s > point_s,
            runtime_s > np.maximum(point_s, ceiling_s),
        )
    )
    lower = np.where(shorter, lower, np.minimum(lower, -_OUT_OF_REACH))
    upper = np.where(longer, upper, np.minimum(upper, -_OUT_OF_REACH))
    upper = np.where(beyond, np.maximum(upper, _OUT_OF_REACH), upper)
    return np.hstack([lower, upper])


def interval_s(
    quantiles: NDArray[_F],
    offsets: NDArray[_F],
    scale_s: NDArray[_F],
    point_s: NDArray[_F],
    ceiling_s: NDArray[_F],
) -> tuple[NDArray[_F], NDArray[_F]]:
    """Both ends of the interval of every level, in s: two arrays [n, len(LEVELS)].

    A wider level encloses the narrower ones, each encloses the point, and no end is below a second.

    Args:
        quantiles: [n, len(QUANTILES)] raw, on the cube-root scale.
        offsets: [n, TAILS] as `TailOffsets.as_of` gives them.
        scale_s: [n] as `quantile_scale_s` gives it.
        point_s: [n] predictions, at least a second.
        ceiling_s: [n] what no upper end may exceed, unless the point does; infinite for none.
    """
    levels = len(LEVELS)
    scale, point, ceiling = (column[:, np.newaxis] for column in (scale_s, point_s, ceiling_s))
    lower = from_cube_root(quantiles[:, LOWER] - offsets[:, :levels], scale)
    upper = from_cube_root(quantiles[:, UPPER] + offsets[:, levels:], scale)
    lower = np.maximum(np.minimum(lower, point), MIN_RUNTIME_S)
    upper = np.maximum(np.minimum(upper, ceiling), point)
    return np.minimum.accumulate(lower, axis=1), np.maximum.accumulate(upper, axis=1)


def interval_scores_s(
    lower_s: Array, upper_s: Array, runtime_s: Array, level: float | Array
) -> Array:
    """Interval scores of Winkler (1972): width, plus 2 / alpha times the miss; s. Broadcasts."""
    miss = np.maximum(lower_s - runtime_s, 0) + np.maximum(runtime_s - upper_s, 0)
    return np.asarray(upper_s - lower_s + 2 / (1 - level) * miss)


def upper_quantile_s(upper_s: Array, point_s: Array, confidence: float) -> Array:
    """[n] runtimes that are not exceeded with the asked confidence, in s.

    Interpolates between the upper ends, which hold with (1 + level) / 2 each, on the cube-root
    scale; the point stands for the median.

    Args:
        upper_s: [n, len(LEVELS)] upper ends, as `interval_s` gives them.
        point_s: [n] predictions.
        confidence: 0.5 to the highest that the levels allow.

    Raises ValueError for a confidence that the levels say nothing of.
    """
    above, share = _between(confidence)
    lower_s = upper_s[:, above - 1] if above else point_s
    low, high = np.cbrt([lower_s, upper_s[:, above]])
    root = low * (1 - share) + high * share
    return np.asarray(root * root * root)


@cache
def _between(confidence: float) -> tuple[int, float]:
    """Place in `LEVELS` of the end above, and how far it is from what lies below to that end."""
    known = [0.5, *(1 - share for share in MISS_SHARES[len(LEVELS) :])]
    if not known[0] <= confidence <= known[-1]:
        raise ValueError(
            f"confidence is {confidence:g}, but the intervals know {known[0]:g} to {known[-1]:g}: "
            "ask for one of these"
        )
    above = max(bisect_left(known, confidence), 1)
    share = (confidence - known[above - 1]) / (known[above] - known[above - 1])
    return above - 1, share


def recommended_time_req_s(quantile_s: Array, granularity_s: float) -> Array:
    """[n] the smallest multiples of the granularity that hold these runtimes, in s.

    Raises ValueError for a granularity that is not above zero.
    """
    if not granularity_s > 0:
        raise ValueError(f"granularity is {granularity_s:g} s: give one above zero")
    # A runtime that was rounded up in its last bits must not cost a whole step.
    steps = np.ceil(quantile_s / granularity_s * _ROUNDED_DOWN)
    return np.asarray(np.maximum(steps, 1.0) * granularity_s)
