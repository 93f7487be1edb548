"""What is known of jobs while serving: events come in, and are asked for as of any time.

One thread adds, any number of threads ask. A lock keeps those who ask from seeing half an event; it
is held for the time of a few events, or of finding the rows of some asked jobs, and the writer
makes way for whoever waits. Columns are gathered without it: what a row says of a finished job does
not change, and of one that runs only what was known before is read.

What is kept must not depend on how the log was cut into pieces, or two workers, and a worker before
and after its restart, would answer differently. So the limits are looked at just before every
`EVICTION_EVERY`-th event is taken in, and are exceeded by at most so many in between.
"""

import time
from collections.abc import Iterator
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rt_predictor.history.asked_tokens import AskedTokens, Found, gather, gather_one, joined
from rt_predictor.history.columns import (
    COLUMNS,
    REQUEST,
    AskedJob,
    Float,
    JobColumns,
    Times,
)
from rt_predictor.history.keeping import kept_rows
from rt_predictor.history.known_jobs import Arrays, Events
from rt_predictor.history.live_jobs import LiveJobs
from rt_predictor.history.row_search import (
    rows_of_many,
    rows_of_one,
    site_index,
    site_rows,
)
from rt_predictor.history.token_keys import SITE_SLOTS, slots_of
from rt_predictor.history.value_ids import Ids
from rt_predictor.history.windows import site_indices

EVICTION_EVERY = 1 << 13
"""Events between two looks at the limits."""

EVICTED_SHARE = 0.1
"""Share that goes when there are too many, so that there is room for a while."""

_TOGETHER = 16
"""Events that are taken in while those who ask wait."""

_WAY_S = 1e-4
"""How long the writer waits when somebody asks."""

_PIECE = 1024
"""Asked jobs whose rows are found at a time."""

_PREPARED = 1 << 13
"""Events that are made numbers of Python at a time: bounds memory."""

_RUNNING = slots_of("running")
_FIRST = np.zeros(1, dtype=np.intp)


