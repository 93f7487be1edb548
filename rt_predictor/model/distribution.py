"""The distribution of a job's runtime, and every number of an answer as a view of it.

A distribution is a step function F over ascending runtimes, in float64; Q(u) is the least point
with F >= u. Point, interval, chance of a timeout and recommended limit are all read from this F, so
they cannot contradict each other:

- lower <= Q(1/2) <= upper, and Q never falls;
- Q(1/2) >= limit exactly where the chance of a timeout is above 1/2;
- Q(c) < limit exactly where that chance is at most 1 - c, for every c from 1/2 on. (Below, 1 - c
  itself is rounded.)

These hold to the last bit because levels are multiples of `level_maps.LEVEL_STEP`. Rows do not
depend on each other: a job has the same distribution alone and in a batch, bit for bit.

Runtimes are float32, as the graph gives them, and at least `LEAST_RUNTIME_S`. A limit is known in
float64: the point that equals it in float32 stands for it, and reads as the limit itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import floor, inf, nan
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rt_predictor.model.level_maps import LevelMaps, round_levels

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Rows = slice | NDArray[np.intp]

LEAST_RUNTIME_S: Final = 1.0
"""No view is below this."""

_BELOW_ONE = float(np.nextafter(1.0, 0.0))
_LEAST_POINT_S = np.array(LEAST_RUNTIME_S, dtype=np.float32)
_INFINITY = np.float32(np.inf)
_LEAST_LIMIT_S = np.array(LEAST_RUNTIME_S)
_FIRST_MAP = np.array(0)

_PAIR, _HALF = np.dtype("<f8"), np.dtype("<f4")
"""A point behind its weight, and either of them"""

NOT_FINITE: Final = "runtimes and weights must be finite, and some weight above zero"

_CHUNK_ROWS = 128
"""Rows that are sorted and summed together: what they need fits the processor's cache."""


