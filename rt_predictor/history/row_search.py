"""Rows that answer one asked job, or many, from the lists of `LiveJobs`.

Both say the same, bit for bit. For one job numbers of Python are quickest, for many NumPy is. A
list is searched for a time only where its last job is later than that.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import islice
from math import inf, nan
from operator import itemgetter
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
    WALKED,
    queue_id,
    queue_ids,
    slots_of,
)
from rt_predictor.history.windows import Windows, windows_of, windows_of_all

OneRows: TypeAlias = "array[int]"
Figures = Sequence[float]

_KEYS = tuple((key.slots, key.walked, key.by_others, key.nearest) for key in TOKEN_KEYS)
_LATEST = [number for number, key in enumerate(TOKEN_KEYS) if key.walked == key.slots]
_WALKED = [number for number, key in enumerate(TOKEN_KEYS) if key.walked > key.slots]
_LATEST_KEYS = [TOKEN_KEYS[number] for number in _LATEST]
_WALKED_KEYS = [TOKEN_KEYS[number] for number in _WALKED]
"""Keys of which the latest jobs are taken as they come, and those that choose among `WALKED`."""

_LATEST_SLOTS, _WALKED_SLOTS = (
    [slots_of(key.name) for key in some] for some in (_LATEST_KEYS, _WALKED_KEYS)
)
_MOST_LATEST = max(key.slots for key in _LATEST_KEYS)

_NOBODY = -1
"""Is the id of no user, nor of jobs without one."""

_EMPTY = tuple(array("i", [NO_ROW]) * slots for slots in range(max(SLOTS, SITE_SLOTS) + 1))
_REQUEST_ID, _LOG_LIMIT = COLUMN["request_id"], COLUMN["log_limit"]
_ASKED_LIMIT = slice(_LOG_LIMIT, _LOG_LIMIT + 1)
_NOTHING_KNOWN = (nan,) * len(IN_FLIGHT)
_LOOKED_AT = 12
"""Jobs after which no more are looked at one at a time for those of the same limit."""

_FEW = 32
"""Jobs that are looked at one at a time: for more NumPy is quicker."""

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
            user = jobs.user
            taken = array("i", islice((row for row in taken if user[row] != left_out), slots))
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
    # None is nearer than those of the same limit: often there are enough of them.
    alike = array("i")
    for index, row in enumerate(rows):
        if limits[row] == own:
            if users[row] != left_out:
                alike.append(row)
                if len(alike) == slots:
                    return alike
        elif index >= _LOOKED_AT and not alike:
            break
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
    last = array("i", [left[index] for index in running[0].tolist() if index >= 0])
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


def site_index(live: LiveJobs, at_s: float) -> int:
    """Return the index in `live.site` of the latest job that stands for the site, or below 0."""
    site, end = live.site, live.jobs.end
    stop = len(site)
    if stop and not end[site[-1]] <= at_s:
        stop = bisect_right(site, at_s, key=end.__getitem__)
    return (stop - 1) // SITE_STEP * SITE_STEP


def site_rows(live: LiveJobs, index: int) -> OneRows:
    """Return the rows that stand for the site: [SITE_SLOTS]."""
    first = max(index - SITE_STEP * (SITE_SLOTS - 1), 0)
    rows = live.site[first : index + 1 : SITE_STEP] if index >= 0 else array("i")
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
    users = keys[:, USER]
    codes = live.lists.codes_of(np.concatenate([*keys.T, queue_ids(users)]))
    codes = codes.reshape(len(TOKEN_KEYS) + 1, -1)
    rows, of = windows_of_all(live, codes[_LATEST], at_s, _MOST_LATEST)
    for slots, windows in zip(_LATEST_SLOTS, of, strict=True):
        found[:, slots] = rows[:, : slots.stop - slots.start].take(windows, axis=0)
    rows, of = windows_of_all(live, codes[_WALKED], at_s, WALKED)
    asked_traits = Traits(users, columns[:, _LOG_LIMIT])
    chosen = choose(_WALKED_KEYS, rows, of, jobs.traits, asked_traits)
    for slots, taken in zip(_WALKED_SLOTS, chosen, strict=True):
        found[:, slots] = taken
    queues = windows_of(live, codes[-1], at_s, QUEUED, queued=True)
    asked, rows = _not_ended(jobs, queues, at_s)
    opened = _open(jobs, rows, asked, columns[asked, _REQUEST_ID])
    others = are_others(opened, asking.submit_s, asking.start_s, at_s)
    if not others.all():
        opened, rows = opened.part(others), rows[others]
    return found, OpenJobs(opened, rows, (queues.rows[:, 0] >= 0)[queues.of])


def _not_ended(jobs: KnownJobs, queues: Windows, at_s: Times) -> tuple[NDArray[np.intp], Rows]:
    """Return the jobs in the windows of n asked ones that have not ended: [e], [e].

    That is, whose asked job each is, ascending, and their rows, those submitted last first.
    """
    rows, of = queues
    first_s = np.full(len(rows), inf)
    np.minimum.at(first_s, of, at_s)
    # Most have ended for all that ask: only the others are looked at for each that asks.
    left = (rows >= 0) & ~(jobs.rows.times_s[rows, END] <= first_s[:, None])
    counts = np.add.reduce(left, axis=1, dtype=np.intp)
    each = counts[of]
    asked = np.repeat(np.arange(len(of)), each)
    before = (counts.cumsum() - counts)[of] - (each.cumsum() - each)
    entries = rows[left].take(np.arange(len(asked)) + np.repeat(before, each))
    still = ~(jobs.rows.times_s[entries, END] <= at_s[asked])
    return asked[still], entries[still]


def _open(
    jobs: KnownJobs, rows: Rows, asked: NDArray[np.intp], request: Float | np.float32
) -> Open:
    """Return what counts of jobs that have not ended: [e]."""
    times_s = jobs.rows.times_s.take(rows, axis=0)
    alike = jobs.rows.columns[rows, _REQUEST_ID] == request
    return Open(asked, times_s[:, SUBMIT], times_s[:, START], times_s[:, PATIENCE], alike)
