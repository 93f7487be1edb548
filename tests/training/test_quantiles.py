import json
from typing import Any

import numpy as np
import pytest

from rt_predictor.errors import TrainingError
from rt_predictor.history.offsets import Scored
from rt_predictor.model.bounds import GROUPS, MISS_SHARES, QUANTILES, TAILS
from rt_predictor.model.session import CPU, ModelSession
from rt_predictor.settings import Settings, TrainingSettings
from rt_predictor.training.boosters import FittedBooster, Samples
from rt_predictor.training.export.fuse import Head
from rt_predictor.training.export.normalise import normalise
from rt_predictor.training.export.read_catboost import read_catboost
from rt_predictor.training.export.read_lightgbm import read_lightgbm
from rt_predictor.training.export.verify import verify
from rt_predictor.training.quantiles import fit_offsets, fit_quantiles, fit_timeouts
from tests.training.export.tree_models import tree_model

CHOSEN: dict[str, object] = {
    "training.threads": 1,
    "training.seed": 11,
    "training.quantiles.trees": 21,
    "training.quantiles.learning_rate": 0.3,
    "training.quantiles.max_depth": 3,
    "training.quantiles.subsample": 0.7,
    "training.quantiles.feature_fraction": 0.9,
    "training.quantiles.l2": 2.5,
    "training.timeouts.trees": 9,
    "training.timeouts.learning_rate": 0.2,
    "training.timeouts.max_depth": 4,
    "training.timeouts.num_leaves": 7,
    "training.timeouts.min_child_samples": 18,
    "training.timeouts.subsample": 0.6,
    "training.timeouts.feature_fraction": 0.8,
    "training.timeouts.l2": 1.5,
}
SETTINGS: TrainingSettings = Settings().with_overrides(CHOSEN).training


def features(rows: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, 4)).astype(np.float32)


def spread(rows: np.ndarray, seed: int) -> np.ndarray:
    """Targets whose spread depends on the first feature."""
    noise = np.random.default_rng(seed).normal(size=len(rows))
    return np.asarray(0.5 + np.where(rows[:, 0] > 0, 0.2, 0.02) * noise)


def reached(rows: np.ndarray, seed: int) -> np.ndarray:
    chance = np.where(rows[:, 1] > 0, 0.8, 0.1)
    return (np.random.default_rng(seed).random(len(rows)) < chance).astype(np.float64)


@pytest.fixture(scope="module")
def quantiles() -> FittedBooster:
    rows = features(4000, 1)
    return fit_quantiles(Samples(rows, spread(rows, 2)), SETTINGS)


@pytest.fixture(scope="module")
def timeouts() -> FittedBooster:
    rows = features(4000, 3)
    return fit_timeouts(Samples(rows, reached(rows, 4)), SETTINGS)


def test_each_quantile_holds_its_share_of_new_jobs(quantiles: FittedBooster) -> None:
    rows = features(4000, 5)
    below = spread(rows, 6)[:, None] <= quantiles.predict(rows)
    assert below.shape == (4000, len(QUANTILES))
    for side in (rows[:, 0] > 0, rows[:, 0] <= 0):
        np.testing.assert_allclose(below[side].mean(axis=0), QUANTILES, atol=0.06)


def test_log_odds_say_how_often_limits_are_reached(timeouts: FittedBooster) -> None:
    rows = features(4000, 7)
    chance = 1 / (1 + np.exp(-timeouts.predict(rows)))
    likely = rows[:, 1] > 0
    assert chance[likely].mean() == pytest.approx(0.8, abs=0.15)
    assert chance[~likely].mean() == pytest.approx(0.1, abs=0.15)


def test_quantiles_are_fitted_as_the_settings_say(quantiles: FittedBooster) -> None:
    native: Any = quantiles.native
    given = native.get_all_params()
    assert quantiles.trees == given["iterations"] == 21
    assert (given["depth"], given["random_seed"]) == (3, 11)
    found = [given[name] for name in ("learning_rate", "subsample", "rsm", "l2_leaf_reg")]
    assert found == pytest.approx([0.3, 0.7, 0.9, 2.5])


def test_timeouts_are_fitted_as_the_settings_say(timeouts: FittedBooster) -> None:
    native: Any = timeouts.native
    text = native.model_to_string()
    for line in (
        "[learning_rate: 0.2]",
        "[num_leaves: 7]",
        "[max_depth: 4]",
        "[min_data_in_leaf: 18]",
        "[bagging_fraction: 0.6]",
        "[feature_fraction: 0.8]",
        "[lambda_l2: 1.5]",
        "[seed: 11]",
    ):
        assert line in text
    assert timeouts.trees == 9


def test_what_they_were_fitted_with_can_be_written_down(
    quantiles: FittedBooster, timeouts: FittedBooster
) -> None:
    for booster in (quantiles, timeouts):
        json.dumps(dict(booster.parameters))
        assert booster.importance.sum() == pytest.approx(1)


def test_both_answer_alike_in_one_graph(quantiles: FittedBooster, timeouts: FittedBooster) -> None:
    boosters: list[Any] = [quantiles.native, timeouts.native]
    of_quantiles = normalise(read_catboost(boosters[0]))
    of_timeouts = normalise(read_lightgbm(boosters[1]))
    heads = (
        Head("quantiles", (of_quantiles,), tuple(f"q{each:g}" for each in QUANTILES)),
        Head("timeouts", (of_timeouts,), ("timeout",)),
    )
    model, rows = tree_model(heads), features(300, 8)
    columns = [f"feature {place}" for place in range(4)]
    report = verify(model, heads, [[booster] for booster in boosters], rows, columns=columns)
    assert report.rows.data == 300
    answer = ModelSession(model.SerializeToString(), "scores", (CPU,)).run(rows)
    np.testing.assert_allclose(answer[:, :-1], quantiles.predict(rows), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(answer[:, -1], timeouts.predict(rows), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("answer", [0.0, 1.0])
def test_a_log_in_which_every_job_ends_alike_cannot_teach_timeouts(answer: float) -> None:
    with pytest.raises(TrainingError, match="nothing to learn"):
        fit_timeouts(Samples(features(100, 1), np.full(100, answer)), SETTINGS)


def calibration_jobs(count: int, groups: np.ndarray) -> Scored:
    rng = np.random.default_rng(9)
    submit_s = np.arange(count, dtype=np.float64)
    scores = rng.normal(0, 0.1, (count, TAILS)) + 0.3 * groups[:, None]
    return Scored(groups, submit_s, submit_s + 1, scores, np.ones(count))


def test_offsets_start_where_each_tail_of_a_group_misses_as_often_as_promised() -> None:
    groups = np.arange(6000) % GROUPS
    jobs = calibration_jobs(6000, groups)
    state = fit_offsets(jobs, jobs.scores)
    for group in range(GROUPS):
        missed = jobs.scores[groups == group] > state.offsets[group]
        np.testing.assert_allclose(missed.mean(axis=0), MISS_SHARES, atol=0.06)
    np.testing.assert_array_equal(state.counts, 2000)


def test_a_group_of_few_jobs_starts_from_the_offsets_of_all() -> None:
    groups = np.zeros(1000, np.int64)
    jobs = calibration_jobs(1000, groups)
    state = fit_offsets(jobs, jobs.scores)
    ordered = np.sort(jobs.scores, axis=0)
    ranks = np.ceil((1 - np.array(MISS_SHARES)) * 1001).astype(int) - 1
    np.testing.assert_array_equal(state.offsets[1], ordered[ranks, np.arange(TAILS)])
    np.testing.assert_array_equal(state.counts, [1000, 0, 0])
