"""Tokens of a whole log at once: what `JobStore` would say of each job, for training and judging.

Jobs are sorted once in the order of their end, and under each key; the position of an asked job
among those of its key is one search for key and time together. Answers are row numbers, 4 bytes a
slot; columns are gathered for those jobs that are wanted.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rt_predictor.history.asked_tokens import (
    END,
    NO_JOB,
    PATIENCE,
    START,
    SUBMIT,
    AskedTokens,
    Found,
    JobRows,
    Rows,
    gather,
)
from rt_predictor.history.choice import NO_POSITION, Traits, choose
from rt_predictor.history.columns import COLUMN, Float, JobColumns, Times, Told
from rt_predictor.history.in_flight import IN_FLIGHT, Open, are_others, in_flight, known_since
from rt_predictor.history.token_keys import (
    NO_KEY,
    NO_ROW,
    QUEUED,
    SITE_SLOTS,
    SITE_STEP,
    SLOTS,
    TOKEN_KEYS,
    USER,
    slots_of,
)
from rt_predictor.history.value_ids import Ids

Positions = NDArray[np.int64]

_PIECE = 1 << 11
"""Asked jobs that are answered at a time: bounds memory."""

_REQUEST_ID, _LOG_LIMIT = COLUMN["request_id"], COLUMN["log_limit"]


@dataclass(frozen=True)
class LogTokens:
    """Answers to n asked jobs."""

    rows: Rows
    """[n, SLOTS] rows of the log's jobs, `NO_ROW` in empty slots"""
    in_flight: Float
    """[n, len(IN_FLIGHT)]"""
    site_index: Rows
    """[n] position in `site` of the latest job that stands for the site; -1 where there is none"""
    site: Rows
    """[s] rows of the jobs that stand for the site, in the order of their end"""
    known: JobRows
    submit_s: Times
    """[n] of the asked jobs"""
    at_s: Times
    """[n] when they are asked for"""

    def __len__(self) -> int:
        return len(self.rows)

    def gather(self, asked: NDArray[np.integer] | slice) -> AskedTokens:
        """Return the whole answer for some of the asked jobs."""
        positions, site_of = np.unique(self.site_index[asked].astype(np.int64), return_inverse=True)
        before, inside = _positions_before(positions + 1, np.zeros_like(positions), SITE_SLOTS)
        site = self.site if len(self.site) else np.full(1, NO_ROW, dtype=np.int32)
        site_rows = np.where(inside, site[before], np.int32(NO_ROW))
        found = Found(
            rows=self.rows[asked],
            in_flight=self.in_flight[asked],
            site_rows=site_rows,
            site_columns=self.known.columns.take(site_rows, axis=0),
            site_of=site_of,
        )
        return gather(self.known, found, self.submit_s[asked], self.at_s[asked])


