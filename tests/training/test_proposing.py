"""What boosters say of jobs that they have not seen."""

import numpy as np
import pytest

from rt_predictor.settings import Settings, TrainingSettings
from rt_predictor.traces.generate import generate_jobs
from rt_predictor.training.boosting.fit import LIBRARIES
from rt_predictor.training.prepare import PreparedLog, prepare_log
from rt_predictor.training.proposing import BACKOFF, TIME_PARTS, Told, by_halves, by_time, told_of


@pytest.fixture(scope="module")
def settings(tiny_settings: Settings) -> TrainingSettings:
    return tiny_settings.training


@pytest.fixture(scope="module")
def other_log() -> PreparedLog:
    return prepare_log(generate_jobs(800, seed=77), "other")


def test_the_anchor_of_one_booster_is_what_the_most_alike_jobs_took() -> None:
    features = np.zeros((2, BACKOFF + 1), dtype=np.float32)
    features[:, BACKOFF] = 1, -2
    told = Told(features, np.zeros(2, dtype=np.float32))
    assert told.anchor("lightgbm").tolist() == [1, -2]
    assert told.anchor("xgboost").tolist() == [0, 0]


def test_the_scale_is_the_limit(small_log: PreparedLog) -> None:
    told = told_of(small_log, small_log.rows[:50])
    assert np.exp(told.log_scale) == pytest.approx(small_log.limit_s[:50], rel=1e-4)


def test_in_time_the_first_part_is_told_nothing(
    small_log: PreparedLog, settings: TrainingSettings
) -> None:
    shares: list[float] = []
    boosters, said = by_time(small_log, small_log.rows, settings, shares.append)
    assert [booster.library for booster in boosters.fitted] == list(LIBRARIES)
    silent = np.isnan(said).any(axis=1)
    assert silent.mean() == pytest.approx(1 / TIME_PARTS, abs=0.01)
    assert small_log.end_s[silent].max() <= small_log.end_s[~silent].min()
    assert (shares == sorted(shares), shares[-1]) == (True, 1)


def test_logs_are_spoken_of_by_boosters_of_the_other_half(
    small_log: PreparedLog, other_log: PreparedLog, settings: TrainingSettings
) -> None:
    logs = [(small_log, small_log.rows[:500]), (other_log, other_log.rows)]
    boosters, (said, of_other) = by_halves(logs, [0, 1], settings, lambda _: None)
    assert np.isfinite(said[:500]).all()
    assert np.isnan(said[500:]).all()
    assert np.isfinite(of_other).all()
    seen = boosters.propose(told_of(other_log, other_log.rows))
    took = np.log(other_log.runtime_s) - told_of(other_log, other_log.rows).log_scale
    error_seen, error_unseen = (np.abs(x - took[:, None]).mean() for x in (seen, of_other))
    assert error_seen < error_unseen


def test_logs_of_one_half_answer_themselves(
    small_log: PreparedLog, settings: TrainingSettings
) -> None:
    logs = [(small_log, small_log.rows)]
    boosters, (said,) = by_halves(logs, [0], settings, lambda _: None)
    assert said.tolist() == boosters.propose(told_of(small_log, small_log.rows)).tolist()
