"""A base model: the jobs that it learns from, and its bundle."""

from pathlib import Path

import numpy as np
import pytest

from rt_predictor.errors import BundleError
from rt_predictor.model.bundle import Bundle, read_bundle
from rt_predictor.model.documents import BASE
from rt_predictor.online.recalibration import LearnedLevels
from rt_predictor.settings import Settings
from rt_predictor.training.answering import Answering, AskedJobs
from rt_predictor.training.base import BaseLog, halves_of, train_base
from rt_predictor.training.model_graph import ModelGraph, weights_of
from rt_predictor.training.prepare import PreparedLog


@pytest.fixture(scope="module")
def bundle(tiny_bundle: Path) -> Bundle:
    return read_bundle(tiny_bundle)


def test_it_names_its_logs_and_no_site(bundle: Bundle) -> None:
    assert bundle.info.kind == BASE
    assert [log.name for log in bundle.info.training_logs] == ["made-up-21", "made-up-22"]
    assert bundle.info.training_span is None
    assert bundle.info.fingerprints().jobs == 0
    assert "| made-up-21 |" in bundle.card


def test_what_came_after_the_mark_is_not_learned_from(bundle: Bundle) -> None:
    assert all(log.jobs < 0.75 * 2500 for log in bundle.info.training_logs)


def test_graph_and_models_were_proven_to_be_one(bundle: Bundle) -> None:
    parity = bundle.metrics.parity
    assert set(parity["boosters"]) == {"xgboost", "lightgbm", "catboost"}  # type: ignore[call-overload]
    assert parity["network"]["max_difference"] < 1e-3  # type: ignore[index]
    assert bundle.metrics.boosters["catboost"]["trees_kept"] == 6


def test_it_answers_with_a_distribution_of_every_job(
    bundle: Bundle, small_log: PreparedLog
) -> None:
    model = Answering.of(bundle)
    jobs = AskedJobs.of(small_log.columns, small_log.tokens, small_log.limit_s)
    ((piece, output),) = model.ask(jobs, small_log.rows[:50])
    assert piece == slice(0, 8192)
    assert output.support_s.shape == output.weights.shape == (50, bundle.info.graph.points)
    assert output.weights.sum(axis=1) == pytest.approx(np.ones(50), abs=1e-5)
    assert output.support_s.min() >= 1
    assert list(model.members(output)) == ["xgboost", "lightgbm", "catboost"]


def test_recalibration_starts_from_jobs_of_all_logs(bundle: Bundle) -> None:
    levels = LearnedLevels.of(bundle.recalibration)
    assert levels is not None
    assert 0.5 * 0.3 * 5000 < bundle.recalibration.jobs <= 0.31 * 5000


def test_its_network_can_be_had_again(bundle: Bundle, small_log: PreparedLog) -> None:
    graph = ModelGraph.of(bundle)
    assert graph.serialised == bundle.graph
    rows = small_log.rows[:100]
    boosted = graph.boosted(small_log, rows)
    assert np.isfinite(boosted[rows]).all()
    assert np.isnan(np.delete(boosted, rows, axis=0)).all()


def test_damaged_weights_are_one_clear_error() -> None:
    with pytest.raises(BundleError, match=r"weights\.npz holds no network"):
        weights_of(b"nothing")


def test_logs_of_a_centre_are_in_one_half() -> None:
    assert halves_of(["a", "b", "a", "c"]) == [0, 1, 0, 0]


def test_a_base_can_be_made_from_weights_at_hand(
    bundle: Bundle, small_log: PreparedLog, tiny_settings: Settings, tmp_path: Path
) -> None:
    logs = [BaseLog(small_log, "here", None, True)]
    weights = weights_of(bundle.weights)
    found = train_base(logs, tmp_path / "b", tiny_settings, start=weights)
    assert found.weights == bundle.weights
    assert found.info.training_logs[0].name == small_log.name


def test_a_folder_of_something_else_is_refused_before_the_work(
    small_log: PreparedLog, tiny_settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "mine").write_text("text")
    with pytest.raises(BundleError, match="holds no bundle"):
        train_base([BaseLog(small_log, "here", None, True)], tmp_path, tiny_settings)
