from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from rt_predictor.errors import BundleError, ParityError, TrainingError
from rt_predictor.features.declared import FEATURES
from rt_predictor.history.experts import SCOPES
from rt_predictor.model.bundle import read_bundle
from rt_predictor.settings import Settings
from rt_predictor.traces.generate import generate_jobs
from rt_predictor.training import ensemble, exported
from rt_predictor.training.combine import EXPERTS, RULES, Combination
from rt_predictor.training.interval_models import IntervalModels
from rt_predictor.training.members import MEMBERS
from rt_predictor.training.pipeline import TrainingReport, train


@pytest.fixture(scope="module")
def report(tiny_training: TrainingReport) -> TrainingReport:
    return tiny_training


def test_the_bundle_on_disk_is_the_one_reported(report: TrainingReport) -> None:
    found = read_bundle(report.folder)
    assert found.graph == report.bundle.graph
    for part in ("ensemble", "features", "calibration", "info", "metrics"):
        read, reported = getattr(found, part), getattr(report.bundle, part)
        assert read.model_dump_json() == reported.model_dump_json()
    assert found.info.model_version == report.model_version
    assert found.info.training_traces == ("generated",)


def test_every_feature_is_recorded_with_its_importance(report: TrainingReport) -> None:
    features = report.bundle.features.features
    assert [feature.name for feature in features] == [feature.name for feature in FEATURES]
    assert sum(feature.importance for feature in features) == pytest.approx(1, abs=1e-6)


def test_the_evaluation_is_of_later_jobs_and_beats_the_request(report: TrainingReport) -> None:
    evaluation = report.evaluation
    assert evaluation.jobs_test == pytest.approx(1200, rel=0.05)
    assert set(evaluation.models) == {"ensemble", *EXPERTS}
    assert evaluation.models["ensemble"].mae < evaluation.baselines["request"].mae
    assert len(evaluation.interval.block_coverage) == 10


def test_settings_and_parity_are_on_record(report: TrainingReport) -> None:
    info, metrics = report.bundle.info, report.bundle.metrics
    assert info.settings["training"]["xgboost"]["trees"] == 12  # type: ignore[index]
    rows = metrics.parity["rows"]
    assert all(count > 0 for count in rows.values())  # type: ignore[attr-defined]
    models = report.bundle.ensemble.models
    assert tuple(models) == EXPERTS
    for member in MEMBERS:
        assert metrics.boosters[member.name]["trees_kept"] == models[member.name].trees > 0
    assert all(models[rule].trees == 0 for rule in RULES)


def test_no_user_name_is_in_the_bundle(report: TrainingReport, tiny_log: pl.DataFrame) -> None:
    text = b"".join(path.read_bytes() for path in report.folder.iterdir())
    for name in ("user", "account", "job_name"):
        for value in tiny_log[name].unique():
            assert value.encode() not in text


def test_outcomes_after_the_mark_change_nothing_that_was_learned(
    report: TrainingReport, tiny_log: pl.DataFrame, tiny_settings: Settings, tmp_path: Path
) -> None:
    mark = report.bundle.info.training_span_end
    later = pl.col("end_time") > mark
    changed = tiny_log.with_columns(
        runtime=pl.when(later).then(pl.col("runtime") * 3).otherwise(pl.col("runtime")),
        end_time=pl.when(later).then(pl.col("end_time") + 1).otherwise(pl.col("end_time")),
    )
    again = train(changed, ["made-up"], tmp_path / "b", tiny_settings).bundle
    assert again.features.ranges == report.bundle.features.ranges
    assert again.calibration == report.bundle.calibration
    assert again.ensemble == report.bundle.ensemble


def test_progress_names_every_step(tiny_settings: Settings, tmp_path: Path) -> None:
    steps: list[str] = []
    train(
        generate_jobs(2000, seed=1), ["x"], tmp_path / "b", tiny_settings,
        lambda step, share: steps.append(step) if 0 <= share <= 1 else None,
    )  # fmt: skip
    assert {member.name for member in MEMBERS} <= set(steps)
    assert any(step.startswith("verify") for step in steps)


