"""How good a model is on the jobs that end now: figures that forget, folded from the outcome log.

A job counts by what it was told when it was submitted. Its weight halves with every
`HALF_LIFE_JOBS` jobs that end after it, so that memory is constant however long the log is. Sums
decay at every so many jobs of the log alone, and are added up one by one, so that they come out
the same to the last bit whatever the pieces in which the log was read.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rt_predictor.history.judge import Told
from rt_predictor.model.bounds import LEVELS, interval_scores_s
from rt_predictor.model.reference import BINS, Bins, Drift, Reference

Array = NDArray[np.float64]

HALF_LIFE_JOBS = 2000
"""Jobs after which a job counts half."""

_BLOCK_JOBS = 50
"""Jobs between two decays; those of one block count alike."""

_KEPT = 0.5 ** (_BLOCK_JOBS / HALF_LIFE_JOBS)

_WEIGHT, _ABSOLUTE_ERROR, _ACCURACY, _UNDERESTIMATED = range(4)
_HELD = slice(4, 4 + len(LEVELS))
_SCORE = slice(_HELD.stop, _HELD.stop + len(LEVELS))
_SUMS = _SCORE.stop


@dataclass(frozen=True)
class LiveFigures:
    """What the latest jobs say of a model. All are NaN before the first."""

    model_version: str
    jobs: int
    """Finished jobs that they are made of: all that the model was not trained on"""
    mae_s: float
    """Mean absolute error"""
    accuracy: float
    """Mean of min(p, r) / max(p, r)"""
    underestimated: float
    """Share of jobs that ran longer than predicted"""
    coverage: Mapping[float, float]
    """Level -> share of jobs within their interval of that level"""
    interval_score_s: Mapping[float, float]
    """Level -> mean interval score (Winkler 1972)"""
    drift: Mapping[str, Drift]
    """Group of `reference.GROUPS` -> how far it has moved; empty where the bundle has none"""


@dataclass(frozen=True)
class LiveSums:
    """Decayed sums over finished jobs. A value: `after` gives a new one."""

    jobs: int
    """That were ever added"""
    sums: Array
    """[2, sums] of closed blocks, decayed, and of the open one"""
    counts: Array
    """[2, columns, BINS] the same of jobs by bin of each watched column"""

    @classmethod
    def none(cls, columns: int) -> "LiveSums":
        """Before the first job."""
        return cls(0, np.zeros((2, _SUMS)), np.zeros((2, columns, BINS)))

    def after(self, told: Told, runtime_s: Array, bins: Bins) -> "LiveSums":
        """With n more jobs.

        Args:
            told: what they were told.
            runtime_s: [n] how long they ran.
            bins: [n, columns] as `Reference.bins` gives them.
        """
        rows = _rows(told, runtime_s)
        closed, opened = self.sums
        closed_counts, opened_counts = self.counts
        jobs = self.jobs
        for block in _blocks(jobs, len(rows)):
            # One after the other: NumPy's sum would add in an order that depends on how many.
            opened = np.add.accumulate(np.vstack((opened, rows[block])))[-1]
            opened_counts = opened_counts + _counted(bins[block])
            jobs += block.stop - block.start
            if jobs % _BLOCK_JOBS == 0:
                closed, closed_counts = (
                    (closed + opened) * _KEPT,
                    (closed_counts + opened_counts) * _KEPT,
                )
                opened, opened_counts = np.zeros_like(opened), np.zeros_like(opened_counts)
        return LiveSums(jobs, np.stack((closed, opened)), np.stack((closed_counts, opened_counts)))

    def figures(self, model_version: str, reference: Reference) -> LiveFigures:
        """What they come to."""
        sums = self.sums.sum(axis=0)
        means = sums / sums[_WEIGHT] if self.jobs else np.full(_SUMS, np.nan)
        return LiveFigures(
            model_version=model_version,
            jobs=self.jobs,
            mae_s=float(means[_ABSOLUTE_ERROR]),
            accuracy=float(means[_ACCURACY]),
            underestimated=float(means[_UNDERESTIMATED]),
            coverage=dict(zip(LEVELS, means[_HELD].tolist(), strict=True)),
            interval_score_s=dict(zip(LEVELS, means[_SCORE].tolist(), strict=True)),
            drift=reference.drift(self.counts.sum(axis=0)),
        )


def _rows(told: Told, runtime_s: Array) -> Array:
    """[n, sums] what each job adds."""
    predicted_s, ran = told.predicted_s, runtime_s[:, None]
    rows = np.ones((len(runtime_s), _SUMS))
    rows[:, _ABSOLUTE_ERROR] = np.abs(predicted_s - runtime_s)
    rows[:, _ACCURACY] = np.minimum(predicted_s, runtime_s) / np.maximum(predicted_s, runtime_s)
    rows[:, _UNDERESTIMATED] = predicted_s < runtime_s
    rows[:, _HELD] = (told.lower_s <= ran) & (ran <= told.upper_s)
    rows[:, _SCORE] = interval_scores_s(told.lower_s, told.upper_s, ran, np.array(LEVELS))
    return rows


def _blocks(before: int, count: int) -> Iterator[slice]:
    """Pieces of `count` jobs that come after others, each within one block."""
    start = 0
    while start < count:
        stop = min(count, start + _BLOCK_JOBS - (before + start) % _BLOCK_JOBS)
        yield slice(start, stop)
        start = stop


def _counted(bins: Bins) -> Array:
    """[n, columns] bins -> [columns, BINS] jobs in each."""
    columns = bins.shape[1]
    flat = bins + np.arange(columns) * BINS
    counted = np.bincount(flat.ravel(), minlength=columns * BINS)
    return counted.reshape(columns, BINS).astype(np.float64)
