"""The fold: what memory knows of the event log, event after event.

What is folded depends on the log alone, not on the pieces in which it was read: every worker, and
a worker before and after its restart, knows the same. An ended job is learned from as of its submit
time, by the events before it in the log.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from rt_predictor.history.columns import JobColumns, Times, Told, job_columns
from rt_predictor.history.job_store import JobStore, is_eviction_due
from rt_predictor.history.learner import EndedJobs, Learned
from rt_predictor.history.seen_names import SeenNames
from rt_predictor.history.value_ids import NULL_ID, Ids, column_ids
from rt_predictor.jobs.event_kind import EventKind
from rt_predictor.jobs.events import broken_events

_TOLD = {
    EventKind.SUBMITTED.value: Told.SUBMITTED,
    EventKind.STARTED.value: Told.STARTED,
    EventKind.ENDED.value: Told.ENDED,
    EventKind.CANCELLED.value: Told.ENDED,
}

_LEARNED_JOBS = 512
"""Ended jobs that are learned from together: bounds memory."""


@dataclass
class Fold:
    """What is known after the events up to a position of the log. One thread folds, all ask."""

    store: JobStore
    learned: Learned
    names: SeenNames = field(default_factory=SeenNames)
    """Partitions and the like that jobs had."""
    trusts: Callable[[int], bool] = lambda _client: True
    """Whether a client, by its id, is trusted; others have a share of what is kept each."""
    position: int = 0
    """Of the last event that is folded; readers may see more than that, never less."""

    @property
    def memory_bytes(self) -> int:
        """Memory that jobs, keys and what is learned take."""
        return self.store.size_bytes + self.learned.memory_bytes

    def take(self, events: pl.DataFrame, position: int) -> None:
        """Fold the next events of the log (`EVENT_SCHEMA`), which end at a position of it.

        Events that break a rule are passed over: a log may be older than the rule.
        """
        if broken := broken_events(events):
            kept = np.ones(len(events), dtype=np.bool_)
            kept[list(broken)] = False
            events = events.filter(kept)
        if len(events):
            limit_s = events["time_req"].fill_null(np.nan).to_numpy()
            self._take(event_columns(events), limit_s, column_ids(events["client"]))
        self.position = position

    def _take(self, events: JobColumns, limit_s: Times, clients: Ids) -> None:
        ended = events.is_token()
        changed = self.store.changed_requests(events)
        sources = self._sources(clients)
        for piece in _pieces(events, ended, changed, self.store.arrived):
            part = events.part(piece)
            self.store.add(part, sources[piece])
            self.names.add(part)
            indices = np.flatnonzero(ended[piece])
            for first in range(0, len(indices), _LEARNED_JOBS):
                rows = indices[first : first + _LEARNED_JOBS]
                jobs = part.part(rows)
                tokens = self.store.tokens_of(jobs, jobs.submit_s)
                self.learned.learn(
                    EndedJobs(jobs, limit_s[piece][rows], tokens, clients[piece][rows])
                )

    def _sources(self, clients: Ids) -> Ids:
        """[n] the clients that are not trusted, 0 in place of those that are or are not known."""
        names, which = np.unique(clients, return_inverse=True)
        strange = [name != NULL_ID and not self.trusts(name) for name in names.tolist()]
        return np.where(strange, names, np.uint64(0))[which]


def event_columns(events: pl.DataFrame) -> JobColumns:
    """Return n events (`EVENT_SCHEMA`) as columns of jobs; `told` says what each tells."""
    told = events["kind"].replace_strict(_TOLD, return_dtype=pl.UInt8).to_numpy()
    jobs = job_columns(events)
    return replace(jobs, told=jobs.told & told)


def _pieces(
    events: JobColumns, ended: NDArray[np.bool_], changed: NDArray[np.bool_], arrived: int
) -> Iterator[slice]:
    """Pieces that can be added first and learned from then: no job sees an event after its own.

    An event is seen from its own time on: a submit, or another request of a job that is known, by
    jobs that are submitted later; a start and an end also in their very second. In the order of
    time, in which events come as a rule, none is seen too early, and pieces are long.

    Args:
        events: n events.
        ended: [n] which of them are learned from.
        changed: [n] which of them may change what a job that is known has asked for.
        arrived: events before them.
    """
    submitted, started = ((events.told & kind) > 0 for kind in (Told.SUBMITTED, Told.STARTED))
    is_end = (events.told & Told.ENDED) > 0
    never = np.inf
    after_s = np.where(submitted | changed, events.submit_s, never).tolist()
    from_s = np.where(started, events.start_s, np.where(is_end, events.end_s, never)).tolist()
    learned_s = np.where(ended, events.submit_s, -never).tolist()
    start, latest_s = 0, -never
    for index, (after, from_, submit) in enumerate(zip(after_s, from_s, learned_s, strict=True)):
        too_early = after < latest_s or from_ <= latest_s
        if index > start and (too_early or is_eviction_due(arrived + index)):
            yield slice(start, index)
            start, latest_s = index, -never
        latest_s = max(latest_s, submit)
    if len(ended):
        yield slice(start, len(ended))
