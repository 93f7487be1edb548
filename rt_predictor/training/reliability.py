"""Reliability of the chance to reach the time limit."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

BINS = 10


@dataclass(frozen=True)
class ReliabilityBin:
    """Jobs that were given about the same probability."""

    jobs: int
    probability: float
    """Mean of their probabilities."""
    share: float
    """Share of them that reached their limit."""


@dataclass(frozen=True)
class TimeoutMetrics:
    """Figures of `timeout_probability`, of the jobs that have a limit."""

    jobs: int
    timeouts: int
    """Jobs that reached their limit."""
    base_rate: float
    """Share of the training jobs with a limit that did; NaN where none had one."""
    ece: float
    """Expected calibration error over bins of equally many jobs (Naeini et al. 2015)."""
    brier: float
    """Mean squared error of the probability (Brier 1950); lower is better."""
    brier_base_rate: float
    """The score of the base rate as the probability of every job; NaN without a base rate."""
    bins: tuple[ReliabilityBin, ...]
    """By probability; jobs with equal probabilities are in one bin."""


def timeout_metrics(
    probability: Array, base_rate: float, time_req_s: Array, runtime_s: Array
) -> TimeoutMetrics | None:
    """Return the figures of [n] probabilities; None where no job has a limit.

    Args:
        probability: [n] chance to reach the limit; that of jobs without one is not used.
        base_rate: share of the training jobs that reached theirs.
        time_req_s: [n] limits, NaN for none.
        runtime_s: [n] what the jobs took.
    """
    limited = ~np.isnan(time_req_s)
    if not limited.any():
        return None
    given = probability[limited]
    reached = (runtime_s >= time_req_s)[limited]
    bins = tuple(_bins(given, reached))
    return TimeoutMetrics(
        jobs=len(given),
        timeouts=int(reached.sum()),
        base_rate=base_rate,
        ece=sum(b.jobs * abs(b.probability - b.share) for b in bins) / len(given),
        brier=float(np.mean((given - reached) ** 2)),
        brier_base_rate=float(np.mean((base_rate - reached) ** 2)),
        bins=bins,
    )


def _bins(probability: Array, reached: NDArray[np.bool_]) -> list[ReliabilityBin]:
    """Return bins of equally many jobs, as far as equal probabilities allow."""
    below = np.sort(probability).searchsorted(probability)
    bins = below * BINS // len(probability)
    reliability = []
    for number in np.unique(bins):
        inside = bins == number
        reliability.append(
            ReliabilityBin(
                int(inside.sum()),
                float(probability[inside].mean()),
                float(reached[inside].mean()),
            )
        )
    return reliability