@pytest.mark.parametrize(
    "wrong",
    [
        {"prior_losses": ((1.0, *(1e6,) * (len(EXPERTS) - 1)),) * SCOPES},
        {"limit_cap": 0.5},
        {"max_runtime_s": 60.0, "limit_cap": None},
        {"typical_runtime_s": 1e9},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_a_bundle_that_does_not_verify_is_not_written(
    wrong: dict[str, object],
    tiny_settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Here the graph is made with another combination than was learned."""
    real = exported.ensemble_model

    def with_another(categories: Any, heads: Any, combination: Combination, shape: Any) -> Any:
        return real(categories, heads, replace(combination, **wrong), shape)  # type: ignore[arg-type]

    monkeypatch.setattr(exported, "ensemble_model", with_another)
    # Some have no limit: what is typical is said of them alone.
    jobs = generate_jobs(2000, seed=1).with_columns(
        time_req=pl.when(pl.int_range(pl.len()) % 5 > 0).then("time_req")
    )
    with pytest.raises(ParityError, match="no bundle is written"):
        train(jobs, ["x"], tmp_path / "b", tiny_settings)
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("intervals_s", lambda said: (said[0], said[1] * 2)),
        ("intervals_s", lambda said: (said[0] / 2 + 1e4, said[1])),
        ("timeout_chance", lambda said: said / 2),
        ("timeout_chance", lambda said: np.where(said > said.min(), said, np.nan)),
    ],
)
def test_a_bundle_whose_intervals_or_timeouts_are_not_the_boosters_is_not_written(
    name: str,
    change: Callable[[Any], Any],
    tiny_settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = getattr(IntervalModels, name)
    monkeypatch.setattr(IntervalModels, name, lambda *given: change(real(*given)))
    with pytest.raises(ParityError, match="no bundle is written"):
        train(generate_jobs(2000, seed=1), ["x"], tmp_path / "b", tiny_settings)
    assert not (tmp_path / "b").exists()


def test_a_bundle_whose_boosters_say_something_else_is_not_written(
    tiny_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = ensemble.raw_answers

    def later_wrong(boosters: object, features: np.ndarray) -> np.ndarray:
        raw = real(boosters, features)  # type: ignore[arg-type]
        raw[:, 0] += 5000.0
        return raw

    monkeypatch.setattr(ensemble, "raw_answers", later_wrong)
    with pytest.raises(ParityError, match="no bundle is written"):
        train(generate_jobs(2000, seed=1), ["x"], tmp_path / "b", tiny_settings)
    assert not (tmp_path / "b").exists()


def test_weights_before_any_job_has_ended_are_those_of_the_prior(report: TrainingReport) -> None:
    weights = np.array([entry.weight for entry in report.bundle.ensemble.models.values()])
    assert weights.sum() == pytest.approx(1)
    assert len(set(weights)) > 2, "experts were not told apart"


def test_a_log_without_jobs_is_refused(tiny_settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no job that ran"):
        train(generate_jobs(10, seed=1)[:0], ["x"], tmp_path / "b", tiny_settings)


def test_jobs_without_memory_partition_or_limit_can_be_trained_on(
    tiny_settings: Settings, tmp_path: Path
) -> None:
    bare = generate_jobs(2000, seed=1).with_columns(
        pl.lit(None, dtype=pl.Float64).alias("mem_req"),
        pl.lit(None, dtype=pl.Float64).alias("time_req"),
        pl.lit(None, dtype=pl.String).alias("partition"),
    )
    evaluation = train(bare, ["x"], tmp_path / "b", tiny_settings).evaluation
    assert np.isfinite(evaluation.models["ensemble"].mae)


def test_a_folder_of_something_else_is_left_alone(tiny_settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(BundleError, match="holds no bundle"):
        train(generate_jobs(2000, seed=1), ["x"], tmp_path, tiny_settings)
