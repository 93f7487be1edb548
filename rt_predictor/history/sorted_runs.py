"""Finished jobs in columns, sorted once and never changed: what an `EventStore` is made of.

The events stand in the order of their end (then runtime, then share of the limit used), so that
what had ended at some time is a prefix; each key has the ascending list of its rows.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from rt_predictor.history.key_ids import ABOVE_ALL_IDS, NO_KEY, Ids
from rt_predictor.history.windows import WINDOW_RUNS, Float, Windows

Times = NDArray[np.float64]
Rows = NDArray[np.int32]
Places = NDArray[np.int64]

_NO_END = -np.inf
_HIDDEN = np.float32(np.nan)

_FEW_IDS = 64
"""Ids that are looked up as they come."""

_MERGED_ENTRIES = 1 << 20
"""Entries that are merged at a time: bounds the memory that a merge takes on top."""


@dataclass(frozen=True)
class SortedRuns:
    """n events under k keys; a key is known by its slot, 0 to k - 1, and slot k has no events.

    Event n is none: it stands for what a window lacks.
    """

    end_s: Times
    """[n + 1] ascending; then -inf"""
    runtime_s: Float
    """[n + 1]; the last is NaN"""
    used: Float
    """[n + 1] runtime / limit; NaN where the job had no limit, and the last"""
    ids: Ids
    """[k + 1] ascending; the last stands for the slot without events"""
    starts: Rows
    """[k + 2] where the list of each slot begins in `events`, and where the next one does"""
    events: Rows
    """[e + 1] lists of events, one a slot, ascending; then n"""

    def __len__(self) -> int:
        return len(self.end_s) - 1

    @property
    def keys(self) -> int:
        """Keys that have events; the slot of any other key."""
        return len(self.ids) - 1

    def find(self, ids: Ids, order: Places | None) -> Places:
        """Slot of each id: [m]. `order` sorts the ids, where there are many (`search_order`)."""
        asked = ids if order is None else ids[order]
        places = self.ids.searchsorted(asked)
        places[self.ids[places] != asked] = self.keys
        if order is None:
            return places
        slots = np.empty_like(places)
        slots[order] = places
        return slots

    def ended(self, slots: Places, at_s: Times) -> Places:
        """Where in `events` the list of each slot has ended, as of the times: [m]."""
        limits = self.end_s[:-1].searchsorted(at_s, side="right").astype(np.int32)
        stops = self.starts[slots].astype(np.int64)
        lists_end = self.starts[slots + 1].astype(np.int64)
        step = 1 << int((lists_end - stops).max(initial=0)).bit_length()
        while step := step >> 1:
            further = stops + step
            inside = further <= lists_end
            further *= inside
            inside &= self.events[further - 1] < limits
            stops += step * inside
        return stops

    def windows_before(self, slots: Places, stops: Places) -> "RunWindows":
        """The last events of each slot before places in `events`."""
        places = stops[:, None] - np.arange(1, WINDOW_RUNS + 1)
        places[places < self.starts[slots][:, None]] = len(self.events) - 1
        events = self.events[places]
        return RunWindows(self.end_s[events], self.runtime_s[events], self.used[events])


@dataclass(frozen=True)
class RunWindows:
    """m windows, latest run first."""

    end_s: Times
    """[m, WINDOW_RUNS]; -inf where there is no run"""
    runtime_s: Float
    """[m, WINDOW_RUNS]"""
    used: Float
    """[m, WINDOW_RUNS]"""

    def without_ends(self) -> Windows:
        """What the statistics are computed from."""
        return Windows(self.runtime_s, self.used)

    def take_in(self, rows: Places, newer: "RunWindows") -> None:
        """Makes some of these the windows of both sets of events.

        Fast where all of `newer` ended after these, right in any case.
        """
        place = np.arange(WINDOW_RUNS)
        counts = np.count_nonzero(newer.end_s > -np.inf, axis=1)[:, None]
        order = place + (WINDOW_RUNS - counts) * (place >= counts)
        end_s = np.concatenate((newer.end_s, self.end_s[rows]), axis=1)
        runtime_s = np.concatenate((newer.runtime_s, self.runtime_s[rows]), axis=1)
        used = np.concatenate((newer.used, self.used[rows]), axis=1)
        earliest = np.take_along_axis(newer.end_s, counts - 1, axis=1)[:, 0]
        mixed = np.flatnonzero(end_s[:, WINDOW_RUNS] >= earliest)
        if len(mixed):
            ascending = np.lexsort((used[mixed], runtime_s[mixed], end_s[mixed]), axis=1)
            order[mixed] = ascending[:, : WINDOW_RUNS - 1 : -1]
        order += np.arange(0, end_s.size, 2 * WINDOW_RUNS)[:, None]
        self.end_s[rows] = end_s.ravel()[order]
        self.runtime_s[rows] = runtime_s.ravel()[order]
        self.used[rows] = used.ravel()[order]


def search_order(ids: Ids) -> Places | None:
    """In what order to look many ids up: a sorted search stays in the cache. None for a few."""
    return None if len(ids) <= _FEW_IDS else ids.argsort(kind="stable")


def sort_runs(ids: Ids, end_s: Times, runtime_s: Float, used: Float) -> SortedRuns:
    """Sorts events in any order; `ids` is [n, kinds of keys], `NO_KEY` where there is none."""
    order = _by_end(end_s, runtime_s, used)
    ids = ids[order]
    rows, kinds = np.nonzero(ids != NO_KEY)
    entries = ids[rows, kinds]
    by_key = np.argsort(entries, kind="stable")
    entries = entries[by_key]
    firsts = np.flatnonzero(np.append(True, entries[1:] != entries[:-1])[: len(entries)])
    return SortedRuns(
        np.append(end_s[order], _NO_END),
        np.append(runtime_s[order], _HIDDEN),
        np.append(used[order], _HIDDEN),
        np.append(entries[firsts], ABOVE_ALL_IDS),
        np.append(firsts, [len(rows), len(rows)]).astype(np.int32),
        np.append(rows[by_key], len(order)).astype(np.int32),
    )


@dataclass(frozen=True)
class Merged:
    """Two sets of events as one."""

    runs: SortedRuns
    slots_a: Places
    """New slots of the first's slots"""
    slots_b: Places
    """New slots of the second's"""


