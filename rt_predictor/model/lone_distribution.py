"""The distribution of one job, read in numbers of Python: the same bits as those of `Distribution`.

For one job it is the number of NumPy's calls that takes time: only what runs over all points is
left to it.
"""

from bisect import bisect_left
from collections.abc import Sequence
from math import inf, isnan, nan
from typing import NamedTuple, cast

import numpy as np

from rt_predictor.model.distribution import (
    LEAST_RUNTIME_S,
    NOT_FINITE,
    Distribution,
    Float32,
    Float64,
    as_levels,
    sorted_and_summed,
)
from rt_predictor.model.level_maps import LevelMaps


class LoneDistribution(NamedTuple):
    """Distribution of the runtime of one job over S points; fields as in `Distribution`."""

    points_s: Float32
    """[S]"""
    cumulative: Float64
    """[S]"""
    limit_s: float
    limit_point_s: float
    """The point that stands for the limit"""
    limits_enforced: bool = False
    elapsed_s: float = nan

    @classmethod
    def of(
        cls, support_s: Float32, weights: Float32, limit_s: float, *, limits_enforced: bool = False
    ) -> "LoneDistribution":
        """Return the distribution with weights [S] on runtimes [S]: see `Distribution.of`.

        Raises ValueError where runtimes or weights are not finite, or all weights are 0.
        """
        limit_s = max(limit_s, LEAST_RUNTIME_S)
        points_s, sums = sorted_and_summed(support_s, weights)
        if not (0 < points_s.item(-1) < inf and 0 < sums.item(-1) < inf):
            raise ValueError(NOT_FINITE)
        as_levels(sums)
        return cls(points_s, sums, limit_s, float(np.float32(limit_s)), limits_enforced)

    def recalibrated(self, maps: LevelMaps, which: int) -> "LoneDistribution":
        """Return the distribution whose levels are the images of these under one of the maps."""
        return self._replace(cumulative=maps.images_of_one(self.cumulative, which))

    def many(self) -> Distribution:
        """Return the same as the distributions of one job."""
        return Distribution(
            self.points_s[np.newaxis],
            self.cumulative[np.newaxis],
            np.array([self.limit_s]),
            self.limits_enforced,
            None if isnan(self.elapsed_s) else np.array([self.elapsed_s]),
        )

    def quantiles_s(self, levels: Sequence[float]) -> list[float]:
        """Return Q(level) for each of k levels between 0 and 1, in s."""
        points_s, cumulative = _numbers(self.points_s), _numbers(self.cumulative)
        ceiling_s = self.limit_s if self.limits_enforced else nan
        if self.elapsed_s >= ceiling_s:
            ceiling_s = nan
        found = []
        for level in levels:
            point_s = points_s[bisect_left(cumulative, level)]
            runtime_s = self.limit_s if point_s == self.limit_point_s else point_s
            found.append(ceiling_s if runtime_s > ceiling_s else runtime_s)
        return found

    def timeout_probability(self) -> float:
        """Return P(runtime >= limit); NaN without a limit."""
        if isnan(self.limit_s):
            return nan
        index = bisect_left(_numbers(self.points_s), self.limit_point_s)
        return 1 - self.cumulative.item(index - 1) if index else 1.0


def _numbers(values: Float32 | Float64) -> "memoryview[float]":
    """Return an array in a form that gives numbers of Python quickest, one by one."""
    return cast("memoryview[float]", values.data)
