"""Columns of the jobs that are known, one row a job, with room for more."""

from collections.abc import Mapping
from math import nan
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from rt_predictor.history.asked_tokens import NO_JOB, JobRows
from rt_predictor.history.choice import Traits
from rt_predictor.history.columns import (
    COLUMN,
    REQUEST,
    RUNTIMES,
    STATE,
    TOLD_ALL,
    Float,
    JobColumns,
    Times,
    Told,
)
from rt_predictor.history.token_keys import NO_KEY, USER
from rt_predictor.history.value_ids import Ids

FIRST_ROWS = 1024
"""Rows that there is room for at first."""

GROWTH = 1.25
"""How much more room there is each time it has run out."""

Arrays = Mapping[str, NDArray[Any]]

_NONE: Mapping[str, NDArray[Any]] = {
    "times_s": np.full(4, np.nan),
    "since_s": np.full((), np.nan),
    "ident": np.zeros((), np.uint64),
    "user": np.full((), NO_KEY, np.uint64),
    "source": np.zeros((), np.uint64),
    "told": np.zeros((), np.uint8),
    "columns": NO_JOB,
}
"""What the arrays say of no job."""

BYTES_A_JOB = sum(none.nbytes for none in _NONE.values())

_RUNTIME, _REQUEST_ID = COLUMN["runtime_s"], COLUMN["request_id"]
_LOG_LIMIT = COLUMN["log_limit"]

_SUBMITTED, _STARTED, _ENDED = (int(kind) for kind in Told)
_RANK_SHIFT = 4
"""In the upper half of what is told of a job stands which kind of event its request is from."""


class Events(NamedTuple):
    """n events as numbers of Python, which are quicker to reach one at a time."""

    submit_s: list[float]
    start_s: list[float]
    end_s: list[float]
    patience_s: list[float]
    ident: list[int]
    told: list[int]
    keys: list[list[int]]
    source: list[int]
    """Ids of the clients that told of them; 0 for all that are trusted."""
    says_request: list[bool]
    """Whether the event says what was asked for."""
    is_token: list[bool]
    columns: Float

    @classmethod
    def of(cls, jobs: JobColumns, sources: Ids) -> "Events":
        """Return the events; `told` of each says what it tells, `sources` [n] who tells it."""
        return cls(
            jobs.submit_s.tolist(),
            jobs.start_s.tolist(),
            jobs.end_s.tolist(),
            jobs.patience_s.tolist(),
            jobs.ident.tolist(),
            jobs.told.tolist(),
            jobs.keys.tolist(),
            sources.tolist(),
            jobs.says_request().tolist(),
            jobs.is_token().tolist(),
            jobs.columns,
        )


class KnownJobs:
    """Arrays of all jobs, by row; the row behind the last one there is room for is no job."""

    def __init__(self, room: int = FIRST_ROWS) -> None:
        self.count = 0
        """Jobs; the rows before it are taken."""
        self.room = room
        self._arrays = {
            name: np.empty((room + 1, *none.shape), none.dtype) for name, none in _NONE.items()
        }
        for name, none in _NONE.items():
            self._arrays[name][-1] = none
        self.rows = JobRows(self._arrays["times_s"], self._arrays["columns"])
        self.traits = Traits(self._arrays["user"], self.rows.columns[:, _LOG_LIMIT])
        # The same as numbers of Python, one at a time.
        times_s = cast("memoryview[float]", self.rows.times_s.reshape(-1).data)
        self.submit, self.start, self.end, self.patience = (times_s[k::4] for k in range(4))
        self.since_s: Times = self._arrays["since_s"]
        self.since = cast("memoryview[float]", self.since_s.data)
        """From when on a job is told of before its end; NaN where never."""
        self.ident, self.user, self.source, self.told = (
            self._arrays[name].data for name in ("ident", "user", "source", "told")
        )
        self._columns = cast("memoryview[float]", self.rows.columns.data)
        flat = cast("memoryview[float]", self.rows.columns.reshape(-1).data)
        self.log_limit = flat[_LOG_LIMIT :: len(NO_JOB)]

    @classmethod
    def of(cls, arrays: Arrays, room: int = FIRST_ROWS) -> "KnownJobs":
        """Return jobs whose arrays `to_arrays` gave."""
        jobs = cls(max(len(arrays["ident"]), room))
        jobs.count = len(arrays["ident"])
        for name, array in jobs._arrays.items():
            array[: jobs.count] = arrays[name]
        return jobs

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return views of the arrays of all jobs, by name: each [count, ...]."""
        return {name: array[: self.count] for name, array in self._arrays.items()}

    def with_room(self, more: int) -> "KnownJobs":
        """Return these jobs with room for so many more; themselves where there is."""
        needed = self.count + more
        if needed <= self.room:
            return self
        return KnownJobs.of(self.to_arrays(), max(needed, int(self.room * GROWTH)))

    def ranks_below(self, row: int, kinds: int) -> bool:
        """Return whether a job's request is from an earlier kind of event than the last of some."""
        return (self.told[row] >> _RANK_SHIFT).bit_length() < kinds.bit_length()

    def request_id(self, row: int) -> float:
        """Return the column `request_id` of a job."""
        return self._columns[row, _REQUEST_ID]

    def is_token(self, row: int) -> bool:
        """Return whether a job can be a token, as `JobColumns.is_token`."""
        ended = self.told[row] & Told.ENDED and self.end[row] > self.submit[row]
        return bool(ended and self._columns[row, _RUNTIME] > 0)

    def append(self, events: Events, index: int) -> int:
        """Takes a job in that an event is the first to tell of. Returns its row."""
        row, told = self.count, events.told[index]
        self.submit[row] = events.submit_s[index]
        self.start[row] = events.start_s[index] if told & _STARTED else nan
        self.end[row] = events.end_s[index] if told & _ENDED else nan
        self.since[row] = (self.submit if told & _SUBMITTED else self.start)[row]
        self.patience[row] = events.patience_s[index]
        self.ident[row] = events.ident[index]
        self.user[row] = events.keys[index][USER]
        self.source[row] = events.source[index]
        self.told[row] = told | told << _RANK_SHIFT if events.says_request[index] else told
        columns = self.rows.columns[row]
        columns[:] = events.columns[index]
        if not told & _ENDED:
            columns[RUNTIMES] = NO_JOB[RUNTIMES]
            columns[STATE] = NO_JOB[STATE]
        self.count += 1
        return row

    def take_request(self, row: int, events: Events, index: int) -> None:
        """Takes over what an event says was asked for."""
        self.rows.columns[row, REQUEST] = events.columns[index, REQUEST]
        self.patience[row] = events.patience_s[index]
        self.user[row] = events.keys[index][USER]
        self.told[row] = self.told[row] & TOLD_ALL | events.told[index] << _RANK_SHIFT

    def settle_request(self, row: int) -> None:
        """Makes a job keep its request whatever comes."""
        self.told[row] |= int(Told.ENDED) << _RANK_SHIFT

    def take_news(self, row: int, events: Events, index: int) -> None:
        """Takes over what an event tells that was not told before."""
        news = events.told[index] & ~self.told[row]
        if news & _STARTED:
            self.start[row] = events.start_s[index]
        if news & _ENDED:
            self.end[row] = events.end_s[index]
            self.source[row] = events.source[index]
            self.rows.columns[row, RUNTIMES] = events.columns[index, RUNTIMES]
            self._columns[row, STATE] = events.columns[index, STATE]
        told = self.told[row] = self.told[row] | news
        self.since[row] = (self.submit if told & _SUBMITTED else self.start)[row]
