"""What outcomes teach the recalibration: as of the submit of each job, and by the end of a span."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rt_predictor.history.token_keys import USER
from rt_predictor.history.value_ids import hash_bytes
from rt_predictor.model.distribution import Distribution
from rt_predictor.model.documents import RecalibrationDocument
from rt_predictor.model.level_maps import LevelMaps
from rt_predictor.online.groups import SHAPES, shape_groups
from rt_predictor.online.recalibration import LearnedLevels, Outcomes, Recalibration
from rt_predictor.training.answering import Answering, AskedJobs
from rt_predictor.training.prepare import Array, PreparedLog
from rt_predictor.training.progress import Report
from rt_predictor.training.split import Rows

_ASKED = 4096
"""Jobs whose maps are asked for at a time: states of earlier times are kept for some while."""

_OF_EACH_LOG = 5000
"""Outcomes of each log that a base model's recalibration starts from, at most."""


@dataclass(frozen=True)
class Evidence:
    """What became of n jobs, against what was said of them before recalibration."""

    rows: Rows
    """[n] places in the log, by submit"""
    outcomes: Outcomes
    """[n]"""
    median_s: Array
    """[n] what was predicted"""


@dataclass(frozen=True)
class Maps:
    """The maps of levels that n jobs are answered with: those that were known at their submit."""

    values: Array
    """[m, SHAPES, K] states of the recalibration"""
    state: NDArray[np.intp]
    """[n] the state of each job"""

    def __getitem__(self, jobs: slice | NDArray[np.intp]) -> "Maps":
        """Return those of some of the jobs."""
        return Maps(self.values, self.state[jobs])

    def recalibrated(self, raw: Distribution) -> Distribution:
        """Return the distributions of the n jobs, recalibrated."""
        met, place = np.unique(self.state, return_inverse=True)
        values = self.values[met]
        maps = LevelMaps(values.reshape(-1, values.shape[-1]))
        return raw.recalibrated(maps, place * SHAPES + shape_groups(raw))


def gather_evidence(log: PreparedLog, model: Answering, rows: Rows, report: Report) -> Evidence:
    """Ask a model about jobs of a log as of their submit, and compare with what happened."""
    asked = AskedJobs.of(log.columns, log.tokens, log.limit_s)
    parts, median_s = [_outcomes(log, rows[:0], _nothing_said())], np.empty(len(rows))
    for piece, said in model.ask(asked, rows):
        raw = Distribution.of(said.support_s, said.weights, log.limit_s[rows[piece]])
        parts.append(_outcomes(log, rows[piece], raw))
        median_s[piece] = raw.median_s()
        report(min(piece.stop, len(rows)) / len(rows))
    return Evidence(rows, _joined(parts), median_s)


def told_maps(
    log: PreparedLog, evidence: Evidence, start: LearnedLevels | None, asked: Rows
) -> tuple[Maps, LearnedLevels]:
    """Return the maps of asked jobs, and what is known after all outcomes.

    Args:
        log: the log.
        evidence: jobs of it.
        start: what was learned in training; None for nothing.
        asked: [n] jobs of the log, by submit.
    """
    known = Recalibration(start)
    outcomes = _in_order(log, evidence)
    folded, states = 0, 0
    values: list[Array] = []
    state: list[NDArray[np.intp]] = []
    for first in range(0, len(asked), _ASKED):
        at_s = log.submit_s[asked[first : first + _ASKED]]
        ended = int(outcomes.end_s.searchsorted(at_s[-1], side="right"))
        known.fold(_some(outcomes, slice(folded, ended)))
        folded = ended
        maps, which = known.maps_at(np.zeros(len(at_s), dtype=np.intp), at_s)
        found = maps.values.reshape(-1, SHAPES, maps.values.shape[-1])
        state.append(which // SHAPES + states)
        values.append(found)
        states += len(found)
    known.fold(_some(outcomes, slice(folded, None)))
    return Maps(np.concatenate(values), np.concatenate(state)), known.learned()


def learn(
    parts: Sequence[tuple[PreparedLog, Rows]], model: Answering, report: Report
) -> LearnedLevels:
    """Return what the recalibration of a base model starts from.

    Args:
        parts: jobs of several logs that the model has not learned from.
        model: the model.
        report: called with the share of the work that is done.
    """
    learned, when = [], []
    for place, (log, rows) in enumerate(parts):
        some = rows[np.linspace(0, len(rows) - 1, min(len(rows), _OF_EACH_LOG)).astype(np.int64)]
        outcomes = _in_order(log, gather_evidence(log, model, np.unique(some), lambda _: None))
        # Users of two logs may have one name.
        other = np.uint64(hash_bytes(f"{place} {log.name}".encode()))
        learned.append(replace(outcomes, users=outcomes.users ^ other))
        when.append(np.arange(len(outcomes)) / len(outcomes))
        report((place + 1) / len(parts))
    known = Recalibration()
    if learned:
        # All logs at once, each in its own order, so that none stands at the end alone.
        known.fold(_some(_joined(learned), np.argsort(np.concatenate(when), kind="stable")))
    return known.learned()


def recalibration_document(levels: LearnedLevels, jobs: int) -> RecalibrationDocument:
    """Return what was learned from so many jobs as a bundle holds it."""
    return RecalibrationDocument(
        jobs=jobs,
        arrays={
            "values": tuple(tuple(row) for row in levels.values.tolist()),
            "weights": tuple(levels.weights.tolist()),
        },
    )


def _outcomes(log: PreparedLog, rows: Rows, raw: Distribution) -> Outcomes:
    columns = log.columns
    return Outcomes.of(
        raw,
        log.runtime_s[rows],
        columns.ident[rows],
        users=columns.keys[rows, USER],
        untrusted_clients=np.zeros(len(rows), dtype=np.uint64),
        submit_s=columns.submit_s[rows],
        end_s=columns.end_s[rows],
    )


def _nothing_said() -> Distribution:
    nothing = np.empty((0, 1), dtype=np.float32)
    return Distribution.of(nothing, nothing, np.empty(0))


def _joined(parts: Sequence[Outcomes]) -> Outcomes:
    names = Outcomes.__dataclass_fields__
    return Outcomes(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def _some(outcomes: Outcomes, jobs: slice | NDArray[np.intp]) -> Outcomes:
    return Outcomes(*(getattr(outcomes, name)[jobs] for name in Outcomes.__dataclass_fields__))


def _in_order(log: PreparedLog, evidence: Evidence) -> Outcomes:
    """Return outcomes in the order in which history knows them: by end, submit and identity."""
    outcomes, idents = evidence.outcomes, log.columns.ident[evidence.rows]
    return _some(outcomes, np.lexsort((idents, outcomes.submit_s, outcomes.end_s)))
