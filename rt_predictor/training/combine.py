"""Weights of the members and the cap, chosen on jobs that neither trained nor stopped them."""

from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

WEIGHT_STEPS = 20
"""Weights are multiples of 1 / 20: finer ones change the error by less than its own noise."""

MIN_RUNTIME_S = 1.0
"""No prediction is below this."""

LIMIT_CAPS: tuple[float, ...] = (1.0, 1.05, 1.25, 2.0)
"""Candidates for the greatest answer, as a multiple of the time limit."""


@dataclass(frozen=True)
class Combination:
    """How the members' raw answers become one.

    Each member is held between `MIN_RUNTIME_S` and the cap; the answer is their weighted mean.
    """

    weights: tuple[float, ...]
    """[m], sums to 1."""
    limit_cap: float | None
    """The cap as a multiple of the time limit; None where limits are not enforced."""
    max_runtime_s: float
    """The cap of jobs without a limit, and of all where `limit_cap` is None."""

    def cap(self, time_req_s: Array) -> Array:
        """The greatest answer for each job: [n] limits, NaN for none -> [n]."""
        if self.limit_cap is None:
            return np.full(len(time_req_s), self.max_runtime_s)
        caps = np.maximum(time_req_s * self.limit_cap, MIN_RUNTIME_S)
        return np.where(np.isnan(time_req_s), self.max_runtime_s, caps)

    def apply(self, raw: Array, time_req_s: Array) -> Array:
        """The answers: [n, m] raw answers and [n] limits -> [n] seconds."""
        held = np.clip(raw, MIN_RUNTIME_S, self.cap(time_req_s)[:, None])
        return np.asarray(held @ np.array(self.weights))


def fit_combination(
    raw: Array, time_req_s: Array, runtime_s: Array, max_runtime_s: float
) -> Combination:
    """Chooses cap and weights with the least mean absolute error.

    Args:
        raw: [n, m] raw answers of the members, s.
        time_req_s: [n] limits, NaN for none.
        runtime_s: [n] what the jobs took.
        max_runtime_s: the longest runtime of the training span.
    """
    members = raw.shape[1]
    caps: tuple[float | None, ...] = (*LIMIT_CAPS, None)
    equal = (1 / members,) * members
    errors = [
        np.mean(np.abs(Combination(equal, cap, max_runtime_s).apply(raw, time_req_s) - runtime_s))
        for cap in caps
    ]
    cap = caps[int(np.argmin(errors))]
    held = np.clip(
        raw, MIN_RUNTIME_S, Combination(equal, cap, max_runtime_s).cap(time_req_s)[:, None]
    )
    best = min(
        _simplex(members), key=lambda w: float(np.abs(held @ np.array(w) - runtime_s).mean())
    )
    return Combination(best, cap, max_runtime_s)


def _simplex(members: int) -> list[tuple[float, ...]]:
    """All weights that are multiples of 1 / WEIGHT_STEPS and sum to 1."""
    bars = combinations(range(WEIGHT_STEPS + members - 1), members - 1)
    edges = [(-1, *bar, WEIGHT_STEPS + members - 1) for bar in bars]
    return [tuple((b - a - 1) / WEIGHT_STEPS for a, b in pairwise(edge)) for edge in edges]
