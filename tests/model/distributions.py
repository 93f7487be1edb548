"""Random jobs' supports, weights, limits and maps: of every kind that a graph may give."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rt_predictor.model.distribution import Distribution
from rt_predictor.model.level_maps import KNOTS, LevelMaps

MAPS = 7


@dataclass(frozen=True)
class Asked:
    """What distributions of n jobs are made from."""

    support_s: NDArray[np.float32]
    weights: NDArray[np.float32]
    limit_s: NDArray[np.float64]
    maps: LevelMaps
    which: NDArray[np.intp]
    elapsed_s: NDArray[np.float64]
    """[n] NaN for most"""

    def distribution(self, *, enforced: bool = False, recalibrated: bool = True) -> Distribution:
        found = Distribution.of(
            self.support_s, self.weights, self.limit_s, limits_enforced=enforced
        )
        return found.recalibrated(self.maps, self.which) if recalibrated else found

    def rows(self, rows: slice) -> "Asked":
        return Asked(
            self.support_s[rows],
            self.weights[rows],
            self.limit_s[rows],
            self.maps,
            self.which[rows],
            self.elapsed_s[rows],
        )


def random_jobs(seed: int, jobs: int, points: int = 40) -> Asked:
    """Jobs with ties, atoms at the limit, points past it, absent points and odd limits."""
    rng = np.random.default_rng(seed)
    limit_s = np.exp(rng.uniform(0, 15, jobs))
    round_limit = rng.random(jobs) < 0.7
    limit_s[round_limit] = np.ceil(limit_s[round_limit] / 60) * 60
    support_s = np.exp(rng.normal(np.log(limit_s)[:, None] - 1, 2, (jobs, points)))
    whole = rng.random((jobs, points)) < 0.5
    support_s[whole] = np.ceil(support_s[whole])
    at_limit = rng.random((jobs, points)) < 0.1
    support_s[at_limit] = np.broadcast_to(limit_s[:, None], at_limit.shape)[at_limit]
    repeated = rng.random((jobs, points)) < 0.2
    support_s[repeated] = np.broadcast_to(support_s[:, :1], repeated.shape)[repeated]
    weights = rng.random((jobs, points)) ** rng.choice([1, 8, 40], (jobs, 1))
    weights[rng.random((jobs, points)) < 0.2] = 0
    halves = rng.random(jobs) < 0.1  # shares that add up to 1/2 and other round levels exactly
    weights[halves] = np.rint(weights[halves] * 4)
    weights[weights.sum(axis=1) == 0, 0] = 1
    weights /= weights.sum(axis=1, keepdims=True)
    elapsed_s = np.where(rng.random(jobs) < 0.3, limit_s * np.exp(rng.normal(-1, 2, jobs)), np.nan)
    elapsed_s = np.where(rng.random(jobs) < 0.05, limit_s, elapsed_s)
    limit_s[rng.random(jobs) < 0.1] = np.nan
    return Asked(
        support_s.astype(np.float32),
        weights.astype(np.float32),
        limit_s,
        random_maps(rng),
        rng.integers(0, MAPS, jobs),
        elapsed_s,
    )


def random_maps(rng: np.random.Generator) -> LevelMaps:
    """Monotone maps; the first changes nothing, the second jumps."""
    steps = rng.random((MAPS, len(KNOTS) - 1)) ** rng.choice([1, 10, 60], (MAPS, 1))
    values = np.column_stack([np.zeros(MAPS), np.cumsum(steps, axis=1) / steps.sum(1)[:, None]])
    values[:, -1] = 1
    values[0] = KNOTS
    values[1] = KNOTS > 0.4
    return LevelMaps(np.minimum(values, 1))
