"""Regular jobs, of users who run the same again and again, and the figures of their intervals.

A job is regular where, at its submit, the last ten finished jobs of its user with its size and
limit lie within 20 % of each other, and the limit is at least three times their median. What
intervals of such jobs are compared with knows one thing more: how often such series broke until
then, on this log.
"""

from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rt_predictor.model.distribution import interval_levels
from rt_predictor.training.scores import interval_scores_s, share

Array = NDArray[np.float64]
Rows = NDArray[np.intp]

RUNS: Final = 10
SPREAD: Final = 1.2
"""Most of the longest of the last runs over the shortest."""

LEAST_LIMIT_RATIO: Final = 3.0
"""Least of the limit over the median of the last runs."""

LEAST_RATIOS: Final = 20
"""Regular jobs that must have ended before empirical quantiles are computed."""


@dataclass(frozen=True)
class Series:
    """The n jobs of a log, in any order."""

    group: NDArray[np.integer]
    """[n] number of each job's (user, cores, limit); below zero where one is unknown"""
    submit_s: Array
    """[n]"""
    end_s: Array
    """[n]"""
    runtime_s: Array
    """[n] those not above zero are no runs"""
    limit_s: Array
    """[n] NaN for none: such jobs are not regular"""


@dataclass(frozen=True)
class RegularJobs:
    """The m regular jobs of a log, by submit."""

    rows: Rows
    """[m] which of the log's jobs"""
    median_s: Array
    """[m] median of the last `RUNS` runs"""


@dataclass(frozen=True)
class RegularScores:
    """Figures of the intervals of regular jobs at one level."""

    level: float
    jobs: int
    """Those for which empirical quantiles were known."""
    coverage: float
    empirical_coverage: float
    winkler_over_empirical: float
    """Median over jobs of the interval score over that of the empirical quantiles."""
    mean_winkler_over_empirical: float
    """The same of means, with scores measured in each job's median."""
    width_over_median: float
    """Median over jobs of the width over the median of the last runs."""


def regular_jobs(jobs: Series) -> RegularJobs:
    """Return the regular jobs among those of a log."""
    median_s = np.full(len(jobs.group), np.nan)
    usable = np.flatnonzero((jobs.group >= 0) & (jobs.limit_s > 0) & (jobs.runtime_s > 0))
    by_group = usable[np.argsort(jobs.group[usable], kind="stable")]
    starts = np.flatnonzero(np.diff(jobs.group[by_group])) + 1
    for mine in np.split(by_group, starts):
        if len(mine) > RUNS:
            regular, middle_s = _regular_of_group(jobs, mine)
            median_s[regular] = middle_s
    rows = np.flatnonzero(~np.isnan(median_s))
    rows = rows[np.argsort(jobs.submit_s[rows], kind="stable")]
    return RegularJobs(rows, median_s[rows])


def _regular_of_group(jobs: Series, mine: Rows) -> tuple[Rows, Array]:
    """Return those of one group's jobs that are regular, and the medians of their last runs."""
    by_end = mine[np.argsort(jobs.end_s[mine], kind="stable")]
    windows = np.lib.stride_tricks.sliding_window_view(jobs.runtime_s[by_end], RUNS)
    middle_s = np.median(windows, axis=1)
    alike = windows.max(axis=1) <= SPREAD * windows.min(axis=1)
    window = np.searchsorted(jobs.end_s[by_end], jobs.submit_s[mine], side="right") - RUNS
    known = window >= 0
    mine, window = mine[known], window[known]
    ample = jobs.limit_s[mine] >= LEAST_LIMIT_RATIO * middle_s[window]
    regular = alike[window] & ample
    return mine[regular], middle_s[window[regular]]


def empirical_ends_s(
    jobs: Series, regular: RegularJobs, levels: Sequence[float]
) -> tuple[Array, Array]:
    """Return both ends [m, k] of intervals made only from how such series went on before.

    They are the job's median times the quantiles of (runtime / median) of the regular jobs of the
    whole log that had ended at its submit; NaN where those were fewer than `LEAST_RATIOS`.

    Args:
        jobs: those of the log.
        regular: those of them that are regular.
        levels: [k].
    """
    pairs = np.array([interval_levels(level) for level in levels])
    lower_s, upper_s = np.full((2, len(regular.rows), len(levels)), np.nan)
    ratios = jobs.runtime_s[regular.rows] / regular.median_s
    by_end = np.argsort(jobs.end_s[regular.rows], kind="stable")
    ends = jobs.end_s[regular.rows][by_end]
    known: list[float] = []
    for row, submit in enumerate(jobs.submit_s[regular.rows].tolist()):
        while len(known) < len(ends) and ends[len(known)] <= submit:
            insort(known, float(ratios[by_end[len(known)]]))
        if len(known) >= LEAST_RATIOS:
            # The least ratio that this share of the known ones does not exceed, as Q of a job.
            ranks = np.ceil(pairs * len(known)).astype(int).clip(1, len(known)) - 1
            quantiles = np.array([[known[rank] for rank in pair] for pair in ranks.tolist()])
            lower_s[row], upper_s[row] = (quantiles * regular.median_s[row]).T
    return lower_s, upper_s


def regular_scores(
    regular: RegularJobs,
    ends_s: tuple[Array, Array],
    empirical_s: tuple[Array, Array],
    runtime_s: Array,
    level: float,
) -> RegularScores:
    """Return the figures of m regular jobs at one level; NaN where none can be compared.

    Args:
        regular: the regular jobs.
        ends_s: both ends [m] of what they were answered.
        empirical_s: both ends [m] of that level, as `empirical_ends_s` gives them.
        runtime_s: [m] what the regular jobs took.
        level: share of jobs that the intervals are meant to hold.
    """
    compared = ~np.isnan(empirical_s[0])
    median_s, took_s = regular.median_s[compared], runtime_s[compared]
    (lower_s, upper_s), (least_s, most_s) = (
        (lower[compared], upper[compared]) for lower, upper in (ends_s, empirical_s)
    )
    ours = interval_scores_s(lower_s, upper_s, took_s, level) / median_s
    theirs = interval_scores_s(least_s, most_s, took_s, level) / median_s
    # A score of 0 is an interval of one point that held: a ratio of small things, not of nothing.
    least = 1 / np.maximum(median_s, 1)
    return RegularScores(
        level=level,
        jobs=int(compared.sum()),
        coverage=share((lower_s <= took_s) & (took_s <= upper_s)),
        empirical_coverage=share((least_s <= took_s) & (took_s <= most_s)),
        winkler_over_empirical=_median((ours + least) / (theirs + least)),
        mean_winkler_over_empirical=float(ours.mean() / theirs.mean())
        if compared.any()
        else float("nan"),
        width_over_median=_median((upper_s - lower_s) / median_s),
    )


def _median(values: Array) -> float:
    """Return the median; NaN without values."""
    return float(np.median(values)) if len(values) else float("nan")