@dataclass(frozen=True)
class Distribution:
    """Distributions of the runtimes of n jobs, over S points each."""

    points_s: Float32
    """[n, S] runtimes in s, ascending"""
    cumulative: Float64
    """[n, S] F at each point: ascending multiples of `LEVEL_STEP`, the last one 1; the share of
    equal points stands at the last of them"""
    limit_s: Float64
    """[n] time limits in s, at least `LEAST_RUNTIME_S`; NaN for none"""
    limits_enforced: bool = False
    """Whether no job runs past its limit: what lies above it then reads as the limit"""
    elapsed_s: Float64 | None = None
    """[n] how long each job has run already, NaN for not started; all mass lies above it"""

    @classmethod
    def of(
        cls,
        support_s: Float32,
        weights: Float32,
        limit_s: Float64,
        *,
        limits_enforced: bool = False,
    ) -> "Distribution":
        """Return the distributions with these weights on these runtimes.

        Args:
            support_s: [n, S] runtimes in s, in any order, equal ones included.
            weights: [n, S] of each, none below zero; they are divided by their sum.
            limit_s: [n] time limits in s, NaN for none.
            limits_enforced: whether no job runs past its limit.

        Raises ValueError where runtimes or weights are not finite, or all weights of a job are 0.
        """
        limit_s = np.maximum(limit_s, _LEAST_LIMIT_S)
        points_s = np.empty(support_s.shape, dtype=np.float32)
        cumulative = np.empty(support_s.shape)
        for start in range(0, len(points_s), _CHUNK_ROWS):
            rows = slice(start, start + _CHUNK_ROWS)
            points_s[rows], sums = sorted_and_summed(support_s[rows], weights[rows])
            if not (_are_positive(points_s[rows, -1]) and _are_positive(sums[:, -1])):
                raise ValueError(NOT_FINITE)
            as_levels(sums)
            cumulative[rows] = sums
        return cls(points_s, cumulative, limit_s, limits_enforced)

    def recalibrated(self, maps: LevelMaps, which: NDArray[np.intp]) -> "Distribution":
        """Return the distributions whose levels are the images of these.

        Args:
            maps: of levels.
            which: [n] map of each job; -1 leaves a job's as it is.
        """
        if not len(maps):  # nobody's is changed: there is no map to point at
            return self
        some = np.maximum(which, _FIRST_MAP)
        cumulative = np.empty_like(self.cumulative)
        for start in range(0, len(cumulative), _CHUNK_ROWS):
            rows = slice(start, start + _CHUNK_ROWS)
            cumulative[rows] = maps.images(self.cumulative[rows], some[rows])
        left = np.flatnonzero(which < _FIRST_MAP)
        cumulative[left] = self.cumulative[left]
        return Distribution(
            self.points_s, cumulative, self.limit_s, self.limits_enforced, self.elapsed_s
        )

    def __len__(self) -> int:
        return len(self.points_s)

    def __getitem__(self, rows: Rows) -> "Distribution":
        """Return the distributions of some of the jobs."""
        return replace(
            self,
            points_s=self.points_s[rows],
            cumulative=self.cumulative[rows],
            limit_s=self.limit_s[rows],
            elapsed_s=None if self.elapsed_s is None else self.elapsed_s[rows],
        )

    def quantiles_s(self, levels: Sequence[float]) -> Float64:
        """[n, k] Q(level) for each of k levels, in s: the least point with F >= level.

        Raises ValueError for a level that is not between 0 and 1.
        """
        for level in levels:
            if not 0 < level < 1:
                raise ValueError(f"a level lies between 0 and 1, {level:g} does not")
        points_s = np.empty((len(self), len(levels)), dtype=np.float32)
        rows = np.arange(len(self))
        for column, level in enumerate(levels):
            indices = (self.cumulative >= level).argmax(axis=1)
            points_s[:, column] = self.points_s[rows, indices]
        return self._read(points_s)

    def quantile_s(self, level: float) -> Float64:
        """[n] the same for one level."""
        return self.quantiles_s((level,))[:, 0]

    def median_s(self) -> Float64:
        """[n] Q(1/2) in s: the predicted runtime."""
        return self.quantile_s(0.5)

    def interval_s(self, level: float) -> tuple[Float64, Float64]:
        """Both ends of the central interval that holds with probability `level`: [n] s each."""
        ends = self.quantiles_s(interval_levels(level))
        return ends[:, 0], ends[:, 1]

    def timeout_probability(self) -> Float64:
        """[n] P(runtime >= limit), the mass at and above the limit; NaN without a limit."""
        probability = 1 - self._below(self.limit_s)
        probability[np.isnan(self.limit_s)] = np.nan
        return probability

    def remaining_s(self) -> Float64:
        """[n] Q(1/2) less what has elapsed, in s and above zero; all of it for jobs not started."""
        total_s = self.median_s()
        return total_s if self.elapsed_s is None else total_s - np.nan_to_num(self.elapsed_s)

    def pit(self, runtime_s: Float64, uniform: Float64) -> Float64:
        """[n] probability integral transforms of outcomes, randomised at atoms.

        Uniform on [0, 1] where the distributions hold. An outcome at an atom has a value between F
        just below it and F at it.

        Args:
            runtime_s: [n] outcomes.
            uniform: [n] in [0, 1], independent of the outcomes.
        """
        below, upto = self.levels_around(runtime_s)
        return below + uniform * (upto - below)

    def levels_around(self, runtime_s: Float64) -> tuple[Float64, Float64]:
        """F just below outcomes [n], and F at them: [n] each."""
        outcome_s = self._as_point(runtime_s)
        below, upto = self._below(outcome_s), self._below(np.nextafter(outcome_s, _INFINITY))
        if self.limits_enforced:  # what lies above the limit counts as at it
            upto[outcome_s >= self._ceiling_s().astype(np.float32)] = 1
        return below, upto

    def crps_s(self, runtime_s: Float64) -> Float64:
        """[n] continuous ranked probability scores of outcomes [n], in s (Matheson, Winkler 1976).

        The integral of (F(x) - [x >= outcome])² over all x, without approximation. Lower is better.
        """
        return _crps(self._exact_s(), self.cumulative, self._as_point(runtime_s).astype(np.float64))

    def crps_sqrt_s(self, runtime_s: Float64) -> Float64:
        """[n] the same of the square roots of runtimes, which weighs short jobs more; √s."""
        outcome_s = self._as_point(runtime_s).astype(np.float64)
        return _crps(np.sqrt(self._exact_s()), self.cumulative, np.sqrt(outcome_s))

    def _below(self, value_s: Float32 | Float64) -> Float64:
        """[n] F just below values [n]: the mass of points that are less, after rounding to theirs.

        0 where the value is NaN.
        """
        value = value_s.astype(np.float32)
        reached = self.points_s < value[:, np.newaxis]
        # Points ascend: those below the value come first, and the first that is not ends them.
        indices = np.where(reached[:, -1], reached.shape[1], reached.argmin(axis=1))
        found: Float64 = self.cumulative[np.arange(len(self)), indices - 1]
        found[indices == 0] = 0
        return found

    def _as_point(self, runtime_s: Float64) -> Float32:
        """[n] outcomes as points: rounded, not below the least nor above an enforced limit."""
        outcome_s = np.maximum(runtime_s, LEAST_RUNTIME_S)
        if self.limits_enforced:
            outcome_s = np.fmin(outcome_s, self._ceiling_s())
        return outcome_s.astype(np.float32)

    def _read(self, points_s: Float32) -> Float64:
        """Points [n, k] as runtimes: that of the limit is the limit, and enforced ones cap all."""
        limit_s = self.limit_s[:, np.newaxis]
        runtime_s = points_s.astype(np.float64)
        np.copyto(runtime_s, limit_s, where=points_s == limit_s.astype(np.float32))
        if self.limits_enforced:
            np.fmin(runtime_s, self._ceiling_s()[:, np.newaxis], out=runtime_s)
        return runtime_s

    def _exact_s(self) -> Float64:
        """[n, S] all points, none above an enforced limit."""
        if not self.limits_enforced:
            return self.points_s.astype(np.float64)
        ceiling_s = self._ceiling_s().astype(np.float32)[:, np.newaxis]
        return np.fmin(self.points_s, ceiling_s).astype(np.float64)

    def _ceiling_s(self) -> Float64:
        """[n] limits that nothing reads above; NaN for none, or where a job has run for longer."""
        if self.elapsed_s is None:
            return self.limit_s
        return np.where(self.elapsed_s >= self.limit_s, np.nan, self.limit_s)


