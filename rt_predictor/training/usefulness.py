"""Usefulness of recommended limits: the core-hours freed by following them, and the jobs cut."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Ran:
    """n jobs that ran."""

    limit_s: Array
    """[n] what was asked for; NaN for none"""
    runtime_s: Array
    """[n] what they took"""
    cores: Array
    """[n] that they took"""

    def __getitem__(self, rows: NDArray[np.bool_]) -> "Ran":
        """Return some of the jobs."""
        return Ran(self.limit_s[rows], self.runtime_s[rows], self.cores[rows])


@dataclass(frozen=True)
class Usefulness:
    """Figures of jobs that would have asked for the recommended limit where it is below theirs."""

    jobs: int
    """Those that have a limit."""
    freed: float
    """Core-hours that would not have been reserved, as a share of those that were."""
    unused: float
    """Core-hours that were reserved and not used, as a share of those reserved: the most there is
    to free."""
    cut: float
    """Share of jobs that ran for longer than the recommended limit, and had asked for more."""
    cut_core_hours: float
    """Core-hours that those had used until they would have been cut, as a share of all used."""


@dataclass(frozen=True)
class EqualCuts:
    """A level whose recommendations cut as many jobs as another's did, and what it frees."""

    level: float
    ours: Usefulness
    theirs: Usefulness

    @property
    def freed_ratio(self) -> float:
        """Above 1 where ours free more."""
        return self.ours.freed / self.theirs.freed if self.theirs.freed else float("inf")


def usefulness(recommended_s: Array, jobs: Ran) -> Usefulness | None:
    """Return the figures of n jobs; None where none has a limit.

    Args:
        recommended_s: [n] limits to ask for; NaN where there is none to recommend: such jobs keep
            theirs, as do those with a recommendation above it.
        jobs: the n jobs.
    """
    limited = jobs.limit_s > 0
    if not limited.any():
        return None
    ran = jobs[limited]
    asked_s, took_s, cores = ran.limit_s, ran.runtime_s, ran.cores
    followed_s = np.fmin(recommended_s[limited], asked_s)
    cut = (took_s > followed_s) & (followed_s < asked_s)
    used_s = np.minimum(took_s, asked_s)
    reserved = float(cores @ asked_s)
    return Usefulness(
        jobs=len(asked_s),
        freed=float(cores @ (asked_s - followed_s)) / reserved,
        unused=float(cores @ (asked_s - used_s)) / reserved,
        cut=float(cut.mean()),
        cut_core_hours=float(cores[cut] @ followed_s[cut]) / float(cores @ used_s),
    )


def at_equal_cuts(
    levels: Sequence[float],
    recommended_s: Array,
    their_recommended_s: Array,
    jobs: Ran,
    earlier: NDArray[np.bool_],
) -> EqualCuts | None:
    """Return what the recommendations of two models free where both cut the same share of jobs.

    The level is chosen on earlier jobs: that whose cuts are nearest to theirs. Figures are those
    of the later jobs, with the shares of cuts of both.

    Args:
        levels: [k] to choose from.
        recommended_s: [n, k] limits that ours recommends at each.
        their_recommended_s: [n] limits that the other recommends.
        jobs: the n jobs.
        earlier: [n] jobs to choose by.

    None where no earlier or no later job has a limit.
    """
    then, now = jobs[earlier], jobs[~earlier]
    their_then = usefulness(their_recommended_s[earlier], then)
    their_now = usefulness(their_recommended_s[~earlier], now)
    if their_then is None or their_now is None:
        return None
    tried = [usefulness(column[earlier], then) for column in recommended_s.T]
    distances = [abs(ours.cut - their_then.cut) for ours in tried if ours is not None]
    best = int(np.argmin(distances))
    ours = usefulness(recommended_s[~earlier, best], now)
    return None if ours is None else EqualCuts(levels[best], ours, their_now)
