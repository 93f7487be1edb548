"""The fold: what memory knows of the outcome log, event after event.

What is folded depends on the log alone, not on the pieces in which it was read: every worker, and
a worker before and after its restart, knows the same. An event is judged as of its submit time, by
what had ended by then among the events at earlier places of the log.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from rt_predictor.history.eviction import is_eviction_due
from rt_predictor.history.judge import Judge
from rt_predictor.history.key_ids import key_ids
from rt_predictor.history.model_fold import ModelFold
from rt_predictor.history.store import BYTES_A_KEY, BYTES_AN_EVENT, EventStore
from rt_predictor.jobs.events import finished_jobs
from rt_predictor.jobs.outcomes import broken_outcomes


@dataclass
class Fold:
    """What is known after the events up to a position of the log. One thread folds, all ask."""

    store: EventStore
    model: ModelFold
    position: int = 0
    """Of the last event that is folded; readers may see more than that, never less."""

    @classmethod
    def empty(cls, judge: Judge, max_events: int, max_keys: int) -> "Fold":
        """What is known before the first event."""
        return cls(EventStore(max_events, max_keys), ModelFold.empty(judge, max_events))

    @property
    def memory_bytes(self) -> int:
        """Memory that the events and keys take."""
        return (
            len(self.store) * BYTES_AN_EVENT
            + self.store.keys * BYTES_A_KEY
            + self.model.memory_bytes
        )

    def take(self, events: pl.DataFrame, position: int) -> None:
        """Folds the next events of the log (`EVENT_SCHEMA`), which end at a position of it.

        Only finished jobs are folded. Those that break a rule are passed over: a log may be older
        than the rule.
        """
        events = finished_jobs(events)
        if broken := broken_outcomes(events):
            kept = np.ones(len(events), dtype=np.bool_)
            kept[list(broken)] = False
            events = events.filter(kept)
        # Nothing is learned from a job that ended as it started.
        events = events.filter(pl.col("runtime") > 0)
        for part in _pieces(events, self.store.arrived):
            self._fold(events[part])
        self.position = position

    def _fold(self, events: pl.DataFrame) -> None:
        ids = key_ids(events)
        self.store.add(events)
        features = self.store.features_at(ids, events["submit_time"].to_numpy())
        self.model.fold(events, ids, features)


def _pieces(events: pl.DataFrame, arrived: int) -> Iterator[slice]:
    """Pieces that can be added first and judged then: no event could see one that came after it.

    In the order of their end, in which events come as a rule, none can, and pieces are long.
    """
    submit_s, end_s = events["submit_time"].to_list(), events["end_time"].to_list()
    start, latest_submit_s = 0, -np.inf
    for place, (submit, end) in enumerate(zip(submit_s, end_s, strict=True)):
        latest_submit_s = max(latest_submit_s, submit)
        if place > start and (end <= latest_submit_s or is_eviction_due(arrived + place)):
            yield slice(start, place)
            start, latest_submit_s = place, submit
    if len(events):
        yield slice(start, len(events))
