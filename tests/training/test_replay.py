"""Replaying a log with one model, and with models trained anew."""

import numpy as np
import polars as pl
import pytest

from rt_predictor.errors import TrainingError
from rt_predictor.features.declared import DAY_S
from rt_predictor.model.bounds import LEVELS
from rt_predictor.settings import Settings
from rt_predictor.traces.generate import generate_jobs
from rt_predictor.training.replay import REPLAYING, replay
from rt_predictor.training.split import split_by_time


def _ignore(_step: str, _share: float) -> None:
    pass


@pytest.fixture(scope="module")
def log() -> pl.DataFrame:
    return generate_jobs(2000, seed=3)


def test_every_job_of_the_test_span_is_answered(log: pl.DataFrame, tiny_settings: Settings) -> None:
    found = replay(log, tiny_settings, None, _ignore)
    test = split_by_time(log, tiny_settings.training).test
    assert found.jobs["job_id"].to_list() == test["job_id"].to_list()
    assert np.isfinite(found.predicted_s).all()
    assert found.levels == LEVELS
    for level in range(len(LEVELS)):
        assert (found.lower_s[:, level] <= found.predicted_s).all()
        assert (found.predicted_s <= found.upper_s[:, level]).all()
    assert 0 < found.timeout_base_rate < 1
    assert sum(found.importance.values()) == pytest.approx(1, abs=1e-6)
    said = found.timeout_probability[~np.isnan(found.timeout_probability)]
    assert ((said >= 0) & (said <= 1)).all()


def test_models_made_anew_learn_from_what_has_ended_by_then_and_nothing_else(
    log: pl.DataFrame, tiny_settings: Settings
) -> None:
    mark_s = split_by_time(log, tiny_settings.training).mark_s
    steps: list[tuple[str, float]] = []
    anew = replay(log, tiny_settings, 12.0, lambda *step: steps.append(step))
    assert steps == [(REPLAYING, share) for share in (0, 1 / 3, 2 / 3, 1)]
    days = (anew.jobs["submit_time"] - mark_s).to_numpy() / DAY_S
    first, second, third = days < 12, (days >= 12) & (days < 24), days >= 24

    later = pl.col("end_time") > mark_s + 24 * DAY_S
    changed = log.with_columns(runtime=pl.when(later).then(7.0).otherwise("runtime"))
    after = replay(changed, tiny_settings, 12.0, _ignore)
    np.testing.assert_array_equal(after.jobs["job_id"], anew.jobs["job_id"])
    for same in (first, second):
        np.testing.assert_array_equal(after.predicted_s[same], anew.predicted_s[same])
    assert (after.predicted_s[third] != anew.predicted_s[third]).any()

    once = replay(log, tiny_settings, None, _ignore)
    np.testing.assert_array_equal(anew.predicted_s[first], once.predicted_s[first])
    assert (anew.predicted_s[second] != once.predicted_s[second]).any()


def test_a_period_of_few_jobs_stays_with_the_model_before_it(
    log: pl.DataFrame, tiny_settings: Settings
) -> None:
    steps: list[str] = []
    replay(log, tiny_settings, 26.0, lambda step, _share: steps.append(step))
    assert steps == [REPLAYING] * 2  # the last day and a half joins the span before


def test_too_short_a_log_is_refused(tiny_settings: Settings) -> None:
    with pytest.raises(TrainingError, match="at least 30 are needed"):
        replay(generate_jobs(100, seed=1), tiny_settings, None, _ignore)
