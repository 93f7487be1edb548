"""What outcomes have taught of one model: whom of its experts to trust, how wide its intervals must
be, and how good it is on the jobs that end now.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import polars as pl
from loguru import logger

from rt_predictor.history.eviction import pieces_between_evictions
from rt_predictor.history.experts import ExpertLosses, bytes_a_row
from rt_predictor.history.judge import Array, Judge, Told, Verdict
from rt_predictor.history.key_ids import USER_KEY, Ids
from rt_predictor.history.live import LiveFigures, LiveSums
from rt_predictor.history.offsets import BYTES_AN_OFFSET, Scored, TailOffsets
from rt_predictor.history.replay import user_runs
from rt_predictor.history.windows import Float
from rt_predictor.model.bounds import MISS_SHARES, history_group
from rt_predictor.model.ports import GraphInputs

_T = TypeVar("_T")


@dataclass
class ModelFold:
    """The fold of one model. One thread folds, all ask.

    Nothing in it is of the jobs themselves, so a second model that is to be compared on the same
    jobs needs one of its own and no other store: `fold` it with the same arguments, piece by piece,
    and its `figures` stand beside those of the first under its own version.
    """

    judge: Judge
    losses: ExpertLosses
    offsets: TailOffsets
    live: LiveSums

    @classmethod
    def empty(cls, judge: Judge, max_events: int) -> "ModelFold":
        """What is known before the first event."""
        return cls(
            judge,
            ExpertLosses(judge.experts, max_events, judge.decays),
            TailOffsets(judge.start_offsets, MISS_SHARES, max_events),
            LiveSums.none(len(judge.reference.columns)),
        )

    @property
    def memory_bytes(self) -> int:
        """Memory that it takes."""
        return (
            len(self.losses) * bytes_a_row(self.judge.experts) + len(self.offsets) * BYTES_AN_OFFSET
        )

    @property
    def figures(self) -> LiveFigures:
        """How good the model is on the jobs that end now."""
        return self.live.figures(self.judge.model_version, self.judge.reference)

    def fold(self, events: pl.DataFrame, ids: Ids, features: Float) -> None:
        """Takes n finished jobs in, in the order of the log.

        None of them may have ended by the submit of an earlier one.

        Args:
            events: [n] `JOB_SCHEMA`.
            ids: [n, len(KEYS)] their keys, as `key_ids` gives them.
            features: [n, len(KEYS) * COLUMNS_A_KEY] what was known at their submit.
        """
        verdict = self._verdict(events, features)
        usable = verdict.usable
        users, runtime_s = ids[usable, USER_KEY], events["runtime"].to_numpy()[usable]
        scored = Scored(
            history_group(user_runs(features[usable])),
            events["submit_time"].to_numpy()[usable],
            events["end_time"].to_numpy()[usable],
            verdict.scores[usable],
        )
        known = self._learned(users, scored, verdict.losses[usable])
        self._watch(GraphInputs(verdict.inputs[usable], *known), runtime_s)

    def _learned(self, users: Ids, scored: Scored, losses: Float) -> tuple[Float, Float]:
        """Folds losses and scores; gives what was known of both at the submit of each job."""
        count = len(scored)
        sums = [self.losses.as_of(users[:0], scored.submit_s[:0])]
        offsets = [self.offsets.as_of(scored.groups[:0], scored.submit_s[:0])]
        for piece in pieces_between_evictions(self.losses.arrived, count, max(count, 1)):
            part = scored.take(piece)
            self.losses.fold(users[piece], part.end_s, losses[piece])
            self.offsets.fold(part)
            sums.append(self.losses.as_of(users[piece], part.submit_s))
            offsets.append(self.offsets.as_of(part.groups, part.submit_s))
        return np.concatenate(sums), np.concatenate(offsets)

    def _watch(self, given: GraphInputs, runtime_s: Array) -> None:
        told = self._told(given)
        usable = told.usable
        told, runtime_s = told.rows(usable), runtime_s[usable]
        bins = self.judge.reference.bins(given.inputs[usable], runtime_s / told.predicted_s)
        self.live = self.live.after(told, runtime_s, bins)

    def _verdict(self, events: pl.DataFrame, features: Float) -> Verdict:
        """The verdict; none on an event on which the model fails."""
        found = Verdict.none(len(events), self.judge.experts)
        for rows, verdict in _answers(
            lambda rows: self.judge(events[rows], features[rows]), slice(0, len(events))
        ):
            found.put(rows, verdict)
        return found

    def _told(self, given: GraphInputs) -> Told:
        """What the jobs were told; nothing where the model fails."""
        count = len(given.inputs)
        found = Told.nothing(count)
        for rows, told in _answers(
            lambda rows: self.judge.told(GraphInputs(*(column[rows] for column in given))),
            slice(0, count),
        ):
            found.put(rows, told)
        return found


def _answers(ask: Callable[[slice], _T], rows: slice) -> Iterator[tuple[slice, _T]]:
    """What a model says of rows, but for those on which it fails, which halving finds."""
    count = rows.stop - rows.start
    if not count:
        return
    try:
        answer = ask(rows)
    except Exception as error:
        if count == 1:
            logger.warning("a finished job cannot be judged", reason=type(error).__name__)
            return
    else:
        yield rows, answer
        return
    half = rows.start + count // 2
    yield from _answers(ask, slice(rows.start, half))
    yield from _answers(ask, slice(half, rows.stop))
