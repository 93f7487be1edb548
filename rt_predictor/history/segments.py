"""Sorted runs with the answers for now: pieces of an `EventStore`, oldest and largest first.

A key may be in several segments. What its newest window says is kept in the newest segment that has
it, and takes in what the older ones hold; a prediction for now therefore reads one row a key. A
time before a key's newest end is answered from the runs of all segments.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rt_predictor.history.key_ids import Ids
from rt_predictor.history.sorted_runs import (
    RunWindows,
    SortedRuns,
    Times,
    keep_runs,
    merge_runs,
    search_order,
)
from rt_predictor.history.windows import STATISTICS, WINDOW_RUNS, Float, window_statistics

_PIECE = 1 << 14
"""Windows that are computed at a time: bounds memory."""


@dataclass(frozen=True)
class Known:
    """What is known of m keys."""

    statistics: Float
    """[m, len(STATISTICS)]"""
    newest_end_s: Times
    """[m] end of the latest run; NaN where there is none."""


@dataclass(frozen=True)
class Segment:
    """Runs, and what is known of their keys by now."""

    runs: SortedRuns
    known: Known
    """[k + 1] by slot; the last says that nothing is known."""


def known_now(segments: Sequence[Segment], ids: Ids) -> Known:
    """What all events say of each key: m ids."""
    order = search_order(ids)
    oldest, *newer = segments
    slots = oldest.runs.find(ids, order)
    statistics = oldest.known.statistics[slots]
    newest_end_s = oldest.known.newest_end_s[slots]
    for segment in newer:
        slots = segment.runs.find(ids, order)
        found = (slots != segment.runs.keys).nonzero()[0]
        if len(found):
            slots = slots[found]
            statistics[found] = segment.known.statistics[slots]
            newest_end_s[found] = segment.known.newest_end_s[slots]
    return Known(statistics, newest_end_s)


def known_at(pieces: Sequence[SortedRuns], ids: Ids, at_s: Times) -> Known:
    """What the events that had ended at a time say of each key: m ids, m times."""
    known = Known(np.empty((len(ids), len(STATISTICS)), dtype=np.float32), np.empty(len(ids)))
    for start in range(0, len(ids), _PIECE):
        piece = slice(start, start + _PIECE)
        windows = _windows_at(pieces, ids[piece], at_s[piece])
        known.statistics[piece] = window_statistics(windows.without_ends())
        end_s = windows.end_s[:, 0]
        known.newest_end_s[piece] = np.where(end_s > -np.inf, end_s, np.nan)
    return known


def _windows_at(pieces: Sequence[SortedRuns], ids: Ids, at_s: Times) -> RunWindows:
    order = search_order(ids)
    oldest, *newer = pieces
    slots = oldest.find(ids, order)
    windows = oldest.windows_before(slots, oldest.ended(slots, at_s))
    for runs in newer:
        slots = runs.find(ids, order)
        stops = runs.ended(slots, at_s)
        rows = np.flatnonzero(stops > runs.starts[slots])
        if len(rows):
            windows.take_in(rows, runs.windows_before(slots[rows], stops[rows]))
    return windows


def segment_after(older: Sequence[Segment], runs: SortedRuns) -> Segment:
    """A segment of new events, which knows what the older ones hold."""
    at_s = np.full(len(runs.ids), np.inf)
    return Segment(runs, known_at((*(segment.runs for segment in older), runs), runs.ids, at_s))


def merge_segments(older: Segment, newer: Segment) -> Segment:
    """Two neighbours as one."""
    merged = merge_runs(older.runs, newer.runs)
    known = Known(
        np.empty((len(merged.runs.ids), len(STATISTICS)), dtype=np.float32),
        np.empty(len(merged.runs.ids)),
    )
    for part, slots in ((older, merged.slots_a), (newer, merged.slots_b)):
        known.statistics[slots] = part.known.statistics
        known.newest_end_s[slots] = part.known.newest_end_s
    return Segment(merged.runs, known)


def trim_segment(segment: Segment, max_events: int, max_keys: int) -> Segment:
    """Without the events that ended first, beyond `max_events`, and the keys idle longest.

    `segment` holds all events there are.
    """
    runs, known = segment.runs, segment.known
    first_event = max(len(runs) - max_events, 0)
    kept = keep_runs(runs, first_event, _least_idle(known.newest_end_s[:-1], max_keys))
    old_slots = runs.ids.searchsorted(kept.ids)
    left, had = np.diff(kept.starts), np.diff(runs.starts)[old_slots]
    shorter = np.flatnonzero((left < had) & (left < WINDOW_RUNS))
    statistics, newest_end_s = known.statistics[old_slots], known.newest_end_s[old_slots]
    again = known_at((kept,), kept.ids[shorter], np.full(len(shorter), np.inf))
    statistics[shorter] = again.statistics
    newest_end_s[shorter] = again.newest_end_s
    return Segment(kept, Known(statistics, newest_end_s))


def _least_idle(newest_end_s: Times, max_keys: int) -> NDArray[np.bool_]:
    """Which slots to keep: [k]."""
    kept = np.ones(len(newest_end_s), dtype=np.bool_)
    kept[np.argsort(newest_end_s, kind="stable")[: max(len(kept) - max_keys, 0)]] = False
    return kept
