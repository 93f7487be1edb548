"""The fold: what memory knows of the outcome log, event after event.

What is folded depends on the log alone, not on the pieces in which it was read: every worker, and
a worker before and after its restart, knows the same. An event is judged as of its submit time, by
what had ended by then among the events at earlier places of the log.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import polars as pl
from loguru import logger
from numpy.typing import NDArray

from rt_predictor.features.outcome_rules import broken_outcomes
from rt_predictor.history.eviction import is_eviction_due
from rt_predictor.history.experts import DECAYS, SCOPES, Decays, ExpertLosses, bytes_a_row
from rt_predictor.history.key_ids import USER_KEY, key_ids
from rt_predictor.history.offsets import BYTES_AN_OFFSET, OffsetState, Scored, TailOffsets
from rt_predictor.history.replay import user_runs
from rt_predictor.history.store import BYTES_A_KEY, BYTES_AN_EVENT, EventStore
from rt_predictor.history.windows import Float
from rt_predictor.model.bounds import GROUPS, MISS_SHARES, TAILS, history_group

NO_OFFSETS = OffsetState(np.zeros((GROUPS, TAILS)), np.zeros(GROUPS), np.zeros(GROUPS))
"""Of a model that has no intervals"""


@dataclass(frozen=True)
class Verdict:
    """How far off a model was on n finished jobs; NaN where it has seen them in training."""

    losses: Float
    """[n, SCOPES, experts] as `losses_of` gives them"""
    scores: NDArray[np.float64]
    """[n, TAILS] as `bounds.outcome_scores` gives them"""

    @property
    def usable(self) -> NDArray[np.bool_]:
        """[n] whether there is a verdict on a job."""
        finite = np.isfinite(self.losses).all(axis=(1, 2)) & np.isfinite(self.scores).all(axis=1)
        return np.asarray(finite)

    @classmethod
    def none(cls, jobs: int, experts: int) -> "Verdict":
        """None on any of n jobs."""
        losses = np.full((jobs, SCOPES, experts), np.nan, dtype=np.float32)
        return cls(losses, np.full((jobs, TAILS), np.nan))


class Judge(Protocol):
    """Says how far off a model was. A row must not depend on its neighbours."""

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

    @property
    def start_offsets(self) -> OffsetState:
        """What intervals are offset by before any job has ended."""
        ...

    def __call__(self, events: pl.DataFrame, history_features: Float) -> Verdict:
        """The verdict on n finished jobs.

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
    start_offsets = NO_OFFSETS

    def __call__(self, events: pl.DataFrame, history_features: Float) -> Verdict:
        """None."""
        del history_features
        return Verdict.none(len(events), self.experts)


@dataclass
class Fold:
    """What is known after the events up to a position of the log. One thread folds, all ask."""

    judge: Judge
    store: EventStore
    losses: ExpertLosses
    offsets: TailOffsets
    position: int = 0
    """Of the last event that is folded; readers may see more than that, never less."""

    @classmethod
    def empty(cls, judge: Judge, max_events: int, max_keys: int) -> "Fold":
        """What is known before the first event."""
        losses = ExpertLosses(judge.experts, max_events, judge.decays)
        offsets = TailOffsets(judge.start_offsets, MISS_SHARES, max_events)
        return cls(judge, EventStore(max_events, max_keys), losses, offsets)

    @property
    def memory_bytes(self) -> int:
        """Memory that the events and keys take."""
        return (
            len(self.store) * BYTES_AN_EVENT
            + self.store.keys * BYTES_A_KEY
            + len(self.losses) * bytes_a_row(self.judge.experts)
            + len(self.offsets) * BYTES_AN_OFFSET
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
        verdict = self._judged(events, features)
        usable = verdict.usable
        events, losses = events.filter(pl.Series(usable)), verdict.losses[usable]
        submit_s, end_s = events["submit_time"].to_numpy(), events["end_time"].to_numpy()
        self.losses.fold(ids[usable, USER_KEY], end_s, losses)
        groups = history_group(user_runs(features[usable]))
        self.offsets.fold(Scored(groups, submit_s, end_s, verdict.scores[usable]))

    def _judged(self, events: pl.DataFrame, features: Float) -> Verdict:
        """The verdict; none on an event on which the model fails, which halving finds."""
        try:
            return self.judge(events, features)
        except Exception as error:
            if len(events) == 1:
                logger.warning("a finished job cannot be judged", reason=type(error).__name__)
                return Verdict.none(1, self.judge.experts)
        half = len(events) // 2
        parts = (slice(half), slice(half, None))
        first, second = (self._judged(events[part], features[part]) for part in parts)
        return Verdict(
            np.concatenate((first.losses, second.losses)),
            np.concatenate((first.scores, second.scores)),
        )


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
