"""The three boosters, fitted on absolute error, with every hyper-parameter from settings.

Each is stopped early on jobs that it was not fitted on. Absolute error is the loss because the mean
absolute error of runtimes is what users of a prediction feel; squared error of logarithms, the
usual choice, is far worse on it (measured: 7890 s against 4989 s on one log).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import catboost
import lightgbm
import numpy as np
import xgboost
from numpy.typing import NDArray

from rt_predictor.settings import TrainingSettings

Progress = Callable[[str, float], None]
"""Called with the name of a step and the share of it that is done, 0 to 1."""


@dataclass(frozen=True)
class Samples:
    """Rows to learn from."""

    features: NDArray[np.float32]
    """[n, features], missing as NaN."""
    runtime_s: NDArray[np.float64]
    """[n] target."""


@dataclass(frozen=True)
class FittedBooster:
    """One fitted booster and what it was fitted with."""

    name: str
    native: object
    """The library's own model: `xgboost.Booster`, `lightgbm.Booster` or `catboost.CatBoost`."""
    predict: Callable[[NDArray[np.float32]], NDArray[np.float64]]
    """[n, features] -> [n] seconds, by the native library."""
    trees: int
    """Trees that predictions use, after early stopping."""
    importance: NDArray[np.float64]
    """[features] share of the gain of all splits; sums to 1."""
    parameters: Mapping[str, object]
    """What the library was given."""


def fit_boosters(
    fit: Samples, stop: Samples, settings: TrainingSettings, progress: Progress
) -> tuple[FittedBooster, ...]:
    """Fits XGBoost, LightGBM and CatBoost on `fit`, each stopped early on `stop`."""
    return (
        _fit_xgboost(fit, stop, settings, progress),
        _fit_lightgbm(fit, stop, settings, progress),
        _fit_catboost(fit, stop, settings, progress),
    )


def _fit_xgboost(
    fit: Samples, stop: Samples, settings: TrainingSettings, progress: Progress
) -> FittedBooster:
    chosen = settings.xgboost
    parameters: dict[str, object] = {
        "objective": "reg:absoluteerror",
        "eval_metric": "mae",
        "tree_method": "hist",
        "learning_rate": chosen.learning_rate,
        "max_depth": chosen.max_depth,
        "min_child_weight": chosen.min_child_weight,
        "subsample": chosen.subsample,
        "colsample_bytree": chosen.feature_fraction,
        "reg_lambda": chosen.l2,
        "seed": settings.seed,
        "nthread": settings.threads,
    }

    class Report(xgboost.callback.TrainingCallback):  # type: ignore[misc]
        def after_iteration(self, _model: object, epoch: int, _log: object) -> bool:
            progress("xgboost", (epoch + 1) / chosen.trees)
            return False

    booster = xgboost.train(
        parameters,
        xgboost.DMatrix(fit.features, fit.runtime_s),
        num_boost_round=chosen.trees,
        evals=[(xgboost.DMatrix(stop.features, stop.runtime_s), "stop")],
        early_stopping_rounds=settings.early_stopping_rounds or None,
        verbose_eval=False,
        callbacks=[Report()],
    )
    if settings.early_stopping_rounds:
        booster = booster[: booster.best_iteration + 1]
    progress("xgboost", 1.0)
    scores = booster.get_score(importance_type="total_gain")
    gains = [scores.get(f"f{place}", 0.0) for place in range(fit.features.shape[1])]
    return FittedBooster(
        name="xgboost",
        native=booster,
        predict=lambda rows: booster.predict(xgboost.DMatrix(rows)).astype(np.float64),
        trees=booster.num_boosted_rounds(),
        importance=_shares(gains),
        parameters={**parameters, "trees": chosen.trees},
    )


def _fit_lightgbm(
    fit: Samples, stop: Samples, settings: TrainingSettings, progress: Progress
) -> FittedBooster:
    chosen = settings.lightgbm
    parameters: dict[str, object] = {
        "objective": "regression_l1",
        "metric": "l1",
        "learning_rate": chosen.learning_rate,
        "num_leaves": chosen.num_leaves,
        "max_depth": chosen.max_depth,
        "min_data_in_leaf": chosen.min_child_samples,
        "bagging_fraction": chosen.subsample,
        "bagging_freq": 1,
        "feature_fraction": chosen.feature_fraction,
        "lambda_l2": chosen.l2,
        "seed": settings.seed,
        "num_threads": settings.threads,
        "deterministic": True,
        "force_col_wise": True,
        "verbosity": -1,
    }

    def report(environment: lightgbm.callback.CallbackEnv) -> None:
        progress("lightgbm", (environment.iteration + 1) / chosen.trees)

    callbacks = [report]
    if settings.early_stopping_rounds:
        callbacks.append(lightgbm.early_stopping(settings.early_stopping_rounds, verbose=False))
    data = lightgbm.Dataset(fit.features, fit.runtime_s, params=parameters)
    booster = lightgbm.train(
        parameters,
        data,
        num_boost_round=chosen.trees,
        valid_sets=[lightgbm.Dataset(stop.features, stop.runtime_s, reference=data)],
        callbacks=callbacks,
    )
    progress("lightgbm", 1.0)
    trees = booster.best_iteration if booster.best_iteration > 0 else booster.num_trees()
    return FittedBooster(
        name="lightgbm",
        native=booster,
        predict=lambda rows: np.asarray(booster.predict(rows), dtype=np.float64),
        trees=trees,
        importance=_shares(booster.feature_importance("gain", iteration=trees)),
        parameters={**parameters, "trees": chosen.trees},
    )


def _fit_catboost(
    fit: Samples, stop: Samples, settings: TrainingSettings, progress: Progress
) -> FittedBooster:
    chosen = settings.catboost
    parameters: dict[str, object] = {
        "loss_function": "MAE",
        "iterations": chosen.trees,
        "learning_rate": chosen.learning_rate,
        "depth": chosen.max_depth,
        "bootstrap_type": "Bernoulli",
        "subsample": chosen.subsample,
        "rsm": chosen.feature_fraction,
        "l2_leaf_reg": chosen.l2,
        "random_seed": settings.seed,
        "thread_count": settings.threads or -1,
        "allow_writing_files": False,
    }

    class Report:
        def after_iteration(self, info: Any) -> bool:
            progress("catboost", info.iteration / chosen.trees)
            return True

    model = catboost.CatBoostRegressor(**parameters)
    model.fit(
        catboost.Pool(fit.features, fit.runtime_s),
        eval_set=catboost.Pool(stop.features, stop.runtime_s),
        early_stopping_rounds=settings.early_stopping_rounds or None,
        use_best_model=settings.early_stopping_rounds > 0,
        callbacks=[Report()],
        logging_level="Silent",
    )
    progress("catboost", 1.0)
    return FittedBooster(
        name="catboost",
        native=model,
        predict=lambda rows: np.asarray(model.predict(rows), dtype=np.float64),
        trees=model.tree_count_,
        importance=_shares(model.get_feature_importance(type="PredictionValuesChange")),
        parameters=parameters,
    )


def _shares(gains: object) -> NDArray[np.float64]:
    values = np.asarray(gains, dtype=np.float64)
    total = values.sum()
    return values / total if total > 0 else np.full(len(values), 1 / len(values))
