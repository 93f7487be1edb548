"""The fold: what memory knows of the outcome log, event after event.

What is folded depends on the log alone, not on the pieces in which it was read: every worker, and
a worker before and after its restart, knows the same. An event is judged as of its submit time, by
what had ended by then among the events at earlier places of the log.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import polars as pl
from loguru import logger

from rt_predictor.features.outcome_rules import broken_outcomes
from rt_predictor.history.eviction import is_eviction_due
from rt_predictor.history.experts import DECAYS, SCOPES, Decays, ExpertLosses, bytes_a_row
from rt_predictor.history.key_ids import USER_KEY, Ids, key_ids
from rt_predictor.history.store import BYTES_A_KEY, BYTES_AN_EVENT, EventStore
from rt_predictor.history.windows import Float


class Judge(Protocol):
    """Says how far off each expert of a model was. A row must not depend on its neighbours."""

    @property
    def experts(self) -> int:
        """How many experts there are."""
        ...

    @property
    def model_version(self) -> str:
        """Whose experts they are."""
        ...

    @property
    def decays(self) -> Decays:
        """How fast their losses are forgotten."""
        ...

    def __call__(self, events: pl.DataFrame, history_features: Float) -> Float:
        """[n, SCOPES, experts] float32: the experts' losses on n finished jobs, as `losses_of`.

        Args:
            events: [n] `JOB_SCHEMA`.
            history_features: [n, len(KEYS) * COLUMNS_A_KEY], as `EventStore.features` gives them.
        """
        ...


class NoExperts:
    """The judge of a model that has no experts."""

    experts = 0
    model_version = ""
    decays = DECAYS

    def __call__(self, events: pl.DataFrame, history_features: Float) -> Float:
        """[n, SCOPES, 0]"""
        del history_features
        return np.empty((len(events), SCOPES, 0), dtype=np.float32)


@dataclass(frozen=True)
class Piece:
    """n neighbouring events of the log that were judged together."""

    events: pl.DataFrame
    """[n] `JOB_SCHEMA`"""
    ids: Ids
    """[n, len(KEYS)]"""
    features: Float
    """[n, len(KEYS) * COLUMNS_A_KEY] what was known when each was submitted"""
    losses: Float
    """[n, SCOPES, experts]"""


class FoldedState(Protocol):
    """Something else that is folded from the same events, e.g. recent interval scores."""

    def fold(self, piece: Piece) -> None:
        """Takes the next events of the log in. What it keeps must not depend on the pieces."""
        ...


@dataclass
class Fold:
    """What is known after the events up to a position of the log. One thread folds, all ask."""

    judge: Judge
    store: EventStore
    losses: ExpertLosses
    position: int = 0
    """Of the last event that is folded; readers may see more than that, never less."""
    further: Sequence[FoldedState] = ()

    @classmethod
    def empty(cls, judge: Judge, max_events: int, max_keys: int) -> "Fold":
        """What is known before the first event."""
        losses = ExpertLosses(judge.experts, max_events, judge.decays)
        return cls(judge, EventStore(max_events, max_keys), losses)

    @property
    def memory_bytes(self) -> int:
        """Memory that the events and keys take."""
        return (
            len(self.store) * BYTES_AN_EVENT
            + self.store.keys * BYTES_A_KEY
            + len(self.losses) * bytes_a_row(self.judge.experts)
        )

    def take(self, events: pl.DataFrame, position: int) -> None:
        """Folds the next events of the log (`JOB_SCHEMA`), which end at a position of it.

        Events that break a rule are passed over: a log may be older than the rule.
        """
        if broken := broken_outcomes(events):
            kept = np.ones(len(events), dtype=np.bool_)
            kept[list(broken)] = False
            events = events.filter(kept)
        for part in _pieces(events, self.store.arrived):
            self._fold(events[part])
        self.position = position

    def _fold(self, events: pl.DataFrame) -> None:
        ids = key_ids(events)
        self.store.add(events)
        features = self.store.features_at(ids, events["submit_time"].to_numpy())
        losses = self._judged(events, features)
        judged = np.isfinite(losses).all(axis=(1, 2))
        end_s = events["end_time"].to_numpy()
        self.losses.fold(ids[judged, USER_KEY], end_s[judged], losses[judged])
        for state in self.further:
            state.fold(Piece(events, ids, features, losses))

    def _judged(self, events: pl.DataFrame, features: Float) -> Float:
        """The experts' losses; NaN for an event on which the model fails, which halving finds."""
        try:
            return self.judge(events, features)
        except Exception as error:
            if len(events) == 1:
                logger.warning("a finished job cannot be judged", reason=type(error).__name__)
                return np.full((1, SCOPES, self.judge.experts), np.nan, dtype=np.float32)
        half = len(events) // 2
        halves = (slice(half), slice(half, None))
        return np.concatenate([self._judged(events[part], features[part]) for part in halves])


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
