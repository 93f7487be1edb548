"""Split of a log by time: never at random, and never with an outcome that was not known yet.

Jobs of an array are submitted together and are near-identical: a random split would put one half of
an array in training and the other in the test.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from rt_predictor.errors import TrainingError

Rows = NDArray[np.int64]
Times = NDArray[np.float64]

MIN_PART_JOBS = 30
"""Jobs that each part needs at least; with fewer its figures mean nothing."""


@dataclass(frozen=True)
class Split:
    """Two parts of a log by time; no job is in both. Rows are indices of jobs in the log."""

    mark_s: float
    """Submit time at which `test` begins; every job of `training` had ended by then."""
    training: Rows
    """[m] what may be learned from."""
    test: Rows
    """[k] held out: every job submitted at or after the mark, by submit."""


def scorable(jobs: pl.DataFrame) -> pl.DataFrame:
    """Return the jobs that ran (runtime > 0) and whose submit and end are known, by submit."""
    return jobs.filter(ran(jobs)).sort("submit_time", maintain_order=True)


def ran(jobs: pl.DataFrame) -> pl.Series:
    """Return whether each job ran and has its submit and end: [n] booleans."""
    known = pl.col("submit_time").is_not_null() & pl.col("end_time").is_not_null()
    return jobs.select(((pl.col("runtime") > 0) & known).fill_null(value=False)).to_series()


def split_by_time(submit_s: Times, end_s: Times, rows: Rows, test_share: float) -> Split:
    """Cut jobs in two at the submit of the first of the last `test_share` of them.

    Args:
        submit_s: [n] of all jobs of the log.
        end_s: [n]
        rows: which jobs can be scored, by submit.
        test_share: share of submissions that is held out.

    Raises TrainingError where a part would have too few jobs.
    """
    if not len(rows):
        raise TrainingError("the log holds no job that ran: nothing can be learned from it")
    mark_s = _at_share(submit_s[rows], 1 - test_share)
    split = Split(mark_s, rows[end_s[rows] <= mark_s], rows[submit_s[rows] >= mark_s])
    parts = (("had ended by then", split.training), ("were submitted from then on", split.test))
    for which, part in parts:
        if len(part) < MIN_PART_JOBS:
            raise TrainingError(
                f"the log is cut where {100 * (1 - test_share):g} % of its {len(rows):,} jobs were "
                f"submitted, and {len(part)} {which}; at least {MIN_PART_JOBS} are needed: give a "
                "log of a longer time, or change training.test_share"
            )
    return split


def last_ended(end_s: Times, rows: Rows, share: float) -> tuple[Rows, Rows]:
    """Cut jobs in two by their end: those that ended earlier, and the last `share` to end.

    By submit, a part would lose its long jobs, which end only after it.

    Args:
        end_s: [n] of all jobs of the log.
        rows: which of them are cut.
        share: of the latter part.
    """
    if not len(rows):
        return rows, rows
    last = end_s[rows] > _at_share(np.sort(end_s[rows]), 1 - share)
    return rows[~last], rows[last]


def _at_share(times: Times, share: float) -> float:
    return float(times[min(int(share * len(times)), len(times) - 1)])
