"""Rows that answer one asked job, or many, from the lists of `LiveJobs`.

Both say the same, bit for bit. For one job numbers of Python are quickest, for many NumPy is. A
list is searched for a time only where its last job is later than that.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from math import isnan, nan
from operator import itemgetter
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rt_predictor.history.asked_tokens import END, PATIENCE, START, SUBMIT, Rows
from rt_predictor.history.choice import FAR, Traits, choose
from rt_predictor.history.columns import COLUMN, PATIENCE_S, AskedJob, Float, Times
from rt_predictor.history.in_flight import IN_FLIGHT, Open, in_flight
from rt_predictor.history.known_jobs import KnownJobs
from rt_predictor.history.live_jobs import LiveJobs
from rt_predictor.history.token_keys import (
    NO_ROW,
    QUEUED,
    RUNNING_SLOTS,
    SITE_SLOTS,
    SITE_STEP,
    SLOTS,
    TOKEN_KEYS,
    USER,
    queue_id,
    queue_ids,
    slots_of,
)
from rt_predictor.history.value_ids import Ids

OneRows: TypeAlias = "array[int]"
Figures = Sequence[float]

_KEYS = tuple((key.slots, key.walked, key.by_others, key.nearest) for key in TOKEN_KEYS)
_EMPTY = tuple(array("i", [NO_ROW]) * slots for slots in range(max(SLOTS, SITE_SLOTS) + 1))
_REQUEST_ID, _LOG_LIMIT = COLUMN["request_id"], COLUMN["log_limit"]
_NOTHING_KNOWN = (nan,) * len(IN_FLIGHT)
_FAR = float(FAR)
_FEW = 32
"""Jobs that are looked at one at a time: for more NumPy is quicker."""

_NONE_OPEN = (0.0, 0.0, 0.0, 0.0, nan, nan)


def rows_of_one(live: LiveJobs, asked: AskedJob, at_s: float) -> tuple[OneRows, Figures]:
    """Return the rows [SLOTS] and the figures in flight [len(IN_FLIGHT)] of one asked job."""
    jobs, lists, user = live.jobs, live.lists, asked.keys[USER]
    end, users, end_of = jobs.end, jobs.user, jobs.end.__getitem__
    found = array("i")
    for key, (slots, walked, by_others, nearest) in zip(asked.keys, _KEYS, strict=True):
        rows = lists.rows(key)
        stop = len(rows)
        if stop and end[rows[-1]] > at_s:
            stop = bisect_right(rows, at_s, key=end_of)
        taken = rows[stop - walked if stop > walked else 0 : stop]
        taken.reverse()
        if by_others and user:
            taken = array("i", [row for row in taken if users[row] != user])
        if nearest:
            taken = _nearest_first(jobs, taken, float(asked.columns[_LOG_LIMIT]), slots)
        found += taken[:slots]
        if len(taken) < slots:
            found += _EMPTY[slots - len(taken)]
    running, figures = _in_flight_of_one(live, asked, at_s)
    found += running
    return found, figures


def _nearest_first(jobs: KnownJobs, rows: OneRows, log_limit: float, slots: int) -> OneRows:
    """Return the rows whose limits are nearest, as `choice.choose`: [slots] or fewer."""
    limits = [jobs.log_limit[row] for row in rows]
    if isnan(log_limit):
        apart = array("f", [0.0 if isnan(limit) else _FAR for limit in limits])
    else:
        # A difference of float32 that is rounded once more equals that of float32.
        spans = [abs(limit - log_limit) for limit in limits]
        apart = array("f", [_FAR if isnan(span) else span for span in spans])
    order = sorted(range(len(rows)), key=apart.__getitem__)
    return array("i", [rows[place] for place in order[:slots]])


def _in_flight_of_one(live: LiveJobs, asked: AskedJob, at_s: float) -> tuple[OneRows, Figures]:
    """Return the running jobs' rows [RUNNING_SLOTS] and the figures."""
    jobs = live.jobs
    rows = live.lists.rows(queue_id(asked.keys[USER]))
    stop = len(rows)
    if stop and jobs.since[rows[-1]] >= at_s:
        stop = bisect_left(rows, at_s, key=jobs.since.__getitem__)
    if not stop:
        return _EMPTY[RUNNING_SLOTS], _NOTHING_KNOWN
    window = rows[stop - QUEUED if stop > QUEUED else 0 : stop]
    window.reverse()
    if stop > _FEW:
        numbers = np.frombuffer(window, dtype=np.int32)
        left = numbers[~(jobs.rows.times_s[numbers, END] <= at_s)].tolist()
    else:
        end = jobs.end
        left = [row for row in window if not end[row] <= at_s]
    if not left:
        return _EMPTY[RUNNING_SLOTS], _NONE_OPEN
    if len(left) <= _FEW:
        return _count(jobs, left, float(asked.columns[_REQUEST_ID]), at_s)
    opened = _open(jobs, np.array(left), np.zeros(len(left), np.intp), asked.columns[_REQUEST_ID])
    counted, running = in_flight(opened, np.array([at_s]))
    last = array("i", [left[place] for place in running[0].tolist() if place >= 0])
    return last + _EMPTY[RUNNING_SLOTS - len(last)], counted[0].tolist()


