"""Answers of history: the tokens of asked jobs, and what is in flight, as arrays."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rt_predictor.history.columns import COLUMN, COLUMNS, Float, Times
from rt_predictor.history.token_keys import FINISHED_SLOTS, NO_KEY, NO_ROW
from rt_predictor.history.value_ids import Ids
from rt_predictor.jobs.states import Ending

Rows = NDArray[np.int32]

_AFTER_END = slice(COLUMN["runtime_s"], COLUMN["log_runtime"] + 1)
_STATE = COLUMN["state"]


class AskedTokens(NamedTuple):
    """What history says of n asked jobs as of their times.

    In a slot without a job the row is `NO_ROW`, numbers are NaN and codes 0.
    """

    rows: Rows
    """[n, SLOTS] rows of the jobs that are looked at; `slots_of` says which slots are which"""
    columns: Float
    """[n, SLOTS, len(COLUMNS)] of these jobs; of running ones without runtime and state"""
    age_s: Float
    """[n, SLOTS] time since the end of finished jobs"""
    gap_s: Float
    """[n, SLOTS] from the submit of the job to that of the asked one"""
    elapsed_s: Float
    """[n, SLOTS] time since the start of running jobs"""
    in_flight: Float
    """[n, len(IN_FLIGHT)]"""
    site_rows: Rows
    """[s, SITE_SLOTS] sets of jobs that stand for the site; the same for many asked jobs"""
    site_columns: Float
    """[s, SITE_SLOTS, len(COLUMNS)]"""
    site_of: NDArray[np.int64]
    """[n] which of the sets is the asked job's"""


class JobRows(NamedTuple):
    """Columns of all jobs that are known, by row; the last row is no job, and so row `NO_ROW`."""

    submit_s: Times
    start_s: Times
    end_s: Times
    columns: Float


NO_JOB: Float = np.array([0 if unit == "code" else np.nan for _, unit, _ in COLUMNS], np.float32)
"""[len(COLUMNS)] columns of no job."""


class Found(NamedTuple):
    """Rows of the answer to n asked jobs; arrays as in `AskedTokens`."""

    rows: Rows
    in_flight: Float
    site_rows: Rows
    site_of: NDArray[np.int64]


def gather(known: JobRows, found: Found, submit_s: Times, at_s: Times) -> AskedTokens:
    """Return the answer whose rows are found. submit_s, at_s: [n] of the asked jobs."""
    rows = found.rows
    columns = known.columns.take(rows, axis=0)
    columns[:, FINISHED_SLOTS:, _AFTER_END] = np.nan
    columns[:, FINISHED_SLOTS:, _STATE] = Ending.UNKNOWN
    at_s = at_s[:, None]
    age_s = np.full(rows.shape, np.nan, dtype=np.float32)
    age_s[:, :FINISHED_SLOTS] = at_s - known.end_s.take(rows[:, :FINISHED_SLOTS])
    elapsed_s = np.full(rows.shape, np.nan, dtype=np.float32)
    elapsed_s[:, FINISHED_SLOTS:] = at_s - known.start_s.take(rows[:, FINISHED_SLOTS:])
    gap_s = (submit_s[:, None] - known.submit_s.take(rows)).astype(np.float32)
    site_columns = known.columns.take(found.site_rows, axis=0)
    return AskedTokens(
        rows=rows,
        columns=columns,
        age_s=age_s,
        gap_s=gap_s,
        elapsed_s=elapsed_s,
        in_flight=found.in_flight,
        site_rows=found.site_rows,
        site_columns=site_columns,
        site_of=found.site_of,
    )


def first_of_others(rows: Rows, users: Ids, user: Ids, slots: int) -> Rows:
    """Return the first rows that are jobs of others than the asking user: [n, slots].

    Args:
        rows: [n, w] candidates in order, `NO_ROW` where there is none.
        users: [n, w] ids of their users.
        user: [n] ids of the asking ones; to one without a user all jobs are others'.
        slots: how many are taken.
    """
    user = user[:, None]
    others = (rows >= 0) & ((users != user) | (user == NO_KEY))
    rank = others.cumsum(axis=1, dtype=np.int16)
    job, place = np.nonzero(others & (rank <= slots))
    first = np.full((len(rows), slots), NO_ROW, dtype=np.int32)
    first[job, rank[job, place] - 1] = rows[job, place]
    return first