def merge_runs(a: SortedRuns, b: SortedRuns) -> Merged:
    """The union of two sets of events."""
    end_s = np.concatenate((a.end_s[:-1], b.end_s[:-1]))
    runtime_s = np.concatenate((a.runtime_s[:-1], b.runtime_s[:-1]))
    used = np.concatenate((a.used[:-1], b.used[:-1]))
    order = _by_end(end_s, runtime_s, used)
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    ids = np.concatenate((a.ids, b.ids))
    ids.sort(kind="stable")  # merges two sorted halves in linear time
    ids = ids[np.append(True, ids[1:] != ids[:-1])]
    slots_a, slots_b = ids.searchsorted(a.ids), ids.searchsorted(b.ids)
    counts = np.zeros(len(ids), dtype=np.int64)
    counts[slots_a] = np.diff(a.starts)
    counts[slots_b] += np.diff(b.starts)
    starts = np.concatenate(([0], np.cumsum(counts)))
    events = np.full(starts[-1] + 1, len(order), dtype=np.int32)
    for low, high in _pieces(starts):
        entries = np.concatenate(
            (
                _entries(a, slots_a, rank[: len(a)], low, high),
                _entries(b, slots_b, rank[len(a) :], low, high),
            )
        )
        entries.sort(kind="stable")
        events[starts[low] : starts[high]] = entries & 0xFFFF_FFFF
    runs = SortedRuns(
        np.append(end_s[order], _NO_END),
        np.append(runtime_s[order], _HIDDEN),
        np.append(used[order], _HIDDEN),
        ids,
        starts.astype(np.int32),
        events,
    )
    return Merged(runs, slots_a, slots_b)


def _pieces(starts: Places) -> list[tuple[int, int]]:
    """Ranges of slots of about `_MERGED_ENTRIES` entries each, or one slot with more."""
    slots = len(starts) - 1
    cuts = starts.searchsorted(np.arange(_MERGED_ENTRIES, starts[-1], _MERGED_ENTRIES))
    edges = np.unique(np.concatenate(([0], cuts, [slots]))).tolist()
    return list(pairwise(edges))


def _entries(runs: SortedRuns, slots: Places, rank: Places, low: int, high: int) -> Places:
    """New slot and new row of each entry in a range of new slots, as one number."""
    first, stop = slots.searchsorted([low, high])
    inside = slice(runs.starts[first], runs.starts[stop])
    owners = np.repeat(slots[first:stop] << 32, np.diff(runs.starts[first : stop + 1]))
    return owners | rank[runs.events[inside]]


def keep_runs(runs: SortedRuns, first_event: int, slots: NDArray[np.bool_]) -> SortedRuns:
    """Only the events from a row on, and only the keys that `slots` [k] says and that have any."""
    entry_kept = runs.events[:-1] >= first_event
    entry_kept &= np.repeat(slots, np.diff(runs.starts[:-1]))
    kept_before = np.concatenate(([0], np.cumsum(entry_kept)))
    starts = kept_before[runs.starts[:-1]]
    slot_kept = np.diff(starts) > 0
    rows = runs.events[:-1][entry_kept] - first_event
    return SortedRuns(
        runs.end_s[first_event:].copy(),
        runs.runtime_s[first_event:].copy(),
        runs.used[first_event:].copy(),
        np.append(runs.ids[:-1][slot_kept], ABOVE_ALL_IDS),
        np.append(starts[:-1][slot_kept], [len(rows), len(rows)]).astype(np.int32),
        np.append(rows, np.int32(len(runs) - first_event)),
    )


def _by_end(end_s: Times, runtime_s: Float, used: Float) -> Places:
    """Order by end, runtime, share used. Fast where the times are sorted in long pieces."""
    order = np.argsort(end_s, kind="stable")
    ordered = end_s[order]
    same = ordered[1:] == ordered[:-1]
    tied = np.flatnonzero(np.append(same, False) | np.insert(same, 0, False))
    among = order[tied]
    order[tied] = among[np.lexsort((used[among], runtime_s[among], end_s[among]))]
    return order
