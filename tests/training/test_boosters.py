"""Every hyper-parameter from settings reaches the library that it is for."""

import json
from typing import Any

import numpy as np
import pytest

from rt_predictor.settings import Settings, TrainingSettings
from rt_predictor.training.boosters import Boosting, FittedBooster, Samples, fit_booster

LIBRARIES = ("xgboost", "lightgbm", "catboost")

CHOSEN: dict[str, object] = {
    "training.threads": 1,
    "training.seed": 11,
    "training.early_stopping_rounds": 0,
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


def samples(rows: int, seed: int) -> Samples:
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(rows, 6)).astype(np.float32)
    return Samples(features, 100 + 50 * features[:, 0] + 20 * (features[:, 1] > 0))


def fitted(changes: dict[str, object]) -> dict[str, FittedBooster]:
    """All three, stopped early on other rows if the settings say so."""
    chosen: TrainingSettings = Settings().with_overrides(changes).training
    found = {}
    for library in LIBRARIES:
        shares: list[float] = []
        boosting = Boosting(
            getattr(chosen, library).trees, samples(300, 2), chosen.early_stopping_rounds
        )
        found[library] = fit_booster(library, samples(800, 1), boosting, chosen, shares.append)
        assert found[library].library == library
        assert shares[-1] == 1.0
    return found


@pytest.fixture(scope="module")
def boosters() -> dict[str, FittedBooster]:
    return fitted(CHOSEN)


def close(found: object, wanted: float) -> bool:
    return float(found) == pytest.approx(wanted, rel=1e-5)  # type: ignore[arg-type]


def test_xgboost_got_its_hyper_parameters(boosters: dict[str, FittedBooster]) -> None:
    native: Any = boosters["xgboost"].native
    config = json.loads(native.save_config())["learner"]
    tree = config["gradient_booster"]["tree_train_param"]
    assert close(tree["learning_rate"], 0.31)
    assert close(tree["max_depth"], 3)
    assert close(tree["min_child_weight"], 17)
    assert close(tree["subsample"], 0.71)
    assert close(tree["colsample_bytree"], 0.61)
    assert close(tree["reg_lambda"], 2.5)
    assert config["generic_param"]["seed"] == "11"
    assert config["objective"]["name"] == "reg:absoluteerror"
    assert boosters["xgboost"].trees == native.num_boosted_rounds() == 5


def test_lightgbm_got_its_hyper_parameters(boosters: dict[str, FittedBooster]) -> None:
    native: Any = boosters["lightgbm"].native
    lines = native.model_to_string().split("parameters:")[1].splitlines()
    given = dict(line.strip("[]").split(": ", 1) for line in lines if line.startswith("["))
    assert given["objective"] == "regression_l1"
    for name, wanted in {
        "learning_rate": 0.32, "num_leaves": 9, "max_depth": 4, "min_data_in_leaf": 18,
        "bagging_fraction": 0.72, "feature_fraction": 0.62, "lambda_l2": 2.25, "seed": 11,
    }.items():  # fmt: skip
        assert close(given[name], wanted), name
    assert boosters["lightgbm"].trees == native.num_trees() == 6


def test_catboost_got_its_hyper_parameters(boosters: dict[str, FittedBooster]) -> None:
    native: Any = boosters["catboost"].native
    given = native.get_all_params()
    assert given["loss_function"] == "MAE"
    for name, wanted in {
        "learning_rate": 0.33, "depth": 2, "subsample": 0.73, "rsm": 0.63, "l2_leaf_reg": 2.75,
        "random_seed": 11,
    }.items():  # fmt: skip
        assert close(given[name], wanted), name
    assert boosters["catboost"].trees == native.tree_count_ == 7


def test_importance_sums_to_one_and_finds_what_matters(
    boosters: dict[str, FittedBooster],
) -> None:
    for booster in boosters.values():
        assert booster.importance.sum() == pytest.approx(1)
        assert np.argmax(booster.importance) == 0


def test_early_stopping_keeps_the_best_trees_only() -> None:
    many: dict[str, object] = {
        f"training.{name}.{what}": value
        for name in LIBRARIES
        for what, value in (("trees", 400), ("learning_rate", 0.9))
    }
    found = fitted({**many, "training.threads": 1, "training.early_stopping_rounds": 5})
    rows = samples(50, 3).features
    for booster in found.values():
        assert booster.trees < 400, booster.library
        assert np.isfinite(booster.predict(rows)).all()


def test_without_rows_to_stop_on_every_tree_is_grown() -> None:
    chosen = Settings().with_overrides(CHOSEN | {"training.early_stopping_rounds": 1}).training
    for library in LIBRARIES:
        booster = fit_booster(library, samples(300, 1), Boosting(9), chosen, lambda _share: None)
        assert booster.trees == 9, library


def test_the_same_seed_gives_the_same_model(boosters: dict[str, FittedBooster]) -> None:
    rows = samples(50, 3).features
    again = fitted(CHOSEN)
    for name, booster in boosters.items():
        np.testing.assert_array_equal(booster.predict(rows), again[name].predict(rows))
