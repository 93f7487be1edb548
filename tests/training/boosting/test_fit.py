"""Every setting reaches the library that it is for, and the same samples give the same models."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rt_predictor.errors import TrainingError
from rt_predictor.settings import Settings, TrainingSettings
from rt_predictor.training.boosting.booster import Samples
from rt_predictor.training.boosting.catboost_booster import rows_by_weight
from rt_predictor.training.boosting.fit import LIBRARIES, FittedBoosters, fit_boosters
from tests.training.boosting.fitted_boosters import samples, small_settings

CHOSEN: dict[str, object] = {
    "training.threads": 1,
    "training.seed": 11,
    "training.xgboost.trees": 5,
    "training.xgboost.learning_rate": 0.31,
    "training.xgboost.max_depth": 3,
    "training.xgboost.min_child_weight": 17.0,
    "training.xgboost.subsample": 0.71,
    "training.xgboost.feature_fraction": 0.61,
    "training.xgboost.l2": 2.5,
    "training.lightgbm.trees": 6,
    "training.lightgbm.learning_rate": 0.32,
    "training.lightgbm.max_depth": 4,
    "training.lightgbm.num_leaves": 9,
    "training.lightgbm.min_child_samples": 18,
    "training.lightgbm.subsample": 0.72,
    "training.lightgbm.feature_fraction": 0.62,
    "training.lightgbm.l2": 2.25,
    "training.catboost.trees": 7,
    "training.catboost.learning_rate": 0.33,
    "training.catboost.max_depth": 2,
    "training.catboost.subsample": 0.73,
    "training.catboost.feature_fraction": 0.63,
    "training.catboost.l2": 2.75,
}


def silent(_share: float) -> None:
    """No one wants to know."""


@pytest.fixture(scope="module")
def chosen() -> TrainingSettings:
    return Settings().with_overrides(CHOSEN).training


@pytest.fixture(scope="module")
def natives(chosen: TrainingSettings) -> dict[str, Any]:
    boosters = fit_boosters(samples(), chosen, silent).boosters
    return {booster.library: booster for booster in boosters}


def close(found: object, wanted: float) -> bool:
    return float(found) == pytest.approx(wanted, rel=1e-5)  # type: ignore[arg-type]


def test_xgboost_got_its_settings(natives: dict[str, Any]) -> None:
    booster = natives["xgboost"]
    config = json.loads(booster.native.save_config())["learner"]
    tree = config["gradient_booster"]["tree_train_param"]
    for name, wanted in {
        "learning_rate": 0.31, "max_depth": 3, "min_child_weight": 17, "subsample": 0.71,
        "colsample_bytree": 0.61, "reg_lambda": 2.5,
    }.items():  # fmt: skip
        assert close(tree[name], wanted), name
    assert config["generic_param"]["seed"] == "11"
    assert config["objective"]["name"] == "reg:absoluteerror"
    assert booster.n_trees == 5


def test_lightgbm_got_its_settings(natives: dict[str, Any]) -> None:
    booster = natives["lightgbm"]
    lines = booster.native.model_to_string().split("parameters:")[1].splitlines()
    given = dict(line.strip("[]").split(": ", 1) for line in lines if line.startswith("["))
    assert given["objective"] == "regression_l1"
    for name, wanted in {
        "learning_rate": 0.32, "num_leaves": 9, "max_depth": 4, "min_data_in_leaf": 18,
        "bagging_fraction": 0.72, "feature_fraction": 0.62, "lambda_l2": 2.25, "seed": 11,
    }.items():  # fmt: skip
        assert close(given[name], wanted), name
    assert booster.n_trees == 6


def test_catboost_got_its_settings(natives: dict[str, Any]) -> None:
    booster = natives["catboost"]
    given = booster.native.get_all_params()
    assert given["loss_function"] == "MAE"
    for name, wanted in {
        "learning_rate": 0.33, "depth": 2, "subsample": 0.73, "rsm": 0.63, "l2_leaf_reg": 2.75,
        "random_seed": 11,
    }.items():  # fmt: skip
        assert close(given[name], wanted), name
    assert booster.n_trees == 7


def test_there_is_one_booster_of_each_library_in_order(fitted_boosters: FittedBoosters) -> None:
    assert [booster.library for booster in fitted_boosters.boosters] == list(LIBRARIES)
    assert len(fitted_boosters.seconds) == len(LIBRARIES)
    assert all(seconds > 0 for seconds in fitted_boosters.seconds)


def test_progress_ends_with_all() -> None:
    shares: list[float] = []
    fit_boosters(samples(), small_settings(trees=2), shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_importance_sums_to_one_and_finds_what_matters(fitted_boosters: FittedBoosters) -> None:
    for booster in fitted_boosters.boosters:
        importance = booster.importance()
        assert importance.shape == (6,)
        assert importance.sum() == pytest.approx(1)
        assert np.argmax(importance) in (0, 1), booster.library


def test_each_booster_learned_the_target() -> None:
    learned = samples()
    fitted = fit_boosters(learned, small_settings(trees=30, learning_rate=0.3), silent)
    spread = np.abs(learned.target - np.median(learned.target)).mean()
    errors = np.abs(fitted.predict(learned.features) - learned.target[:, np.newaxis]).mean(axis=0)
    assert (errors < 0.5 * spread).all()


def test_the_trees_of_a_booster_add_up_to_its_prediction(fitted_boosters: FittedBoosters) -> None:
    rows = samples(seed=3, holes=0.1).features
    for booster in fitted_boosters.boosters:
        by_tree = booster.predict_trees(rows)
        assert by_tree.shape == (len(rows), booster.n_trees)
        base = booster.predict(rows) - by_tree.sum(axis=1)
        np.testing.assert_allclose(base, base[0], atol=1e-3)


def test_the_same_seed_and_threads_give_the_same_boosters(chosen: TrainingSettings) -> None:
    rows = samples(seed=3).features
    for threads in (1, 2):
        same = chosen.model_copy(update={"threads": threads})
        first, second = (fit_boosters(samples(), same, silent).predict(rows) for _ in range(2))
        np.testing.assert_array_equal(first, second)


def test_rows_of_little_weight_are_hardly_learned_from() -> None:
    learned = samples(600)
    weight = np.ones(600, dtype=np.float32)
    weight[::2] = 1e-3
    spoiled = learned.target.copy()
    spoiled[::2] = 1e6
    fitted = fit_boosters(Samples(learned.features, spoiled, weight), small_settings(), silent)
    assert (fitted.predict(learned.features) < 1e3).all()


@given(st.lists(st.floats(2**-7, 2**7, width=32), min_size=1, max_size=50), st.integers(0, 99))
def test_rows_are_drawn_as_often_as_their_weight_says(weights: list[float], seed: int) -> None:
    weight = np.array(weights, dtype=np.float32)
    target = np.zeros(len(weight), dtype=np.float32)
    drawn = Samples(target[:, np.newaxis], target, weight)
    counts = np.bincount(rows_by_weight(drawn, seed), minlength=len(weight))
    assert abs(counts.sum() - len(weight)) <= 1
    assert (np.abs(counts - weight / weight.mean()) < 1 + 1e-3).all()


def test_only_the_ratios_of_weights_count() -> None:
    learned = samples()
    assert learned.weight is not None
    scaled = Samples(learned.features, learned.target, 1024 * learned.weight)
    settings = small_settings()
    np.testing.assert_array_equal(
        fit_boosters(learned, settings, silent).predict(learned.features),
        fit_boosters(scaled, settings, silent).predict(learned.features),
    )


@pytest.mark.parametrize(
    ("features", "target", "weight", "message"),
    [
        (np.zeros((0, 2)), np.zeros(0), None, "at least one row"),
        (np.zeros((3, 2)), np.zeros(2), None, "at least one row"),
        (np.full((3, 2), np.inf), np.zeros(3), None, "features over"),
        (np.zeros((3, 2)), np.full(3, np.nan), None, "not finite"),
        (np.zeros((3, 2)), np.zeros(3), np.array([1.0, 1.0, 0.0]), "weights"),
        (np.zeros((3, 2)), np.zeros(3), np.full(3, -1.0), "weights"),
        (np.zeros((3, 2)), np.zeros(3), np.ones(2), "weights"),
    ],
)
def test_samples_that_cannot_be_learned_from_are_refused(
    features: Any, target: Any, weight: Any, message: str
) -> None:
    with pytest.raises(TrainingError, match=message):
        Samples(features, target, weight)


def test_a_single_job_is_refused_in_words() -> None:
    single = Samples(np.ones((1, 2), np.float32), np.ones(1, np.float32))
    with pytest.raises(TrainingError, match="lightgbm cannot learn from 1 jobs"):
        fit_boosters(single, small_settings(), silent)


@pytest.mark.parametrize("rows", [2, 10])
def test_a_handful_of_jobs_of_one_runtime_is_learned(rows: int) -> None:
    learned = samples(rows)
    target = np.full(rows, 5, dtype=np.float32)
    fitted = fit_boosters(Samples(learned.features, target), small_settings(), silent)
    np.testing.assert_allclose(fitted.predict(learned.features), 5, rtol=1e-5)


def test_features_that_never_vary_are_refused_in_words() -> None:
    constant = Samples(np.ones((50, 2), np.float32), np.arange(50, dtype=np.float32))
    with pytest.raises(TrainingError, match="catboost cannot learn from 50 jobs"):
        fit_boosters(constant, small_settings(), silent)
