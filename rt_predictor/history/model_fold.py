"""What outcomes have taught of one model: whom of its experts to trust, how wide its intervals must
be, and how good it is on the jobs that end now.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import polars as pl
from loguru import logger
from numpy.typing import NDArray

from rt_predictor.history.eviction import pieces_between_evictions
from rt_predictor.history.experts import ExpertLosses, bytes_a_row
from rt_predictor.history.judge import Judge, Told, Verdict
from rt_predictor.history.key_ids import USER_KEY, Ids
from rt_predictor.history.live import LiveFigures, LiveSums
from rt_predictor.history.offsets import BYTES_AN_OFFSET, Scored, TailOffsets
from rt_predictor.history.replay import user_runs
from rt_predictor.history.siblings import outcome_weights
from rt_predictor.history.sorted_runs import Times
from rt_predictor.history.windows import Float
from rt_predictor.model.bounds import MISS_SHARES, TAILS, history_group
from rt_predictor.model.ports import GraphInputs
from rt_predictor.model.said import Said

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
        users, inputs = ids[usable, USER_KEY], verdict.inputs[usable]
        judged, groups = (
            events.filter(pl.Series(usable)),
            history_group(user_runs(features[usable])),
        )
        submit_s, end_s = (judged[name].to_numpy() for name in ("submit_time", "end_time"))
        sums, siblings = self._learned(users, submit_s, end_s, verdict.losses[usable])
        # Jobs are scored by where their prediction lay, which offsets do not move.
        said = self._said(GraphInputs.of(inputs, sums, np.zeros((len(sums), TAILS), np.float32)))
        found = said.usable
        said, inputs = said.rows(found), inputs[found]
        runtime_s = judged["runtime"].to_numpy()[found]
        offsets = self._calibrated(
            Scored(
                groups[found],
                submit_s[found],
                end_s[found],
                said.scores(runtime_s),
                outcome_weights(siblings, groups)[found],
            )
        )
        told = Told.of(said, offsets)
        bins = self.judge.reference.bins(inputs, runtime_s / told.predicted_s)
        self.live = self.live.after(told, runtime_s, bins)

    def _learned(
        self, users: Ids, submit_s: Times, end_s: Times, losses: Float
    ) -> tuple[Float, NDArray[np.int64]]:
        """Folds losses; gives what was known of them at each submit, and siblings of each job."""
        count = len(users)
        sums, siblings = [self.losses.as_of(users[:0], submit_s[:0])], [np.empty(0, np.int64)]
        for piece in pieces_between_evictions(self.losses.arrived, count, max(count, 1)):
            self.losses.fold(users[piece], end_s[piece], losses[piece])
            sums.append(self.losses.as_of(users[piece], submit_s[piece]))
            siblings.append(self.losses.siblings(users[piece], submit_s[piece]))
        return np.concatenate(sums), np.concatenate(siblings)

    def _calibrated(self, scored: Scored) -> Float:
        """Folds scores; gives the offsets that stood at each submit."""
        count = len(scored)
        offsets = [self.offsets.as_of(scored.groups[:0], scored.submit_s[:0])]
        for piece in pieces_between_evictions(self.offsets.arrived, count, max(count, 1)):
            part = scored.take(piece)
            self.offsets.fold(part)
            offsets.append(self.offsets.as_of(part.groups, part.submit_s))
        return np.concatenate(offsets)

    def _verdict(self, events: pl.DataFrame, features: Float) -> Verdict:
        """The verdict; none on an event on which the model fails."""
        found = Verdict.none(len(events), self.judge.experts)
        for rows, verdict in _answers(
            lambda rows: self.judge(events[rows], features[rows]), slice(0, len(events))
        ):
            found.put(rows, verdict)
        return found

    def _said(self, given: GraphInputs) -> Said:
        """What the model said of the jobs; nothing where it fails."""
        count = len(given)
        found = Said.nothing(count)
        for rows, said in _answers(
            lambda rows: self.judge.said(given.rows(rows)),
            slice(0, count),
        ):
            found.put(rows, said)
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