class JobStore:
    """Jobs in memory."""

    def __init__(self, max_events: int, max_keys: int) -> None:
        """An empty store.

        Args:
            max_events: jobs that are kept; beyond, `keeping` says which go.
            max_keys: keys under which jobs are kept.
        """
        self.max_events = max_events
        self.max_keys = max_keys
        self._arrived = 0
        self._live = LiveJobs()
        self._lock = Lock()
        self._somebody_waits = False
        self._site_key: tuple[object, ...] = ()
        self._site = np.empty((1, 0), np.int32), np.empty((1, 0, len(COLUMNS)), np.float32)

    def __len__(self) -> int:
        """Jobs that the store holds."""
        return self._live.jobs.count

    @property
    def keys(self) -> int:
        """Keys that the store holds."""
        return self._live.keys

    @property
    def arrived(self) -> int:
        """Events that were ever added."""
        return self._arrived

    @property
    def size_bytes(self) -> int:
        """Memory that the store takes, about."""
        return self._live.size_bytes

    def add(self, events: JobColumns, sources: Ids | None = None) -> None:
        """Takes n events in, in the order of the log. On the writer's thread.

        `told` says what an event tells; it names the job by `ident` and says what was asked for, as
        far as it knows. An event again, or one of a kind that was told before, changes nothing.
        Where events of a job say different requests, that of the latest kind counts.

        sources: [n] ids of the clients that tell them, 0 for all that are trusted together; None
        where all are.
        """
        if sources is None:
            sources = np.zeros(len(events), np.uint64)
        for piece in _pieces_between_evictions(self._arrived, len(sources), _PREPARED):
            if is_eviction_due(self._arrived):
                self.evict()
            self._take(events.part(piece), sources[piece])
            self._arrived += piece.stop - piece.start

    def _take(self, jobs: JobColumns, sources: Ids) -> None:
        live, events = self._live, Events.of(jobs, sources)
        count = len(sources)
        roomy = live.jobs.with_room(count)
        with self._lock:
            live.jobs = roomy
        for first in range(0, count, _TOGETHER):
            with self._lock:
                for index in range(first, min(first + _TOGETHER, count)):
                    live.apply(events, index)
            if self._somebody_waits:
                self._somebody_waits = False
                time.sleep(_WAY_S)

    def changed_requests(self, events: JobColumns) -> NDArray[np.bool_]:
        """Return which of n events may change what a known job has asked for: [n].

        The job is in the store, or an earlier event of the n tells of it. On the writer's thread.
        """
        requests = _request_bits(events.columns)
        order = np.argsort(events.ident, kind="stable")
        again = np.flatnonzero(events.ident[order[1:]] == events.ident[order[:-1]])
        earlier, later = order[again], order[again + 1]
        changed = np.zeros(len(requests), dtype=np.bool_)
        changed[later] = (requests[later] != requests[earlier]).any(axis=1)
        rows = self._live.rows_of(events.ident)
        known = np.flatnonzero(rows >= 0)
        of_store = _request_bits(self._live.jobs.rows.columns[rows[known]])
        changed[known] |= (requests[known] != of_store).any(axis=1)
        return changed

    def evict(self) -> None:
        """Drops what is beyond the limits. On the writer's thread."""
        if len(self) <= self.max_events and self.keys <= self.max_keys:
            return
        live = self._live
        most = _room(len(self), self.max_events), _room(self.keys, self.max_keys)
        self._live = live.kept(kept_rows(live.jobs.to_arrays(), live.lists.to_arrays(), *most))

    def tokens_of_one(self, asked: AskedJob, at_s: float) -> AskedTokens:
        """Return what was known at a time of one asked job, as `tokens_of` with n = 1."""
        self._make_writer_wait()
        try:
            live = self._live
            rows, figures = rows_of_one(live, asked, at_s)
            index = site_index(live, at_s)
            site_key = live, len(live.site), live.site_changes, index
            known = live.jobs.rows
            if self._site_key != site_key:
                numbers = np.array(site_rows(live, index), dtype=np.int32)[None]
                self._site = numbers, known.columns.take(numbers, axis=0)
                self._site_key = site_key
            site_answer = self._site
        finally:
            self._lock.release()
        of_job = np.frombuffer(rows, np.int32)[None]
        in_flight = np.array([figures], dtype=np.float32)
        found = Found(of_job, in_flight, *site_answer, _FIRST)
        return gather_one(known, found, asked.submit_s, at_s)

    def tokens_of(self, asked: JobColumns, at_s: Times) -> AskedTokens:
        """Return what was known at each of n times [n] of n asked jobs."""
        pieces = [
            self._piece_of(asked.part(slice(first, first + _PIECE)), at_s[first : first + _PIECE])
            for first in range(0, max(len(at_s), 1), _PIECE)
        ]
        return pieces[0] if len(pieces) == 1 else joined(pieces)

    def _piece_of(self, asked: JobColumns, at_s: Times) -> AskedTokens:
        self._make_writer_wait()
        try:
            live = self._live
            rows, queued = rows_of_many(live, asked, at_s)
            indices, site_of = _distinct(site_indices(live, at_s))
            sites = [site_rows(live, index) for index in indices.tolist()]
            known = live.jobs.rows
        finally:
            self._lock.release()
        figures, rows[:, _RUNNING] = queued.in_flight(at_s)
        numbers = np.array(sites, dtype=np.int32).reshape(-1, SITE_SLOTS)
        site_columns = known.columns.take(numbers, axis=0)
        found = Found(rows, figures, numbers, site_columns, site_of)
        return gather(known, found, asked.submit_s, at_s)

    def _make_writer_wait(self) -> None:
        if not self._lock.acquire(blocking=False):
            self._somebody_waits = True
            self._lock.acquire()

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return all that the store holds, by name. On the writer's thread.

        Some are views: they are to be written before the next event is added.
        """
        return self._live.to_arrays() | {"arrived": np.array([self._arrived])}

    @classmethod
    def of(cls, arrays: Arrays, max_events: int, max_keys: int) -> "JobStore":
        """Return a store that goes on from what another's `to_arrays` gave."""
        store = cls(max_events, max_keys)
        store._live = LiveJobs.of(arrays)
        store._arrived = int(arrays["arrived"][0])
        return store


def _pieces_between_evictions(arrived: int, count: int, most: int) -> Iterator[slice]:
    """Yield the pieces of a batch of `count` events that comes after `arrived` others.

    Each has at most `most` events, and a look at the limits falls on the first of a piece alone.
    """
    start = 0
    while start < count:
        before_next = EVICTION_EVERY - (arrived + start) % EVICTION_EVERY
        stop = min(start + min(before_next, most), count)
        yield slice(start, stop)
        start = stop


def is_eviction_due(arrived: int) -> bool:
    """Return whether the limits are looked at before the event after `arrived` others."""
    return arrived % EVICTION_EVERY == 0


def _room(present: int, most: int) -> int:
    """Return how many of those present may stay: all, or so few that there is room for a while."""
    return present if present <= most else max(int(most * (1 - EVICTED_SHARE)), 1)


def _distinct(indices: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
    """Return the distinct ones of n indices, and which of them each is; mostly all are the same."""
    if len(indices) and (indices == indices[0]).all():
        return indices[:1], np.zeros(len(indices), dtype=np.intp)
    return np.unique(indices, return_inverse=True)


def _request_bits(columns: Float) -> NDArray[np.uint32]:
    """[n, k] the bits of what n jobs ask for: what is missing equals what is missing."""
    return np.ascontiguousarray(columns[:, REQUEST]).view(np.uint32)
