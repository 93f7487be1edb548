"""Evidence for the recalibration: outcomes of a log, and the maps known at each submit."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rt_predictor.history.token_keys import USER
from rt_predictor.history.value_ids import hash_bytes
from rt_predictor.model.distribution import Distribution
from rt_predictor.model.documents import RecalibrationDocument
from rt_predictor.model.level_maps import KNOTS, LevelMaps
from rt_predictor.online.groups import SHAPES, shape_groups
from rt_predictor.online.outcomes import Outcomes
from rt_predictor.online.recalibration import LearnedLevels, Recalibration
from rt_predictor.training.answering import Answering, AskedJobs
from rt_predictor.training.prepare import Array, PreparedLog
from rt_predictor.training.progress import Report
from rt_predictor.training.split import Rows

_ASKED = 4096
"""Jobs whose maps are read at a time: states of earlier times are kept for some while only."""

_OF_EACH_LOG = 5000
"""Outcomes of each log that a base model's recalibration starts from, at most."""


@dataclass(frozen=True)
class Evidence:
    """Outcomes of n jobs, as levels of their raw distributions."""

    rows: Rows
    """[n] rows of the log, by submit"""
    outcomes: Outcomes
    """[n]"""
    median_s: Array
    """[n] medians of the raw distributions"""


@dataclass(frozen=True)
class Maps:
    """Maps of levels for n jobs, as they were known at submit."""

    values: Array
    """[m, SHAPES, K] states of the recalibration"""
    state: NDArray[np.intp]
    """[n] the state of each job"""
    of_users: Array
    """[u, K] maps of users"""
    user_map: NDArray[np.intp]
    """[n] the map of each job's user, -1 for none"""

    def __getitem__(self, jobs: slice | NDArray[np.intp]) -> "Maps":
        """Return those of some of the jobs."""
        return Maps(self.values, self.state[jobs], self.of_users, self.user_map[jobs])

    def recalibrated(self, raw: Distribution) -> Distribution:
        """Return the distributions of the n jobs, recalibrated."""
        states, state_of = np.unique(self.state, return_inverse=True)
        values = self.values[states]
        maps = LevelMaps(values.reshape(-1, values.shape[-1]))
        by_group = raw.recalibrated(maps, state_of * SHAPES + shape_groups(raw))
        users, map_of = np.unique(self.user_map, return_inverse=True)
        without = int((users < 0).sum())  # -1 comes first
        of_users = LevelMaps(self.of_users[users[without:]], expanded=False)
        return by_group.recalibrated(of_users, map_of - without)


def gather_evidence(log: PreparedLog, model: Answering, rows: Rows, report: Report) -> Evidence:
    """Ask a model about jobs of a log as of their submit, and compare with what happened."""
    asked = AskedJobs.of(log.columns, log.tokens, log.limit_s)
    parts, median_s = [_outcomes(log, rows[:0], _no_distributions())], np.empty(len(rows))
    for piece, output in model.ask(asked, rows):
        raw = Distribution.of(output.support_s, output.weights, log.limit_s[rows[piece]])
        parts.append(_outcomes(log, rows[piece], raw))
        median_s[piece] = raw.median_s()
        report(min(piece.stop, len(rows)) / len(rows))
    return Evidence(rows, _joined(parts), median_s)


def served_maps(
    log: PreparedLog, evidence: Evidence, start: LearnedLevels | None, asked: Rows
) -> tuple[Maps, LearnedLevels]:
    """Return the maps that asked jobs are served with, and the state after all outcomes.

    Args:
        log: the log.
        evidence: jobs of it.
        start: what was learned in training; None for nothing.
        asked: [n] jobs of the log, by submit.
    """
    outcomes = _in_order(log, evidence)
    known = Recalibration(start, kept_user_maps=len(outcomes))
    users = log.columns.keys[:, USER]
    folded, states, own_maps = 0, 0, 0
    values, of_users = [], [np.empty((0, len(KNOTS)))]
    state, user_map = [], [np.empty(0, dtype=np.intp)]
    for first in range(0, len(asked), _ASKED):
        at_s = log.submit_s[asked[first : first + _ASKED]]
        ended = int(outcomes.end_s.searchsorted(at_s[-1], side="right"))
        known.fold(_part(outcomes, slice(folded, ended)))
        folded = ended
        at_once, which = known.maps_at(np.zeros(len(at_s), dtype=np.intp), at_s)
        found = at_once.values.reshape(-1, SHAPES, len(KNOTS))
        state.append(which // SHAPES + states)
        values.append(found)
        states += len(found)
        own = known.user_maps_at(users[asked[first : first + _ASKED]], at_s)
        if own is None:
            user_map.append(np.full(len(at_s), -1))
            continue
        user_map.append(np.where(own[1] < 0, -1, own[1] + own_maps))
        of_users.append(own[0].values)
        own_maps += len(own[0])
    known.fold(_part(outcomes, slice(folded, None)))
    maps = Maps(
        np.concatenate(values),
        np.concatenate(state),
        np.concatenate(of_users),
        np.concatenate(user_map),
    )
    return maps, known.learned()


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
    for number, (log, rows) in enumerate(parts):
        drawn = rows[np.linspace(0, len(rows) - 1, min(len(rows), _OF_EACH_LOG)).astype(np.int64)]
        outcomes = _in_order(log, gather_evidence(log, model, np.unique(drawn), lambda _: None))
        # Users of two logs may have one name.
        other = np.uint64(hash_bytes(f"{number} {log.name}".encode()))
        learned.append(replace(outcomes, users=outcomes.users ^ other))
        when.append(np.arange(len(outcomes)) / len(outcomes))
        report((number + 1) / len(parts))
    known = Recalibration()
    if learned:
        # All logs at once, each in its own order, so that the last outcomes are not all of one log.
        known.fold(_part(_joined(learned), np.argsort(np.concatenate(when), kind="stable")))
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


def _no_distributions() -> Distribution:
    nothing = np.empty((0, 1), dtype=np.float32)
    return Distribution.of(nothing, nothing, np.empty(0))


def _joined(parts: Sequence[Outcomes]) -> Outcomes:
    names = Outcomes.__dataclass_fields__
    return Outcomes(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def _part(outcomes: Outcomes, jobs: slice | NDArray[np.intp]) -> Outcomes:
    return Outcomes(*(getattr(outcomes, name)[jobs] for name in Outcomes.__dataclass_fields__))


def _in_order(log: PreparedLog, evidence: Evidence) -> Outcomes:
    """Return outcomes in the order in which history knows them: by end, submit and identity."""
    outcomes, idents = evidence.outcomes, log.columns.ident[evidence.rows]
    return _part(outcomes, np.lexsort((idents, outcomes.submit_s, outcomes.end_s)))
