"""All jobs that are known, and the lists in which they are found; events change both.

An event is whole or not there at all to those who ask: `JobStore` sees to that.
"""

from array import array
from math import isnan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rt_predictor.history.asked_tokens import Rows
from rt_predictor.history.columns import Told
from rt_predictor.history.known_jobs import BYTES_A_JOB, Arrays, Events, KnownJobs
from rt_predictor.history.row_index import (
    ABSENT,
    IdTable,
    ListArrays,
    Order,
    RowLists,
    SortKey,
    insert_row,
)
from rt_predictor.history.token_keys import NO_KEY, queue_id
from rt_predictor.history.value_ids import Ids

_LISTS = ("ids", "starts", "rows")
_LIST_PREFIX = "list_"


class LiveJobs:
    """Jobs and their lists."""

    def __init__(self) -> None:
        self.jobs = KnownJobs()
        self.lists = RowLists()
        """Finished jobs by their keys, in the order of their end; submitted ones by `queue_id` of
        their user, in the order in which they became known."""
        self.site = array("i")
        """All finished jobs in the order of their end."""
        self.site_changes = 0
        """How often the columns of a job in `site` were changed."""
        self._by_ident = IdTable()

    @property
    def keys(self) -> int:
        """Keys that have jobs."""
        return len(self.lists)

    def rows_of(self, idents: Ids) -> Rows:
        """Return the rows of n jobs by their idents: [n]; `ABSENT` where there is none."""
        return self._by_ident.get_all(idents)

    def apply(self, events: Events, index: int) -> None:
        """Takes one event in; one that tells nothing new changes nothing."""
        row = self._by_ident.get(events.ident[index])
        if row == ABSENT:
            row = self.jobs.append(events, index)
            self._by_ident.set(events.ident[index], row)
            self._enqueue(row)
            if events.is_token[index]:
                self._add_to_site(row)
                if events.says_request[index]:
                    self._list(row, events.keys[index])
        elif events.told[index] & ~self.jobs.told[row]:
            self._update(row, events, index)

    def _update(self, row: int, events: Events, index: int) -> None:
        """Takes in what an event tells of a job that is known."""
        jobs, told = self.jobs, events.told[index]
        key, queued_at = self._queue_key(row), self._queue_place(row)
        ends = told & ~jobs.told[row] & Told.ENDED
        asks = events.says_request[index] and jobs.ranks_below(row, told)
        if asks:
            jobs.take_request(row, events, index)
        jobs.take_news(row, events, index)
        if key != self._queue_key(row) or (key != NO_KEY and queued_at != self._queue_place(row)):
            if key != NO_KEY:
                self.lists.remove(key, row)
            self._enqueue(row)
        if ends and events.is_token[index]:
            self._add_to_site(row)
        if asks and jobs.is_token(row):
            # Under the keys of an event that told of the request, for good.
            jobs.settle_request(row)
            self._list(row, events.keys[index])
            self.site_changes += not ends

    def _enqueue(self, row: int) -> None:
        """Puts a job among those that its user has submitted."""
        key = self._queue_key(row)
        if key != NO_KEY:
            order = Order(self.jobs.since, self._queue_place)
            self.lists.insert(key, row, self._queue_place(row), order)

    def _list(self, row: int, keys: list[int]) -> None:
        """Puts a finished job under its keys."""
        order, sort_key = Order(self.jobs.end, self._end_sort_key), self._end_sort_key(row)
        for key in keys:
            if key != NO_KEY:
                self.lists.insert(key, row, sort_key, order)

    def _add_to_site(self, row: int) -> None:
        """Puts a finished job among all that have ended."""
        order = Order(self.jobs.end, self._end_sort_key)
        insert_row(self.site, row, self._end_sort_key(row), order)

    def _queue_key(self, row: int) -> int:
        """Return under which key a job is queued; `NO_KEY` where it is not."""
        return NO_KEY if isnan(self.jobs.since[row]) else queue_id(self.jobs.user[row])

    def _queue_place(self, row: int) -> SortKey:
        return self.jobs.since[row], self.jobs.ident[row]

    def _end_sort_key(self, row: int) -> SortKey:
        jobs = self.jobs
        return jobs.end[row], jobs.submit[row], jobs.ident[row]

    def kept(self, rows: NDArray[np.intp]) -> "LiveJobs":
        """Return some of the jobs alone; rows: ascending."""
        new = np.full(self.jobs.count, ABSENT, dtype=np.int32)
        new[rows] = np.arange(len(rows))
        arrays = self.to_arrays()
        lists = ListArrays(*(arrays.pop(_LIST_PREFIX + name) for name in _LISTS)).renumbered(new)
        site = new[arrays.pop("site")]
        kept = {name: array[rows] for name, array in arrays.items()}
        return LiveJobs.of(kept | _named(lists) | {"site": site[site >= 0]})

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return all in arrays, by name; some are views of what changes."""
        site = np.array(self.site, dtype=np.int32)
        return self.jobs.to_arrays() | _named(self.lists.to_arrays()) | {"site": site}

    @classmethod
    def of(cls, arrays: Arrays) -> "LiveJobs":
        """Return what `to_arrays` gave."""
        live = cls()
        live.jobs = KnownJobs.of(arrays)
        lists = ListArrays(*(arrays[_LIST_PREFIX + name] for name in _LISTS))
        live.lists = RowLists.of(lists)
        live.site = array("i", arrays["site"].astype(np.int32).tobytes())
        live._by_ident = IdTable.of(arrays["ident"], np.arange(live.jobs.count, dtype=np.int32))
        return live

    @property
    def size_bytes(self) -> int:
        """Memory that all takes, about."""
        lists = self.lists.size_bytes + self._by_ident.size_bytes + self.site.__sizeof__()
        return self.jobs.room * BYTES_A_JOB + lists


def _named(lists: ListArrays) -> dict[str, NDArray[Any]]:
    return {_LIST_PREFIX + name: getattr(lists, name) for name in _LISTS}
