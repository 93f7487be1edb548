"""What serving knows of finished jobs: all of the latest ones, to be asked as of any time.

Events lie in a few immutable segments of falling size; a new batch makes a segment, which is merged
into the one before while that is not much larger (a log-structured merge tree). Readers take the
tuple of segments as it is at the moment, so that they see whole pieces of a batch and never wait;
one writer at a time replaces it. Answers equal `LogHistory`'s for the same events, whatever the
order in which they arrived.
"""

from functools import reduce

import numpy as np
import polars as pl

from rt_predictor.history.eviction import is_eviction_due, pieces_between_evictions, room
from rt_predictor.history.key_ids import Ids, key_ids
from rt_predictor.history.keys import KEYS
from rt_predictor.history.replay import COLUMNS_A_KEY
from rt_predictor.history.segments import (
    Segment,
    known_at,
    known_now,
    merge_segments,
    segment_after,
    trim_segment,
)
from rt_predictor.history.sorted_runs import SortedRuns, Times, sort_runs
from rt_predictor.history.windows import STATISTICS, Float
from rt_predictor.jobs.schema import JOB_SCHEMA

DEFAULT_MAX_KEYS = 1_000_000

BYTES_AN_EVENT = 16 + 4 * len(KEYS)
"""Memory of one event: end (8), runtime (4), share used (4), and its row under each of its keys."""

BYTES_A_KEY = 8 + 4 + 4 * len(STATISTICS) + 8
"""Memory of one key: id (8), start of its list (4), statistics, newest end (8)."""

_SIZE_RATIO = 8
"""A segment has at least so many times the events of the next, or they are merged."""

_SMALL_SEGMENT = 1 << 13
"""Events up to which a segment takes in the next whatever its size."""

_ADDED_EVENTS = 1 << 13
"""Events that are sorted at a time: bounds the memory that adding takes on top."""


class EventStore:
    """Finished jobs in memory: one thread adds, any number of threads ask."""

    def __init__(self, max_events: int, max_keys: int = DEFAULT_MAX_KEYS) -> None:
        """An empty store.

        Args:
            max_events: events that are kept; beyond, those that ended first go (`eviction`).
            max_keys: keys that are kept; beyond, those whose latest run ended first go, with their
                events.
        """
        self.max_events = max_events
        self.max_keys = max_keys
        self._arrived = 0
        self._segments: tuple[Segment, ...] = (segment_after((), _NO_RUNS),)

    @classmethod
    def restored(
        cls, runs: SortedRuns, arrived: int, max_events: int, max_keys: int = DEFAULT_MAX_KEYS
    ) -> "EventStore":
        """A store that goes on from what another one's `compact` gave."""
        store = cls(max_events, max_keys)
        store._arrived = arrived
        store._segments = (segment_after((), runs),)
        return store

    def __len__(self) -> int:
        """Events that the store holds."""
        return sum(len(segment.runs) for segment in self._segments)

    @property
    def keys(self) -> int:
        """Keys that the store holds, counted once a segment."""
        return sum(segment.runs.keys for segment in self._segments)

    @property
    def arrived(self) -> int:
        """Events that were ever added."""
        return self._arrived

    def add(self, events: pl.DataFrame) -> range:
        """Takes finished jobs in (`JOB_SCHEMA`, any order); each must be given only once.

        end_time and runtime are not null. Long merges happen here, on the writer's thread; those
        who ask meanwhile get the answers of before. Returns the events' numbers in the order of
        arrival.
        """
        first = self._arrived
        for piece in pieces_between_evictions(first, len(events), _ADDED_EVENTS):
            if is_eviction_due(self._arrived):
                self.evict()
            runs = _runs_of(events[piece])
            self._take((*self._segments, segment_after(self._segments, runs)))
            self._arrived += len(runs)
        return range(first, self._arrived)

    def evict(self) -> None:
        """Drops what is beyond the limits. On the writer's thread."""
        if len(self) <= self.max_events and self.keys <= self.max_keys:
            return
        self.compact()  # a key in several segments was counted several times
        (whole,) = self._segments
        events, keys = len(whole.runs), whole.runs.keys
        if events > self.max_events or keys > self.max_keys:
            kept_events, kept_keys = room(events, self.max_events), room(keys, self.max_keys)
            self._segments = (trim_segment(whole, kept_events, kept_keys),)

    def features(self, jobs: pl.DataFrame) -> Float:
        """[n, len(KEYS) * COLUMNS_A_KEY] float32: what was known at each job's submit_time.

        Equal, bit for bit, to `LogHistory(events).features(jobs)` for the events in the store.
        """
        return self.features_at(key_ids(jobs), jobs["submit_time"].to_numpy())

    def features_at(self, ids: Ids, submit_s: Times, room: Float | None = None) -> Float:
        """The same for jobs whose `key_ids` [n, len(KEYS)] and submit times [n] are at hand.

        It is put into `room`, columns of a matrix, where that is given.
        """
        segments = self._segments
        asked, at_s = ids.ravel(), submit_s.repeat(len(KEYS))
        known = known_now(segments, asked)
        late = (known.newest_end_s > at_s).nonzero()[0]
        if len(late):
            pieces = [segment.runs for segment in segments]
            then = known_at(pieces, asked[late], at_s[late])
            known.statistics[late] = then.statistics
            known.newest_end_s[late] = then.newest_end_s
        jobs = len(ids)
        if room is None:
            room = np.empty((jobs, len(KEYS) * COLUMNS_A_KEY), dtype=np.float32)
        each = room.reshape(jobs, len(KEYS), COLUMNS_A_KEY)
        each[:, :, :-1] = known.statistics.reshape(jobs, len(KEYS), COLUMNS_A_KEY - 1)
        each[:, :, -1] = (at_s - known.newest_end_s).reshape(jobs, len(KEYS))
        return room

    def compact(self) -> SortedRuns:
        """Merges all into one segment and gives its events. On the writer's thread."""
        whole = reduce(_merge_into, reversed(self._segments))
        self._segments = (whole,)
        return whole.runs

    def _take(self, segments: tuple[Segment, ...]) -> None:
        """Merges what is due, and shows the result to readers."""
        *older, last = segments
        while older and len(older[-1].runs) < max(_SMALL_SEGMENT, _SIZE_RATIO * len(last.runs)):
            last = merge_segments(older.pop(), last)
        self._segments = (*older, last)


def _runs_of(events: pl.DataFrame) -> SortedRuns:
    used = (events["runtime"] / events["time_req"]).fill_null(float("nan"))
    return sort_runs(
        key_ids(events),
        events["end_time"].to_numpy(),
        events["runtime"].to_numpy().astype(np.float32),
        used.to_numpy().astype(np.float32),
    )


_NO_RUNS = _runs_of(pl.DataFrame(schema=dict(JOB_SCHEMA)))


def _merge_into(newer: Segment, older: Segment) -> Segment:
    return merge_segments(older, newer)