def log_tokens(
    log: JobColumns, asked: JobColumns | None = None, at_s: Times | None = None
) -> LogTokens:
    """Return the tokens of asked jobs among those of a log.

    Args:
        log: all that is told of, in any order; each job once.
        asked: the jobs that are asked for; those of the log itself where it is not given.
        at_s: [n] when each is asked for; its submit time where it is not given.
    """
    asked = log if asked is None else asked
    at_s = asked.submit_s if at_s is None else at_s
    rows = np.full((len(asked), SLOTS), NO_ROW, dtype=np.int32)
    ended = np.flatnonzero(log.is_token()).astype(np.int32)
    ended = ended[np.lexsort((log.ident[ended], log.submit_s[ended], log.end_s[ended]))]
    stops = log.end_s[ended].searchsorted(at_s, side="right")
    says_request = log.says_request()
    asking = Traits(asked.keys[:, USER], asked.columns[:, _LOG_LIMIT])
    for number, key in enumerate(TOKEN_KEYS):
        lists = _Lists.of(np.where(says_request, log.keys[:, number], NO_KEY), ended)
        jobs = Traits(log.keys[lists.rows, USER], log.columns[lists.rows, _LOG_LIMIT])
        for piece in _pieces(len(asked), lists):
            starts, ends = lists.find(asked.keys[piece, number], stops[piece])
            positions, inside = _positions_before(ends, starts, key.walked)
            taken: NDArray[np.integer] = np.where(inside, positions, NO_POSITION)
            if key.walked > key.slots:
                each = np.arange(len(positions))[None]
                (taken,) = choose((key,), taken, each, jobs, asking.part(piece))
            rows[piece, slots_of(key.name)] = lists.rows_at(taken)
    site_index = ((stops - 1) // SITE_STEP).astype(np.int32)
    return LogTokens(
        rows=rows,
        in_flight=_fill_running(rows[:, slots_of("running")], log, asked, at_s),
        site_index=site_index,
        site=ended[::SITE_STEP].astype(np.int32),
        known=_with_no_job(log),
        submit_s=asked.submit_s,
        at_s=at_s,
    )


@dataclass(frozen=True)
class _Lists:
    """Some jobs under one key, by key, then in an order of theirs."""

    keys: Ids
    """[k] ascending"""
    entries: Positions
    """[e] ascending; number of the key and position in the order, as one number"""
    rows: Rows
    """[e] row of the job of each entry"""
    jobs: int

    @classmethod
    def of(cls, keys: Ids, ordered: Rows) -> "_Lists":
        """Return the lists of the jobs whose rows are given in order; keys: [n] of all jobs."""
        owners = keys[ordered]
        positions = np.flatnonzero(owners != NO_KEY)
        distinct, numbers = np.unique(owners[positions], return_inverse=True)
        entries = numbers * len(ordered) + positions
        entries.sort()
        return cls(distinct, entries, ordered[entries % max(len(ordered), 1)], len(ordered))

    def rows_at(self, positions: NDArray[np.integer]) -> Rows:
        """Return the rows of the jobs at positions; `NO_ROW` where a position is `NO_POSITION`."""
        return np.where(positions >= 0, self.rows[positions], np.int32(NO_ROW))

    def find(self, keys: Ids, stops: Positions) -> tuple[Positions, Positions]:
        """Return where the lists of keys begin, and where their jobs before `stops` end: [m]."""
        numbers = np.minimum(self.keys.searchsorted(keys), len(self.keys) - 1)
        present = self.keys[numbers] == keys
        first = np.where(present, numbers * self.jobs, 0)
        starts = self.entries.searchsorted(first)
        return starts, np.where(present, self.entries.searchsorted(first + stops), starts)


def _positions_before(
    stops: Positions, starts: Positions, count: int
) -> tuple[Positions, NDArray[np.bool_]]:
    """Return the `count` positions before each of `stops`, and which are in its list: [m, count].

    The last position comes first; what is before `starts` is position 0.
    """
    positions = stops[:, None] - np.arange(1, count + 1)
    inside = positions >= starts[:, None]
    return positions * inside, inside


def _pieces(jobs: int, lists: _Lists) -> list[slice]:
    """Return which asked jobs are answered together; none where the lists are empty."""
    jobs = jobs if len(lists.rows) else 0
    return [slice(first, min(first + _PIECE, jobs)) for first in range(0, jobs, _PIECE)]


def _fill_running(found: Rows, log: JobColumns, asked: JobColumns, at_s: Times) -> Float:
    """Write the running jobs: [n, RUNNING_SLOTS]. Returns the figures [n, len(IN_FLIGHT)]."""
    since_s = known_since(log.told, log.submit_s, log.start_s)
    told = np.flatnonzero(~np.isnan(since_s)).astype(np.int32)
    told = told[np.lexsort((log.ident[told], since_s[told]))]
    lists = _Lists.of(log.keys[:, USER], told)
    stops = since_s[told].searchsorted(at_s, side="left")
    start_s, end_s = told_times(log)
    end_s = end_s[lists.rows]  # in the order of the lists: a window is one stretch of memory
    figures = np.full((len(asked), len(IN_FLIGHT)), np.nan, dtype=np.float32)
    for piece in _pieces(len(asked), lists):
        starts, ends = lists.find(asked.keys[piece, USER], stops[piece])
        positions, inside = _positions_before(ends, starts, QUEUED)
        job, position = np.nonzero(inside & ~(end_s[positions] <= at_s[piece, None]))
        rows = lists.rows[positions[job, position]]
        alike = log.columns[rows, _REQUEST_ID] == asked.columns[piece, _REQUEST_ID][job]
        jobs = Open(job, log.submit_s[rows], start_s[rows], log.patience_s[rows], alike)
        others = are_others(jobs, asked.submit_s[piece], asked.start_s[piece], at_s[piece])
        if not others.all():
            jobs, rows = jobs.part(others), rows[others]
        figures[piece], running = in_flight(jobs, at_s[piece])
        figures[piece][ends == starts] = np.nan
        job, slot = np.nonzero(running >= 0)
        found[piece][job, slot] = rows[running[job, slot]]
    return figures


def told_times(jobs: JobColumns) -> tuple[Times, Times]:
    """Return the starts and ends that history is told of: two of [n], NaN where it is not."""
    return (
        np.where(jobs.told & Told.STARTED, jobs.start_s, np.nan),
        np.where(jobs.told & Told.ENDED, jobs.end_s, np.nan),
    )


def _with_no_job(log: JobColumns) -> JobRows:
    times_s = np.full((len(log) + 1, 4), np.nan)
    times_s[:-1, SUBMIT], times_s[:-1, PATIENCE] = log.submit_s, log.patience_s
    times_s[:-1, START], times_s[:-1, END] = told_times(log)
    return JobRows(times_s, np.concatenate([log.columns, NO_JOB[None]]))
