"""The evaluation of a replay."""

import json
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from rt_predictor.training.evaluate import Evaluation, evaluate
from rt_predictor.training.replayed import Replayed, concatenate
from tests.training.replays import LEVELS

POINT_KEYS = {"mae", "median_ae", "accuracy", "underestimated", "rmse", "r2"}


def test_the_document_has_the_agreed_keys(evaluation: Evaluation) -> None:
    document = evaluation.to_json()
    assert {"trace", "jobs_train", "jobs_test", "models", "baselines", "interval"} <= set(document)
    models, others, interval = (document[key] for key in ("models", "baselines", "interval"))
    assert isinstance(models, Mapping)
    assert isinstance(others, Mapping)
    assert isinstance(interval, Mapping)
    assert list(models) == ["ensemble", "xgboost", "lightgbm", "catboost"]
    assert list(others) == ["request", "last2", "user_median5", "backoff_median5", "request_only"]
    for figures in (*models.values(), *others.values()):
        assert set(figures) == POINT_KEYS
    agreed = ("coverage", "block_coverage", "mean_width", "winkler", "winkler_constant_width")
    assert {"level", *agreed} <= set(interval)


def test_the_document_is_json_also_where_figures_are_missing(
    replayed_log: pl.DataFrame, replayed: Replayed
) -> None:
    def bare(jobs: pl.DataFrame) -> pl.DataFrame:
        return jobs.with_columns(user=pl.lit(None, pl.String), time_req=pl.lit(None, pl.Float64))

    unknown = replace(replayed, jobs=bare(replayed.jobs), user_runs=np.ones(len(replayed.jobs)))
    document = evaluate("bare", bare(replayed_log), unknown, 0.9).to_json()
    read = json.loads(json.dumps(document, allow_nan=False))
    assert read["timeouts"] is None
    assert read["user_mae"]["ensemble"] is None
    assert read["interval"]["coverage_without_history"] is None


def test_figures_are_of_the_answers(evaluation: Evaluation, replayed: Replayed) -> None:
    runtime = replayed.jobs["runtime"].to_numpy()
    for name, says in (
        ("ensemble", replayed.predicted_s),
        ("xgboost", replayed.members["xgboost"]),
    ):
        assert evaluation.models[name].mae == pytest.approx(np.abs(says - runtime).mean())
    error = np.abs(replayed.request_only_s - runtime).mean()
    assert evaluation.baselines["request_only"].mae == pytest.approx(error)


def test_each_level_is_measured_and_the_default_one_stands_out(evaluation: Evaluation) -> None:
    assert tuple(figures.level for figures in evaluation.intervals) == LEVELS
    assert evaluation.interval == evaluation.intervals[1]
    coverage = [figures.coverage for figures in evaluation.intervals]
    assert coverage == sorted(coverage)
    assert coverage[0] < coverage[-1]


def test_a_level_that_was_not_replayed_is_refused(
    replayed_log: pl.DataFrame, replayed: Replayed
) -> None:
    with pytest.raises(ValueError, match=r"0\.8 .* 0\.5, 0\.9, 0\.95"):
        evaluate("made-up", replayed_log, replayed, 0.8)


def test_jobs_without_a_limit_have_no_chance_to_reach_it(
    evaluation: Evaluation, replayed: Replayed
) -> None:
    assert evaluation.timeouts is not None
    assert evaluation.timeouts.jobs == replayed.jobs["time_req"].drop_nulls().len()


def test_features_come_by_importance(evaluation: Evaluation) -> None:
    shares = list(evaluation.importance.values())
    assert shares == sorted(shares, reverse=True)


def test_answers_that_do_not_fit_the_jobs_are_refused(replayed: Replayed) -> None:
    with pytest.raises(ValueError, match=r"lower_s has the shape \(3, 3\), not \(300, 3\)"):
        replace(replayed, lower_s=replayed.lower_s[:3])
    with pytest.raises(ValueError, match="members\\['x'\\]"):
        replace(replayed, members={"x": np.ones(2)})


def test_spans_of_a_replay_join_in_order(replayed: Replayed, replayed_log: pl.DataFrame) -> None:
    twice = concatenate([replayed, replayed])
    assert twice.jobs.equals(pl.concat([replayed.jobs, replayed.jobs]))
    assert twice.upper_s.shape == (600, 3)
    assert twice.members["xgboost"][300:].tolist() == replayed.members["xgboost"].tolist()
    assert twice.jobs_train == replayed.jobs_train
    assert evaluate("twice", replayed_log, twice, 0.9).jobs_test == 600
