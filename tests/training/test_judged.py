"""Bundles and training, judged on the last part of a log."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from rt_predictor.errors import TrainingError
from rt_predictor.model.bundle import Bundle, read_bundle
from rt_predictor.model.documents import BASE, FINE_TUNED
from rt_predictor.model.fingerprints import Fingerprints
from rt_predictor.settings import Settings
from rt_predictor.training.answering import Answering
from rt_predictor.training.evaluate import evaluate
from rt_predictor.training.judged import judge_bundle, judge_training
from rt_predictor.training.prepare import PreparedLog, prepare_log
from rt_predictor.training.progress import ignore_progress
from rt_predictor.training.replay import replay, span_after
from rt_predictor.training.replayed import LEVELS, TRIED_CONFIDENCES, Replayed
from rt_predictor.training.site import Start


@pytest.fixture(scope="module")
def base(tiny_bundle: Path) -> Bundle:
    return read_bundle(tiny_bundle)


@pytest.fixture(scope="module")
def judged(site_log: PreparedLog, base: Bundle, tiny_settings: Settings) -> Replayed:
    return judge_bundle(site_log, base, tiny_settings, ignore_progress)


def test_every_job_after_the_mark_is_answered(judged: Replayed, site_log: PreparedLog) -> None:
    assert judged.kind == BASE
    assert len(judged.jobs) == pytest.approx(0.3 * len(site_log.rows), rel=0.02)
    assert (np.diff(judged.jobs["submit_time"].to_numpy()) >= 0).all()
    assert list(judged.members) == ["xgboost", "lightgbm", "catboost"]


def test_views_do_not_contradict_each_other(judged: Replayed) -> None:
    for column in range(len(LEVELS)):
        assert (judged.lower_s[:, column] <= judged.predicted_s).all()
        assert (judged.predicted_s <= judged.upper_s[:, column]).all()
    limit = judged.jobs["time_req"].to_numpy()
    assert ((judged.predicted_s >= limit) == (judged.timeout_probability > 0.5)).all()
    steps = np.diff(judged.recommended_s, axis=1)
    assert (steps[~np.isnan(steps)] >= 0).all()
    for column, confidence in enumerate(TRIED_CONFIDENCES):
        absent = np.isnan(judged.recommended_s[:, column])
        assert (absent == (judged.timeout_probability > 1 - confidence)).all()


def test_scores_are_no_worse_than_those_of_the_point(judged: Replayed) -> None:
    error = np.abs(judged.predicted_s - judged.jobs["runtime"].to_numpy())
    assert judged.crps_s.mean() < error.mean()


def test_intervals_hold_about_what_they_promise(judged: Replayed, site_log: PreparedLog) -> None:
    found = evaluate(site_log, judged, 0.9)
    assert found.interval.coverage == pytest.approx(0.9, abs=0.05)


def test_outcomes_of_later_jobs_change_no_answer(
    site_log: PreparedLog, base: Bundle, tiny_settings: Settings, judged: Replayed
) -> None:
    tested = judged.rows[:200]
    span = span_after(site_log, tested, -np.inf)
    single = replay(
        site_log, Answering.of(base), None, span, tiny_settings, report=lambda _: None
    ).replayed
    again = replay(
        site_log,
        Answering.of(base),
        None,
        span_after(site_log, judged.rows, -np.inf),
        tiny_settings,
        report=lambda _: None,
    ).replayed
    assert single.predicted_s.tolist() == again.predicted_s[:200].tolist()
    assert single.upper_s.tolist() == again.upper_s[:200].tolist()


def test_jobs_that_a_bundle_learned_from_are_not_scored(
    site_log: PreparedLog, base: Bundle, tiny_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    some = Fingerprints.of(site_log.columns.ident[site_log.rows[-600:]])
    monkeypatch.setattr(type(base.info), "fingerprints", lambda _self: some)
    found = judge_bundle(site_log, base, tiny_settings, ignore_progress)
    assert len(found.jobs) == pytest.approx(0.3 * len(site_log.rows) - 600, abs=20)
    every = Fingerprints.of(site_log.columns.ident)
    monkeypatch.setattr(type(base.info), "fingerprints", lambda _self: every)
    with pytest.raises(TrainingError, match="learned from all but 0 of"):
        judge_bundle(site_log, base, tiny_settings, ignore_progress)


@pytest.mark.usefixtures("quick_tuning")
def test_a_model_is_tuned_on_what_had_ended_before(
    site_log: PreparedLog, base: Bundle, tiny_settings: Settings, judged: Replayed
) -> None:
    reported: list[tuple[str, float]] = []
    found = judge_training(
        site_log,
        Start(base),
        tiny_settings,
        None,
        lambda step, share: reported.append((step, share)),
    )
    assert found.kind == FINE_TUNED
    assert found.rows.tolist() == judged.rows.tolist()
    assert found.jobs_train == judged.jobs_train
    assert {"tuning", "judging"} <= {step for step, _ in reported}


@pytest.mark.usefixtures("quick_tuning")
def test_a_model_can_be_tuned_anew_on_the_way(
    site_log: PreparedLog, base: Bundle, tiny_settings: Settings, judged: Replayed
) -> None:
    days = (site_log.submit_s[judged.rows[-1]] - site_log.submit_s[judged.rows[0]]) / 86400
    found = judge_training(site_log, Start(base), tiny_settings, 0.6 * days, ignore_progress)
    assert found.retrain_every_days == 0.6 * days
    assert found.rows.tolist() == judged.rows.tolist()


def test_who_is_stopped_seconds_after_an_enforced_limit_has_run_to_it(
    site_log: PreparedLog, base: Bundle, tiny_settings: Settings
) -> None:
    jobs = site_log.jobs[site_log.rows].drop_nulls("time_req")
    late = pl.col("time_req") + 5
    stopped = prepare_log(
        jobs.with_columns(
            runtime=late, end_time=pl.col("start_time") + late, state=pl.lit("TIMEOUT")
        ),
        "stopped",
    )
    enforced = tiny_settings.with_overrides({"prediction.limits_enforced": True})
    found = judge_bundle(stopped, base, enforced, ignore_progress)
    assert found.jobs["runtime"].to_list() == found.jobs["time_req"].to_list()
    assert evaluate(stopped, found, 0.9).interval.coverage > 0.9