def _count(
    jobs: KnownJobs, rows: list[int], request: float, at_s: float
) -> tuple[OneRows, Figures]:
    """Return the same for jobs that have not ended, one at a time."""
    start, request_id = jobs.start, jobs.request_id
    waiting = waiting_alike = running_alike = 0
    elapsed_alike = elapsed = nan
    running: list[tuple[float, int]] = []
    for row in rows:
        start_s = start[row]
        if start_s <= at_s:
            if at_s < start_s + jobs.patience[row]:
                running.append((-start_s, row))
                elapsed = max(at_s - start_s, elapsed)
                if request_id(row) == request:
                    running_alike += 1
                    elapsed_alike = max(at_s - start_s, elapsed_alike)
        elif at_s < jobs.submit[row] + PATIENCE_S:
            waiting += 1
            waiting_alike += request_id(row) == request
    running.sort(key=_first)
    last = array("i", [row for _, row in running[:RUNNING_SLOTS]])
    last += _EMPTY[RUNNING_SLOTS - len(last)]
    counts = (len(running), waiting, running_alike, waiting_alike)
    return last, (*counts, elapsed_alike, elapsed)


_first = itemgetter(0)


def site_place(live: LiveJobs, at_s: float) -> int:
    """Return the place in `live.site` of the latest job that stands for the site, or below 0."""
    site, end = live.site, live.jobs.end
    stop = len(site)
    if stop and not end[site[-1]] <= at_s:
        stop = bisect_right(site, at_s, key=end.__getitem__)
    return (stop - 1) // SITE_STEP * SITE_STEP


def site_places(live: LiveJobs, at_s: Times) -> NDArray[np.int64]:
    """Return the same for n times: [n]."""
    times, which = np.unique(at_s, return_inverse=True)
    return np.array([site_place(live, time) for time in times.tolist()], np.int64)[which]


def site_rows(live: LiveJobs, place: int) -> OneRows:
    """Return the rows that stand for the site: [SITE_SLOTS]."""
    first = max(place - SITE_STEP * (SITE_SLOTS - 1), 0)
    rows = live.site[first : place + 1 : SITE_STEP] if place >= 0 else array("i")
    rows.reverse()
    return rows + _EMPTY[SITE_SLOTS - len(rows)]


class OpenJobs(NamedTuple):
    """What in flight is computed from once nobody waits for it."""

    jobs: Open
    rows: Rows
    """[e] rows of the entries"""
    known: NDArray[np.bool_]
    """[n] whether any job of the user is told of"""

    def in_flight(self, at_s: Times) -> tuple[Float, Rows]:
        """Return the figures [n, len(IN_FLIGHT)] and the rows of running jobs."""
        figures, running = in_flight(self.jobs, at_s)
        figures[~self.known] = nan
        return figures, np.append(self.rows, np.int32(NO_ROW))[running]


def rows_of_many(live: LiveJobs, keys: Ids, columns: Float, at_s: Times) -> tuple[Rows, OpenJobs]:
    """Return the rows of n asked jobs, [n, SLOTS] without the running ones, and what is open.

    keys: [n, len(TOKEN_KEYS)]; columns: [n, len(COLUMNS)].
    """
    jobs = live.jobs
    found = np.full((len(keys), SLOTS), NO_ROW, dtype=np.int32)
    asking = Traits(keys[:, USER], columns[:, _LOG_LIMIT])
    for place, key in enumerate(TOKEN_KEYS):
        rows = _last_rows(live, keys[:, place], at_s, key.walked)
        found[:, slots_of(key.name)] = choose(key, rows, rows >= 0, jobs.traits, asking)
    window = _last_rows(live, queue_ids(keys[:, USER]), at_s, QUEUED, queued=True)
    ended = jobs.rows.times_s[window, END] <= at_s[:, None]
    asked, column = np.nonzero((window >= 0) & ~ended)
    rows = window[asked, column]
    opened = _open(jobs, rows, asked, columns[asked, _REQUEST_ID])
    return found, OpenJobs(opened, rows, window[:, 0] >= 0)


def _open(
    jobs: KnownJobs, rows: Rows, asked: NDArray[np.intp], request: Float | np.float32
) -> Open:
    """Return what counts of jobs that have not ended: [e]."""
    times_s = jobs.rows.times_s.take(rows, axis=0)
    alike = jobs.rows.columns[rows, _REQUEST_ID] == request
    return Open(asked, times_s[:, SUBMIT], times_s[:, START], times_s[:, PATIENCE], alike)


def _last_rows(live: LiveJobs, keys: Ids, at_s: Times, width: int, *, queued: bool = False) -> Rows:
    """Return the last rows under each key that count by a time, the latest first: [n, width].

    Lists are cut once a key, and once more for each job that asks for a time before their last row.
    """
    time_of = (live.jobs.since if queued else live.jobs.end).__getitem__
    search = bisect_left if queued else bisect_right
    distinct, group = np.unique(keys, return_inverse=True)
    lists = live.lists.rows_of_all(distinct)
    pieces = [rows[max(len(rows) - width, 0) :] for rows in lists]
    last_s = np.array([time_of(rows[-1]) if rows else -np.inf for rows in lists])[group]
    for job in np.flatnonzero(last_s >= at_s if queued else last_s > at_s).tolist():
        rows = lists[group[job]]
        stop = search(rows, at_s[job], key=time_of)
        group[job] = len(pieces)
        pieces.append(rows[max(stop - width, 0) : stop])
    lengths = np.fromiter(map(len, pieces), np.int64, len(pieces))
    flat = np.frombuffer(b"".join(pieces), dtype=np.int32)
    stops = lengths.cumsum()
    inside = np.arange(width) < lengths[:, None]
    blocks = np.full(inside.shape, NO_ROW, dtype=np.int32)
    blocks[inside] = flat[(stops[:, None] - 1 - np.arange(width))[inside]]
    return blocks[group]
