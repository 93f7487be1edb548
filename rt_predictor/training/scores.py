"""Scores of distributions and intervals against outcomes.

Runtimes and ends are in seconds and above zero, jobs in the order of submission.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rt_predictor.model.distribution import Distribution, interval_levels
from rt_predictor.online.groups import HISTORY_LABELS, history_groups

Array = NDArray[np.float64]

BLOCKS = 10
"""Consecutive parts of equally many jobs."""


@dataclass(frozen=True)
class IntervalScores:
    """Figures of the intervals of one level."""

    level: float
    """Share of jobs that the intervals are meant to hold."""
    coverage: float
    """Share that they do hold."""
    block_coverage: tuple[float, ...]
    """The same in `BLOCKS` consecutive parts."""
    history_coverage: Mapping[str, float]
    """The same by how many finished jobs of the user were known; NaN where there are none."""
    mean_width_s: float
    """Mean of upper - lower."""
    median_width_s: float
    winkler_s: float
    """Mean interval score; lower is better."""
    constant_width_winkler_s: float
    """Mean interval score of intervals of one width in log runtime around the points."""

    @property
    def winkler_over_constant_width(self) -> float:
        """Ratio of the scores; below 1 where intervals that differ by job are better."""
        return self.winkler_s / self.constant_width_winkler_s


def interval_scores_s(lower_s: Array, upper_s: Array, runtime_s: Array, level: float) -> Array:
    """Return the interval scores of Winkler (1972): width, plus 2 / (1 - level) times the miss; s.

    All of [n], or of shapes that go together.
    """
    miss_s = np.maximum(lower_s - runtime_s, 0) + np.maximum(runtime_s - upper_s, 0)
    return np.asarray(upper_s - lower_s + 2 / (1 - level) * miss_s)


def interval_scores(
    ends_s: tuple[Array, Array],
    constant_ends_s: tuple[Array, Array],
    runtime_s: Array,
    user_runs: Array,
    level: float,
) -> IntervalScores:
    """Return the figures of intervals of one level for at least one job.

    Args:
        ends_s: lower and upper ends [n] of what was answered.
        constant_ends_s: as `constant_width_ends_s` gives them.
        runtime_s: [n] what the jobs took.
        user_runs: [n] finished jobs of the user that were known.
        level: share of jobs that the intervals are meant to hold.
    """
    lower_s, upper_s = ends_s
    held = (lower_s <= runtime_s) & (runtime_s <= upper_s)
    groups = history_groups(user_runs)
    return IntervalScores(
        level=level,
        coverage=share(held),
        block_coverage=tuple(share(block) for block in np.array_split(held, BLOCKS)),
        history_coverage={
            label: share(held[groups == group]) for group, label in enumerate(HISTORY_LABELS)
        },
        mean_width_s=float(np.mean(upper_s - lower_s)),
        median_width_s=float(np.median(upper_s - lower_s)),
        winkler_s=float(interval_scores_s(lower_s, upper_s, runtime_s, level).mean()),
        constant_width_winkler_s=float(
            interval_scores_s(*constant_ends_s, runtime_s, level).mean()
        ),
    )


def constant_width_ends_s(
    point_s: Array, factor: float, longest_s: Array | float = np.inf
) -> tuple[Array, Array]:
    """Return both ends [n] of the plainest intervals: points divided and multiplied by a factor.

    Args:
        point_s: [n] point predictions.
        factor: as `calibrate.constant_width` learns it from earlier jobs.
        longest_s: [n] what jobs hardly ever exceed. Intervals of distributions end there, so those
            that they are compared with must too.
    """
    return point_s / factor, np.maximum(np.fmin(point_s * factor, longest_s), point_s)


def crps_of_levels_s(
    point_s: Array, lower_s: Array, upper_s: Array, levels: tuple[float, ...], runtime_s: Array
) -> Array:
    """Return the [n] scores of answers that name a point and intervals, as a step function; s.

    Each end and the point get the mass that is nearer to their level than to any other.

    Args:
        point_s: [n] points, taken for medians.
        lower_s: [n, k] lower ends of each level.
        upper_s: [n, k] upper ends.
        levels: [k] ascending.
        runtime_s: [n] outcomes.
    """
    below, above = zip(*map(interval_levels, levels), strict=True)
    at = np.array([*below[::-1], 0.5, *above])
    between = (at[1:] + at[:-1]) / 2
    masses = np.diff(np.concatenate([[0.0], between, [1.0]])).astype(np.float32)
    support_s = np.column_stack([lower_s[:, ::-1], point_s, upper_s]).astype(np.float32)
    no_limit = np.full(len(point_s), np.nan)
    weights = np.broadcast_to(masses, support_s.shape)
    return Distribution.of(support_s, weights, no_limit).crps_s(runtime_s)


def falling_share(predicted_s: Array) -> float:
    """Return the share of steps to a longer limit at which the prediction falls.

    Args:
        predicted_s: [n, k] predictions for the same n jobs with k ascending limits.
    """
    return float((np.diff(predicted_s, axis=1) < 0).mean())


def share(holds: NDArray[np.bool_]) -> float:
    """Return the share of true values; NaN where there are none."""
    return float(holds.mean()) if len(holds) else float("nan")
