"""Live figures: how good a model is on the jobs that end now, folded from the event log.

A job is judged by the distribution that was served for it at its submit, and weighed by
`outcome_weights`. Its weight halves with every `HALF_LIFE_JOBS` jobs that end after it, so that
memory is constant however long the log is. Sums decay after fixed numbers of jobs, and jobs are
added one by one, so that the sums are the same to the last bit whatever the pieces in which the log
was read.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from rt_predictor.model.distribution import Distribution, interval_levels

Array = NDArray[np.float64]

HALF_LIFE_JOBS = 2000
"""Jobs after which a job counts half."""

USUAL_LEVELS = (0.5, 0.9, 0.95)
"""Levels of intervals that are always watched."""

PIT_BINS = 10
"""Equal parts of [0, 1] in which outcomes are counted by their level in what was served."""

CALIBRATION = "calibration"
"""The only group that drifts: whether outcomes lie where distributions say."""

PIT = "pit"

_BLOCK_JOBS = 50
"""Jobs between two decays; those of one block count alike."""

_KEPT = 0.5 ** (_BLOCK_JOBS / HALF_LIFE_JOBS)

_PRIOR_JOBS = 20.0
"""Jobs that are assumed before the first, and lie where distributions say."""


@dataclass(frozen=True)
class Drift:
    """Distance that a group has moved."""

    psi: float
    """Population stability index of the column that has moved furthest"""
    column: str
    """Name of that column"""


@dataclass(frozen=True)
class LiveFigures:
    """Figures of a model on the latest jobs. All are NaN before the first."""

    model_version: str
    jobs: int
    """Finished jobs that they are made from: all that the model has not learned from"""
    mae_s: float
    """Mean absolute error"""
    accuracy: float
    """Mean of min(p, r) / max(p, r)"""
    underestimated: float
    """Share of jobs that ran longer than predicted"""
    crps_s: float
    """Mean continuous ranked probability score"""
    coverage: Mapping[float, float]
    """Level -> share of jobs within their interval of that level"""
    interval_score_s: Mapping[float, float]
    """Level -> mean interval score (Winkler 1972)"""
    drift: Mapping[str, Drift]
    """`CALIBRATION` -> how far outcomes have moved from where distributions say"""
    proposals_mae_s: Mapping[str, float] = field(default_factory=dict)
    """Model or rule -> mean absolute error of its own proposals, over jobs that it has one for"""

    def without_drift(self) -> "LiveFigures":
        """Return the same figures for a model that has nothing to drift from."""
        return replace(self, drift={})


NO_FIGURES = LiveFigures(
    "",
    0,
    *(np.nan,) * 4,
    dict.fromkeys(USUAL_LEVELS, np.nan),
    dict.fromkeys(USUAL_LEVELS, np.nan),
    {},
)
"""Figures where there is no model to judge."""


@dataclass(frozen=True)
class LiveShape:
    """Levels and proposals that live figures are made for."""

    levels: tuple[float, ...]
    """Levels of intervals, ascending"""
    proposals: tuple[str, ...]
    """Names of models and rules"""

    @classmethod
    def of(cls, level: float, proposals: Sequence[str]) -> "LiveShape":
        """Return the shape with the usual levels and that of the service."""
        return cls(tuple(sorted({level, *USUAL_LEVELS})), tuple(proposals))

    @cached_property
    def quantiles(self) -> tuple[float, ...]:
        """Levels that each job is judged at: the median, then both ends of each interval"""
        return (0.5, *(end for level in self.levels for end in interval_levels(level)))

    @property
    def sums(self) -> int:
        """Number of sums that are kept."""
        return _FIRST + 2 * len(self.levels) + PIT_BINS + 2 * len(self.proposals)


_WEIGHT, _ABSOLUTE_ERROR, _ACCURACY, _UNDERESTIMATED, _CRPS, _FIRST = range(6)


@dataclass(frozen=True)
class LiveSums:
    """Decayed sums over finished jobs. A value: `after` gives a new one."""

    shape: LiveShape
    jobs: int
    """Jobs that were ever added"""
    sums: Array
    """[2, shape.sums] of closed blocks, decayed, and of the open one"""

    @classmethod
    def none(cls, shape: LiveShape) -> "LiveSums":
        """Return the sums before the first job."""
        return cls(shape, 0, np.zeros((2, shape.sums)))

    def after(
        self, served: Distribution, members_s: Array, runtime_s: Array, weights: Array
    ) -> "LiveSums":
        """Return the sums with n more jobs.

        Args:
            served: the distributions that were served for them.
            members_s: [n, proposals] proposals of models and rules, s; NaN where there was none.
            runtime_s: [n] how long they ran.
            weights: [n] 0 to 1.
        """
        rows = self._rows(served, members_s, runtime_s) * weights[:, np.newaxis]
        closed, opened = self.sums
        jobs = self.jobs
        for block in _blocks(jobs, len(rows)):
            # One by one: NumPy's sum would add in an order that depends on how many there are.
            opened = np.add.accumulate(np.vstack((opened, rows[block])))[-1]
            jobs += block.stop - block.start
            if jobs % _BLOCK_JOBS == 0:
                closed, opened = (closed + opened) * _KEPT, np.zeros_like(opened)
        return replace(self, jobs=jobs, sums=np.stack((closed, opened)))

    def figures(self, model_version: str) -> LiveFigures:
        """Return the figures of these sums."""
        shape, sums = self.shape, self.sums.sum(axis=0)
        with np.errstate(invalid="ignore"):
            means = sums / sums[_WEIGHT]
        held, scores, pit, errors, present = np.split(means[_FIRST:], self._edges)
        with np.errstate(invalid="ignore"):
            proposals = errors / present
        return LiveFigures(
            model_version=model_version,
            jobs=self.jobs,
            mae_s=float(means[_ABSOLUTE_ERROR]),
            accuracy=float(means[_ACCURACY]),
            underestimated=float(means[_UNDERESTIMATED]),
            crps_s=float(means[_CRPS]),
            coverage=dict(zip(shape.levels, held.tolist(), strict=True)),
            interval_score_s=dict(zip(shape.levels, scores.tolist(), strict=True)),
            drift={CALIBRATION: Drift(_moved(np.nan_to_num(pit) * sums[_WEIGHT]), PIT)},
            proposals_mae_s=dict(zip(shape.proposals, proposals.tolist(), strict=True)),
        )

    @property
    def _edges(self) -> list[int]:
        """Indices at which one kind of sums ends and the next begins, after the first few."""
        levels, proposals = len(self.shape.levels), len(self.shape.proposals)
        edges: list[int] = np.cumsum([levels, levels, PIT_BINS, proposals]).tolist()
        return edges

    def _rows(self, served: Distribution, members_s: Array, runtime_s: Array) -> Array:
        """Return what each job adds to the sums: [n, sums]."""
        rows = np.ones((len(runtime_s), self.shape.sums))
        held, scores, pit, errors, present = np.split(rows[:, _FIRST:], self._edges, axis=1)
        runtimes_s = served.quantiles_s(self.shape.quantiles).T
        predicted_s, ends_s = runtimes_s[0], runtimes_s[1:].reshape(-1, 2, len(rows))
        rows[:, _ABSOLUTE_ERROR] = np.abs(predicted_s - runtime_s)
        rows[:, _ACCURACY] = np.minimum(predicted_s, runtime_s) / np.maximum(predicted_s, runtime_s)
        rows[:, _UNDERESTIMATED] = predicted_s < runtime_s
        rows[:, _CRPS] = served.crps_s(runtime_s)
        for column, (level, (lower_s, upper_s)) in enumerate(
            zip(self.shape.levels, ends_s, strict=True)
        ):
            held[:, column] = (lower_s <= runtime_s) & (runtime_s <= upper_s)
            miss_s = np.maximum(lower_s - runtime_s, 0) + np.maximum(runtime_s - upper_s, 0)
            scores[:, column] = upper_s - lower_s + 2 / (1 - level) * miss_s
        pit[:] = pit_shares(*served.levels_around(runtime_s))
        known = np.isfinite(members_s)
        present[:] = known
        errors[:] = np.where(known, np.abs(members_s - runtime_s[:, np.newaxis]), 0)
        return rows


def pit_shares(below: Array, upto: Array) -> Array:
    """Return how much of each job falls into each of `PIT_BINS`: [n, PIT_BINS], rows sum to 1.

    An outcome at an atom is spread over the levels that the atom takes (Czado, Gneiting and Held
    2009), so that no chance is needed.

    Args:
        below: [n] F just below the outcome.
        upto: [n] F at it.
    """
    edges = np.arange(PIT_BINS + 1) / PIT_BINS
    width = np.maximum(upto - below, 1e-9)[:, np.newaxis]
    reached = np.clip((edges - below[:, np.newaxis]) / width, 0, 1)
    reached[:, 0], reached[:, -1] = 0, 1
    return np.diff(reached, axis=1)


def _blocks(before: int, count: int) -> Iterator[slice]:
    """Yield slices of `count` jobs that come after others, each within one block."""
    start = 0
    while start < count:
        stop = min(count, start + _BLOCK_JOBS - (before + start) % _BLOCK_JOBS)
        yield slice(start, stop)
        start = stop


def _moved(counts: Array) -> float:
    """Return the population stability index of counts by bin against equal counts."""
    even = 1 / PIT_BINS
    late = (counts + _PRIOR_JOBS * even) / (counts.sum() + _PRIOR_JOBS)
    late = np.maximum(late, 1e-4)
    return float(np.sum((late - even) * np.log(late / even)))