def interval_levels(level: float) -> tuple[float, float]:
    """Return the levels of both ends of the central interval that holds with probability `level`.

    Raises ValueError for a level that is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise ValueError(f"a level lies between 0 and 1, {level:g} does not")
    return (1 - level) / 2, min((1 + level) / 2, _BELOW_ONE)


def recommended_limit_s(
    reached_s: Float64, granularity_s: float, longest_s: Float64 | float = np.inf
) -> Float64:
    """Return the least multiples of the granularity strictly above runtimes [n], in s.

    Args:
        reached_s: [n] Q(confidence): what jobs do not exceed with the wanted probability.
        granularity_s: what limits are multiples of.
        longest_s: longest limit that each job's partition allows; infinite for any.

    NaN where the longest limit does not suffice. Raises ValueError for a granularity that is not
    above zero.
    """
    if not granularity_s > 0:
        raise ValueError(f"granularity is {granularity_s:g} s: give one above zero")
    steps = np.floor(reached_s / granularity_s)
    for _ in range(2):  # quotient, and then product, may have been rounded to a whole step
        steps += steps * granularity_s <= reached_s
    limit_s: Float64 = steps * granularity_s
    if isinstance(longest_s, float) and longest_s == inf:
        return limit_s
    return np.where(limit_s <= longest_s, limit_s, np.nan)


def recommended_limit_of_one_s(reached_s: float, granularity_s: float, longest_s: float) -> float:
    """Return the same for one job, with a granularity above zero."""
    steps = float(floor(reached_s / granularity_s))
    for _ in range(2):
        steps += steps * granularity_s <= reached_s
    limit_s = steps * granularity_s
    return limit_s if limit_s <= longest_s else nan


def limits_too_short(reached_s: Float64, limit_s: Float64) -> NDArray[np.bool_]:
    """Return of which jobs the own limits are not enough: to those no limit is recommended.

    Mass at a limit says that such jobs run until they are stopped, not how long they would run with
    a longer one: the next multiple of the granularity would be reached as often.

    Args:
        reached_s: Q(confidence) of jobs.
        limit_s: their limits, NaN for none, which is always enough.
    """
    return reached_s >= limit_s


def sorted_and_summed(support_s: Float32, weights: Float32) -> tuple[Float32, Float64]:
    """Return ascending points and the running sums of their weights: [..., S] each.

    Positive floats have the order of their bits. So point and weight are sorted together, as one
    64-bit number: without a permutation, and with one result whatever the order was before. Read as
    a float64, which is positive again and never NaN, NumPy sorts it quickest.

    Args:
        support_s: [..., S] runtimes in s.
        weights: [..., S] of each.
    """
    pairs = np.empty(support_s.shape, dtype=_PAIR)
    halves = pairs.view(_HALF)
    np.maximum(support_s, _LEAST_POINT_S, out=halves[..., 1::2])
    halves[..., 0::2] = weights
    pairs.sort(axis=-1)
    sums = halves[..., 0::2].astype(np.float64)
    np.add.accumulate(sums, axis=-1, out=sums)
    return halves[..., 1::2].copy(), sums


def as_levels(sums: Float64) -> None:
    """Divide running sums [..., S] by the last of them and round them, in place."""
    sums /= sums[..., -1:].copy()
    round_levels(sums)


def _are_positive(values: Float32 | Float64) -> bool:
    """Return whether all of n values are finite and above zero."""
    return bool(values.min(initial=1) > 0 and values.max(initial=1) < inf)


def _crps(points: Float64, cumulative: Float64, outcome: Float64) -> Float64:
    """[n] of step functions [n, S] for outcomes [n], in the unit of the points."""
    outcome = outcome[:, np.newaxis]
    split = np.clip(outcome, points[:, :-1], points[:, 1:])
    level = cumulative[:, :-1]
    inside = (split - points[:, :-1]) * level**2 + (points[:, 1:] - split) * (1 - level) ** 2
    before, after = points[:, :1] - outcome, outcome - points[:, -1:]
    outside = np.maximum(np.maximum(before, after), 0)
    score: Float64 = inside.sum(axis=1) + outside[:, 0]
    return score
