"""Answers of history: the tokens of asked jobs, and what is in flight, as arrays."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rt_predictor.history.columns import COLUMNS, RUNTIMES, STATE, Float, Times
from rt_predictor.history.token_keys import FINISHED_SLOTS, NO_ROW
from rt_predictor.jobs.states import Ending

Rows = NDArray[np.int32]


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
    """[n, SLOTS] time since the start, where it is told"""
    in_flight: Float
    """[n, len(IN_FLIGHT)]"""
    site_rows: Rows
    """[s, SITE_SLOTS] sets of jobs that stand for the site; the same for many asked jobs"""
    site_columns: Float
    """[s, SITE_SLOTS, len(COLUMNS)]"""
    site_of: NDArray[np.intp]
    """[n] which of the sets is the asked job's"""


SUBMIT, START, END, PATIENCE = range(4)
"""Columns of the times of a job."""


class JobRows(NamedTuple):
    """All jobs that are known, by row; the last row is no job, and so row `NO_ROW`."""

    times_s: Times
    """[rows, 4] `SUBMIT`, `START` and `END` as far as they are told, and `PATIENCE`"""
    columns: Float
    """[rows, len(COLUMNS)]"""


NO_JOB: Float = np.array([0 if unit == "code" else np.nan for _, unit, _ in COLUMNS], np.float32)
"""[len(COLUMNS)] columns of no job."""


class Found(NamedTuple):
    """Rows of the answer to n asked jobs; arrays as in `AskedTokens`."""

    rows: Rows
    in_flight: Float
    site_rows: Rows
    site_columns: Float
    site_of: NDArray[np.intp]


def gather(known: JobRows, found: Found, submit_s: Times, at_s: Times) -> AskedTokens:
    """Return the answer whose rows are found. submit_s, at_s: [n] of the asked jobs."""
    rows = found.rows
    asked_s = np.stack((submit_s, at_s, at_s, at_s))[:, :, None]
    times_s = known.times_s.take(rows, axis=0).transpose(2, 0, 1)
    spans_s = np.empty(times_s.shape, dtype=np.float32)
    np.subtract(asked_s, times_s, out=spans_s, casting="same_kind")
    columns = known.columns.take(rows, axis=0)
    _hide_ends(columns, spans_s)
    return AskedTokens(rows, columns, spans_s[END], spans_s[SUBMIT], spans_s[START], *found[1:])


def gather_one(known: JobRows, found: Found, submit_s: float, at_s: float) -> AskedTokens:
    """Return the same for one asked job, as quickly as can be."""
    rows = found.rows
    times_s = known.times_s.take(rows[0], axis=0)
    spans_s = np.empty((times_s.shape[1], 1, len(times_s)), dtype=np.float32)
    asked_s = np.array((submit_s, at_s, at_s, at_s))
    np.subtract(asked_s, times_s, out=spans_s[:, 0].T, casting="same_kind")
    columns = known.columns.take(rows, axis=0)
    if rows[0, FINISHED_SLOTS] != NO_ROW:
        _hide_ends(columns, spans_s)
    return AskedTokens(rows, columns, spans_s[END], spans_s[SUBMIT], spans_s[START], *found[1:])


def _hide_ends(columns: Float, spans_s: Float) -> None:
    """Removes how running jobs ended later: asked for as of the past, that is known."""
    columns[:, FINISHED_SLOTS:, RUNTIMES] = np.nan
    columns[:, FINISHED_SLOTS:, STATE] = Ending.UNKNOWN
    spans_s[END, :, FINISHED_SLOTS:] = np.nan


def joined(answers: Sequence[AskedTokens]) -> AskedTokens:
    """Return several answers as one; at least one."""
    first, *others = answers
    if not others:
        return first
    if all(answer.site_rows is first.site_rows for answer in others):
        of_jobs = {name: np.concatenate([getattr(a, name) for a in answers]) for name in _OF_JOBS}
        return first._replace(**of_jobs)
    sets = np.cumsum([0, *(len(answer.site_rows) for answer in answers)])
    moved = [
        answer._replace(site_of=answer.site_of + start)
        for answer, start in zip(answers, sets, strict=False)
    ]
    return AskedTokens(*map(np.concatenate, zip(*moved, strict=True)))


_OF_JOBS = ("rows", "columns", "age_s", "gap_s", "elapsed_s", "in_flight", "site_of")
"""Arrays with a row for each asked job."""


def some_tokens(tokens: AskedTokens, rows: slice | NDArray[np.intp]) -> AskedTokens:
    """Return the answers for some of the asked jobs; sets that stand for the site stay whole."""
    return tokens._replace(**{name: getattr(tokens, name)[rows] for name in _OF_JOBS})
