"""Rows that answer one asked job, or many, from the lists of `LiveJobs`.

Both say the same, bit for bit. For one job numbers of Python are quickest, for many NumPy is. A
list is searched for a time only where its last job is later than that.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from math import inf, nan
from operator import itemgetter
from sys import maxsize
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rt_predictor.history.asked_tokens import END, PATIENCE, START, SUBMIT, Rows
from rt_predictor.history.choice import Traits, choose, nearest_of_one
from rt_predictor.history.columns import COLUMN, PATIENCE_S, AskedJob, Float, JobColumns, Times
from rt_predictor.history.in_flight import IN_FLIGHT, Open, are_others, in_flight
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
Places = NDArray[np.int64]
Figures = Sequence[float]

_KEYS = tuple((key.slots, key.walked, key.by_others, key.nearest) for key in TOKEN_KEYS)
_NOBODY = -1
"""Is the id of no user, nor of jobs without one."""

_EMPTY = tuple(array("i", [NO_ROW]) * slots for slots in range(max(SLOTS, SITE_SLOTS) + 1))
_REQUEST_ID, _LOG_LIMIT = COLUMN["request_id"], COLUMN["log_limit"]
_ASKED_LIMIT = slice(_LOG_LIMIT, _LOG_LIMIT + 1)
_NOTHING_KNOWN = (nan,) * len(IN_FLIGHT)
_FEW = 32
"""Jobs that are looked at one at a time: for more NumPy is quicker."""

_REACH = 256
"""Last rows of a list in which a time is searched at first: most ask for the present."""

_WHOLE = maxsize
_NONE_OPEN = (0.0, 0.0, 0.0, 0.0, nan, nan)


def rows_of_one(live: LiveJobs, asked: AskedJob, at_s: float) -> tuple[OneRows, Figures]:
    """Return the rows [SLOTS] and the figures in flight [len(IN_FLIGHT)] of one asked job."""
    jobs, lists, end = live.jobs, live.lists, live.jobs.end
    found = array("i")
    for key, (slots, walked, by_others, nearest) in zip(asked.keys, _KEYS, strict=True):
        rows = lists.rows(key)
        stop = len(rows)
        if stop and end[rows[-1]] > at_s:
            stop = bisect_right(rows, at_s, key=end.__getitem__)
        taken = rows[stop - walked if stop > walked else 0 : stop]
        taken.reverse()
        left_out = (by_others and asked.keys[USER]) or _NOBODY
        if nearest:
            taken = _nearest(jobs, taken, asked.columns[_ASKED_LIMIT], left_out, slots)
        elif left_out != _NOBODY:
            taken = array("i", _others(jobs, taken, left_out)[:slots].tobytes())
        found += taken[:slots]
        if len(taken) < slots:
            found += _EMPTY[slots - len(taken)]
    running, figures = _in_flight_of_one(live, asked, at_s)
    found += running
    return found, figures


def _nearest(
    jobs: KnownJobs, rows: OneRows, log_limit: Float, left_out: int, slots: int
) -> OneRows:
    """Return the rows whose limits are nearest, of users but one: [slots] or fewer."""
    limits, users, own = jobs.log_limit, jobs.user, log_limit.item()
    # None is nearer than those of the same limit: often the last jobs all have it.
    last = rows[:slots]
    if all(limits[row] == own and users[row] != left_out for row in last):
        return last
    numbers = _others(jobs, rows, left_out)
    order = nearest_of_one(jobs.traits.log_limits[numbers], log_limit)
    return array("i", numbers[order[:slots]].tobytes())


def _others(jobs: KnownJobs, rows: OneRows, left_out: int) -> Rows:
    """Return the rows of users but one."""
    numbers: Rows = np.frombuffer(rows, dtype=np.int32)
    if left_out == _NOBODY:
        return numbers
    others: Rows = numbers[jobs.traits.users.take(numbers) != np.array(left_out, np.uint64)]
    return others


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
    if left and at_s > asked.submit_s:
        left = _without_itself(jobs, left, asked, at_s)
    if not left:
        return _EMPTY[RUNNING_SLOTS], _NONE_OPEN
    if len(left) <= _FEW:
        return _count(jobs, left, float(asked.columns[_REQUEST_ID]), at_s)
    opened = _open(jobs, np.array(left), np.zeros(len(left), np.intp), asked.columns[_REQUEST_ID])
    counted, running = in_flight(opened, np.array([at_s]))
    last = array("i", [left[place] for place in running[0].tolist() if place >= 0])
    return last + _EMPTY[RUNNING_SLOTS - len(last)], counted[0].tolist()


def _without_itself(jobs: KnownJobs, rows: list[int], asked: AskedJob, at_s: float) -> list[int]:
    """Return the rows but that of the asked job, as `in_flight.are_others`."""
    submit, request = jobs.submit, float(asked.columns[_REQUEST_ID])
    own = [row for row in rows if submit[row] == asked.submit_s and jobs.request_id(row) == request]
    if not own:
        return rows

    def apart_s(row: int) -> float:
        theirs_s = jobs.start[row]
        if theirs_s <= at_s and asked.start_s <= at_s:
            return abs(theirs_s - asked.start_s)
        return inf if theirs_s <= at_s or asked.start_s <= at_s else 0.0

    itself = min(own, key=apart_s)
    return [row for row in rows if row != itself]


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


def rows_of_many(live: LiveJobs, asking: JobColumns, at_s: Times) -> tuple[Rows, OpenJobs]:
    """Return the rows of n asked jobs, [n, SLOTS] without the running ones, and what is open."""
    jobs, keys, columns = live.jobs, asking.keys, asking.columns
    found = np.full((len(keys), SLOTS), NO_ROW, dtype=np.int32)
    traits = Traits(keys[:, USER], columns[:, _LOG_LIMIT])
    for place, key in enumerate(TOKEN_KEYS):
        rows = _last_rows(live, keys[:, place], at_s, key.walked)
        found[:, slots_of(key.name)] = choose(key, rows, jobs.traits, traits)
    window = _last_rows(live, queue_ids(keys[:, USER]), at_s, QUEUED, queued=True)
    ended = jobs.rows.times_s[window, END] <= at_s[:, None]
    asked, column = np.nonzero((window >= 0) & ~ended)
    rows = window[asked, column]
    opened = _open(jobs, rows, asked, columns[asked, _REQUEST_ID])
    others = are_others(opened, asking.submit_s, asking.start_s, at_s)
    if not others.all():
        opened, rows = opened.part(others), rows[others]
    return found, OpenJobs(opened, rows, window[:, 0] >= 0)


def _open(
    jobs: KnownJobs, rows: Rows, asked: NDArray[np.intp], request: Float | np.float32
) -> Open:
    """Return what counts of jobs that have not ended: [e]."""
    times_s = jobs.rows.times_s.take(rows, axis=0)
    alike = jobs.rows.columns[rows, _REQUEST_ID] == request
    return Open(asked, times_s[:, SUBMIT], times_s[:, START], times_s[:, PATIENCE], alike)


def _last_rows(
    live: LiveJobs,
    keys: Ids,
    at_s: Times,
    width: int,
    *,
    queued: bool = False,
    reach: int = _REACH,
) -> Rows:
    """Return the last rows under each key that count by a time, the latest first: [n, width].

    Of each list the last `reach` rows are searched; for jobs that ask for an earlier time, all.
    """
    distinct, group = np.unique(keys, return_inverse=True)
    lists = live.lists.rows_of_all(distinct)
    lengths = np.fromiter(map(len, lists), np.int64, len(lists))
    held = np.minimum(lengths, reach)
    flat = np.frombuffer(b"".join([*(rows[-reach:] for rows in lists), _EMPTY[1]]), dtype=np.int32)
    stop = held.cumsum()
    first = stop - held
    times_s = live.jobs.since_s if queued else live.jobs.rows.times_s[:, END]
    counts, is_late = (np.less, np.greater_equal) if queued else (np.less_equal, np.greater)
    late = np.flatnonzero(is_late(times_s[flat[stop - 1]][group], at_s))
    if len(late):
        bounds = first[group[late]], stop[group[late]]
        stops = _stops(lambda rows: counts(times_s[rows], at_s[late]), flat, *bounds)
        cut = (held < lengths)[group[late]] & (stops - bounds[0] < width)
        group[late] = np.arange(len(first), len(first) + len(late))
        first, stop = np.append(first, bounds[0]), np.append(stop, stops)
    places = stop[:, None] - np.arange(1, width + 1)
    found = flat.take(places, mode="clip")
    np.copyto(found, NO_ROW, where=places < first[:, None])
    found = found.take(group, axis=0)
    if len(late) and cut.any():
        far = late[cut]
        found[far] = _last_rows(live, keys[far], at_s[far], width, queued=queued, reach=_WHOLE)
    return found


def _stops(
    counts: Callable[[Rows], NDArray[np.bool_]], flat: Rows, first: Places, stop: Places
) -> Places:
    """Return behind the last row that counts among flat[first:stop], for m such stretches: [m].

    counts: says of m rows, one of each stretch, which of them count.
    """
    found = first
    step = 1 << int((stop - first).max()).bit_length()
    while step := step >> 1:
        probe = found + step
        counting = (probe <= stop) & counts(flat.take(probe - 1, mode="clip"))
        found = np.where(counting, probe, found)
    return found
