"""The last jobs under the keys of many asked jobs: each list is looked at once, however many ask.

Most ask for the present, when all jobs of a list have become known: then the last rows of the list
answer all of them. A list is searched only for those who ask for an earlier time.
"""

from array import array
from collections.abc import Callable, Sequence
from sys import maxsize
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rt_predictor.history.asked_tokens import END, Rows
from rt_predictor.history.columns import Times
from rt_predictor.history.live_jobs import LiveJobs
from rt_predictor.history.token_keys import NO_ROW, SITE_STEP

Places = NDArray[np.int64]

_REACH = 256
"""Last rows of a list in which a time is searched at first."""

_WHOLE = maxsize
_NO_JOB = array("i", [NO_ROW])


class Windows(NamedTuple):
    """The last rows under the keys of n asked jobs."""

    rows: Rows
    """[g, width] the latest first; `NO_ROW` behind the earliest"""
    of: NDArray[np.intp]
    """[n] which of them is that of each asked job"""


def windows_of(
    live: LiveJobs, codes: Rows, at_s: Times, width: int, *, queued: bool = False
) -> Windows:
    """Return the last `width` rows that count by each of n times, in each of n lists.

    Those of finished jobs count whose end is at the time or before; those of submitted ones
    (`queued`) that were known before it.

    Args:
        live: all that is known.
        codes: [n] lists, as `RowLists.codes_of` gives them.
        at_s: [n]
        width: of the windows.
        queued: whether the lists are of submitted jobs.
    """
    distinct, of = _grouped(codes)
    lists = live.lists.lists_of(distinct)
    rows = _before(*_tails(lists, width), width)
    times_s = live.jobs.since_s if queued else live.jobs.rows.times_s[:, END]
    is_late = np.greater_equal if queued else np.greater
    late = np.flatnonzero(is_late(times_s[rows[:, 0]][of], at_s))
    if not len(late):
        return Windows(rows, of)
    counts = np.less if queued else np.less_equal

    def counting(found: Rows, asked_s: Times) -> NDArray[np.bool_]:
        answer: NDArray[np.bool_] = counts(times_s[found], asked_s)
        return answer

    earlier = _earlier(lists, of[late], at_s[late], counting, width=width)
    of[late] = np.arange(len(rows), len(rows) + len(late))
    return Windows(np.concatenate([rows, earlier]), of)


def windows_of_all(live: LiveJobs, codes: Rows, at_s: Times, width: int) -> Windows:
    """Return the same under k keys of each of n asked jobs: codes [k, n], and so is `Windows.of`.

    Together, for of few it is the number of NumPy's calls that takes time.
    """
    rows, of = windows_of(live, codes.reshape(-1), np.tile(at_s, len(codes)), width)
    return Windows(rows, of.reshape(codes.shape))


def site_indices(live: LiveJobs, at_s: Times) -> NDArray[np.int64]:
    """Return `row_search.site_index` of n times: [n]."""
    found = np.full(len(at_s), len(live.site), dtype=np.int64)
    late = ~(live.jobs.end[live.site[-1]] <= at_s) if live.site else np.zeros(0, dtype=np.bool_)
    if late.any():
        site, end_s = np.frombuffer(live.site, dtype=np.int32), live.jobs.rows.times_s[:, END]
        asked_s, stop = at_s[late], found[late]
        # Of NaN no time is later, as `bisect` has it.
        found[late] = _stops(lambda rows: ~(end_s[rows] > asked_s), site, 0 * stop, stop)
    return (found - 1) // SITE_STEP * SITE_STEP


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


def _grouped(codes: Rows) -> tuple[Rows, NDArray[np.intp]]:
    """Return the distinct ones of n codes, and which of them each is: [n]."""
    order = codes.argsort()
    ordered = codes.take(order)
    is_first = np.ones(len(codes), dtype=np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=is_first[1:])
    of = np.empty(len(codes), dtype=np.intp)
    of[order] = is_first.cumsum() - 1
    return ordered[is_first], of


def _earlier(
    lists: "Sequence[array[int]]",
    of: NDArray[np.intp],
    at_s: Times,
    counting: Callable[[Rows, Times], NDArray[np.bool_]],
    *,
    width: int,
    reach: int = _REACH,
) -> Rows:
    """Return the windows of m asked jobs that ask for the past: [m, width].

    Of each list the last `reach` rows are searched; where that does not suffice, all.
    """
    asked, which = np.unique(of, return_inverse=True)
    searched = [lists[index] for index in asked.tolist()]
    flat, first, stop = _tails(searched, reach)
    first, whole = first[which], stop[which]
    stop = _stops(lambda rows: counting(rows, at_s), flat, first, whole)
    found = _before(flat, first, stop, width)
    lengths = np.fromiter(map(len, searched), np.int64, len(searched))[which]
    cut = (whole - first < lengths) & (stop - first < width)
    if cut.any():
        found[cut] = _earlier(lists, of[cut], at_s[cut], counting, width=width, reach=_WHOLE)
    return found


def _tails(lists: "Sequence[array[int]]", most: int) -> tuple[Rows, Places, Places]:
    """Return the last rows of lists in one array, and where those of each begin and end: [g]."""
    tails = [rows[-most:] for rows in lists]
    lengths = np.fromiter(map(len, tails), np.int64, len(tails))
    stop = lengths.cumsum()
    flat = np.frombuffer(b"".join([*tails, _NO_JOB]), dtype=np.int32)
    return flat, stop - lengths, stop


def _before(flat: Rows, first: Places, stop: Places, width: int) -> Rows:
    """Return the last rows of the stretches flat[first:stop], the last one first: [g, width]."""
    positions = stop[:, None] - np.arange(1, width + 1)
    found = flat.take(positions, mode="clip")
    np.copyto(found, NO_ROW, where=positions < first[:, None])
    return found
