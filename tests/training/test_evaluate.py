"""The evaluation of a replay."""

import json
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from rt_predictor.training.evaluate import Evaluation, evaluate, series_of
from rt_predictor.training.prepare import PreparedLog, prepare_log
from rt_predictor.training.replayed import LEVELS, Replayed, concatenate
from tests.training.replays import a_frame, a_replay

POINT_KEYS = {"mae", "median_ae", "accuracy", "underestimated", "rmse", "r2"}
BASELINES = ["request", "last2", "user_median5", "backoff_median5", "user_ratio5", "request_only"]


def test_the_document_has_the_agreed_keys(evaluation: Evaluation) -> None:
    document = evaluation.to_json()
    assert {"trace", "jobs_train", "jobs_test", "models", "baselines", "interval"} <= set(document)
    models, others, interval = (document[key] for key in ("models", "baselines", "interval"))
    assert isinstance(models, Mapping)
    assert isinstance(others, Mapping)
    assert isinstance(interval, Mapping)
    assert list(models) == ["ensemble", "xgboost", "lightgbm", "catboost"]
    assert list(others) == BASELINES
    for figures in (*models.values(), *others.values()):
        assert set(figures) == POINT_KEYS
    agreed = ("coverage", "block_coverage", "history_coverage", "mean_width_s", "winkler_s")
    assert {"level", "constant_width_winkler_s", *agreed} <= set(interval)


def test_the_document_is_json_also_where_figures_are_missing() -> None:
    bare = a_frame().with_columns(user=pl.lit(None, pl.String), time_req=pl.lit(None, pl.Float64))
    log = prepare_log(bare, "bare")
    document = evaluate(log, a_replay(log), 0.9).to_json()
    read = json.loads(json.dumps(document, allow_nan=False))
    assert read["timeouts"] is None
    assert read["usefulness"] == {}
    assert read["asked_again"] is None
    assert read["user_mae"]["ensemble"] is None
    assert read["interval"]["history_coverage"]["20 and more"] is None


def test_figures_are_of_the_answers(evaluation: Evaluation, replayed: Replayed) -> None:
    runtime = replayed.jobs["runtime"].to_numpy()
    for name, says in (
        ("ensemble", replayed.predicted_s),
        ("xgboost", replayed.members["xgboost"]),
    ):
        assert evaluation.models[name].mae == pytest.approx(np.abs(says - runtime).mean())
    assert replayed.request_only_s is not None
    error = np.abs(replayed.request_only_s - runtime).mean()
    assert evaluation.baselines["request_only"].mae == pytest.approx(error)
    assert evaluation.distribution.crps_s == pytest.approx(replayed.crps_s.mean())


def test_each_level_is_measured_and_the_default_one_stands_out(evaluation: Evaluation) -> None:
    assert tuple(figures.level for figures in evaluation.intervals) == LEVELS
    assert evaluation.interval == evaluation.intervals[LEVELS.index(0.9)]
    coverage = [figures.coverage for figures in evaluation.intervals]
    assert coverage == sorted(coverage)
    assert coverage[0] < coverage[-1]


def test_a_level_that_was_not_replayed_is_refused(
    replayed_log: PreparedLog, replayed: Replayed
) -> None:
    with pytest.raises(ValueError, match=r"0\.8 .* 0\.5, 0\.75, 0\.9, 0\.95"):
        evaluate(replayed_log, replayed, 0.8)


def test_jobs_without_a_limit_have_no_chance_to_reach_it(
    evaluation: Evaluation, replayed: Replayed
) -> None:
    assert evaluation.timeouts is not None
    assert evaluation.timeouts.jobs == replayed.jobs["time_req"].drop_nulls().len()


def test_jobs_are_asked_again_with_other_limits(evaluation: Evaluation) -> None:
    again = evaluation.asked_again
    assert again is not None
    assert again.falling == 0.5
    assert again.recommended_holds == {"0.9": 0.8, "0.95": 0.8}
    assert again.recommended == {"0.9": 1.0, "0.95": 1.0}


def test_following_the_recommended_limits_is_measured(evaluation: Evaluation) -> None:
    careful, daring = evaluation.usefulness["0.95"], evaluation.usefulness["0.9"]
    assert 0 < careful.freed < daring.freed < daring.unused
    assert 0 < careful.cut < daring.cut


def test_series_are_of_one_user_size_and_limit(replayed_log: PreparedLog) -> None:
    series = series_of(replayed_log)
    jobs = replayed_log.jobs.with_columns(group=series.group)
    known = jobs.filter(pl.col("group") >= 0)
    assert known["user"].null_count() == 0
    assert jobs.filter(pl.col("group") < 0)["user"].drop_nulls().is_empty()
    groups = known.group_by("group").agg(
        pl.struct("user", "processors_req", "time_req").n_unique().alias("kinds")
    )
    assert set(groups["kinds"]) == {1}


def test_answers_that_do_not_fit_the_jobs_are_refused(replayed: Replayed) -> None:
    with pytest.raises(ValueError, match=r"lower_s has the shape \(3, 4\), not \(300, 4\)"):
        replace(replayed, lower_s=replayed.lower_s[:3])
    with pytest.raises(ValueError, match="members\\['x'\\]"):
        replace(replayed, members={"x": np.ones(2)})
    with pytest.raises(ValueError, match="recommended_s has the shape"):
        replace(replayed, recommended_s=replayed.recommended_s[:, :2])


def test_spans_of_a_replay_join_in_order(replayed: Replayed, replayed_log: PreparedLog) -> None:
    twice = concatenate([replayed, replace(replayed, model_version="later")])
    assert twice.jobs.equals(pl.concat([replayed.jobs, replayed.jobs]))
    assert twice.upper_s.shape == (600, 4)
    assert twice.members["xgboost"][300:].tolist() == replayed.members["xgboost"].tolist()
    assert (twice.jobs_train, twice.model_version) == (replayed.jobs_train, "later")
    assert evaluate(replayed_log, twice, 0.9).jobs_test == 600
