"""Boosters propose for jobs that they have not seen."""

import numpy as np
import pytest

from rt_predictor.settings import Settings, TrainingSettings
from rt_predictor.traces.generate import generate_jobs
from rt_predictor.training.boosting.fit import LIBRARIES
from rt_predictor.training.prepare import PreparedLog, prepare_log
from rt_predictor.training.proposing import (
    BACKOFF,
    TIME_PARTS,
    BoosterInputs,
    booster_inputs,
    propose_by_halves,
    propose_by_time,
)


@pytest.fixture(scope="module")
def settings(tiny_settings: Settings) -> TrainingSettings:
    return tiny_settings.training


@pytest.fixture(scope="module")
def other_log() -> PreparedLog:
    return prepare_log(generate_jobs(800, seed=77), "other")


def test_the_anchor_of_one_booster_is_what_the_most_alike_jobs_took() -> None:
    features = np.zeros((2, BACKOFF + 1), dtype=np.float32)
    features[:, BACKOFF] = 1, -2
    inputs = BoosterInputs(features, np.zeros(2, dtype=np.float32))
    assert inputs.anchor("lightgbm").tolist() == [1, -2]
    assert inputs.anchor("xgboost").tolist() == [0, 0]


def test_the_scale_is_the_limit(small_log: PreparedLog) -> None:
    inputs = booster_inputs(small_log, small_log.rows[:50])
    assert np.exp(inputs.log_scale) == pytest.approx(small_log.limit_s[:50], rel=1e-4)


def test_the_first_part_in_time_has_no_proposals(
    small_log: PreparedLog, settings: TrainingSettings
) -> None:
    shares: list[float] = []
    boosters, proposals = propose_by_time(small_log, small_log.rows, settings, shares.append)
    assert [booster.library for booster in boosters.fitted] == list(LIBRARIES)
    silent = np.isnan(proposals).any(axis=1)
    assert silent.mean() == pytest.approx(1 / TIME_PARTS, abs=0.01)
    assert small_log.end_s[silent].max() <= small_log.end_s[~silent].min()
    assert (shares == sorted(shares), shares[-1]) == (True, 1)


def test_logs_have_proposals_of_the_boosters_of_the_other_half(
    small_log: PreparedLog, other_log: PreparedLog, settings: TrainingSettings
) -> None:
    logs = [(small_log, small_log.rows[:500]), (other_log, other_log.rows)]
    boosters, (proposals, of_other) = propose_by_halves(logs, [0, 1], settings, lambda _: None)
    assert np.isfinite(proposals[:500]).all()
    assert np.isnan(proposals[500:]).all()
    assert np.isfinite(of_other).all()
    seen = boosters.propose(booster_inputs(other_log, other_log.rows))
    log_ratio = np.log(other_log.runtime_s) - booster_inputs(other_log, other_log.rows).log_scale
    error_seen, error_unseen = (np.abs(x - log_ratio[:, None]).mean() for x in (seen, of_other))
    assert error_seen < error_unseen


def test_logs_of_only_one_half_have_proposals_of_their_own_boosters(
    small_log: PreparedLog, settings: TrainingSettings
) -> None:
    logs = [(small_log, small_log.rows)]
    boosters, (proposals,) = propose_by_halves(logs, [0], settings, lambda _: None)
    assert (
        proposals.tolist() == boosters.propose(booster_inputs(small_log, small_log.rows)).tolist()
    )
