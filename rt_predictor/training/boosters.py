"""Boosters of the three libraries, with every hyper-parameter from settings.

With `early_stopping_rounds` they are stopped early on jobs that they were not fitted on. Absolute
error is the loss because the mean absolute error of runtimes is what users of a prediction feel;
squared error of logarithms, the usual choice, is far worse on it (measured: 7890 s against 4989 s
on one log).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import catboost
import lightgbm
import numpy as np
import xgboost
from numpy.typing import NDArray

from rt_predictor.settings import BoosterSettings, LightGBMSettings, TrainingSettings

Progress = Callable[[str, float], None]
"""Called with the name of a step and the share of it that is done, 0 to 1."""

Report = Callable[[float], None]
"""Called with the share of one step that is done, 0 to 1."""


@dataclass(frozen=True)
class Samples:
    """Rows to learn from."""

    features: NDArray[np.float32]
    """[n, features], missing as NaN."""
    target: NDArray[np.float64]
    """[n] what to learn."""


@dataclass(frozen=True)
class FittedBooster:
    """One fitted booster and what it was fitted with."""

    library: str
    native: object
    """The library's own model: `xgboost.Booster`, `lightgbm.Booster` or `catboost.CatBoost`."""
    predict: Callable[[NDArray[np.float32]], NDArray[np.float64]]
    """[n, features] -> [n] in the unit of the target, by the native library."""
    trees: int
    """Trees that predictions use, after early stopping."""
    importance: NDArray[np.float64]
    """[features] share of the gain of all splits; sums to 1."""
    parameters: Mapping[str, object]
    """What the library was given."""


@dataclass(frozen=True)
class Boosting:
    """How long to boost."""

    trees: int
    """Rounds at most."""
    stop: Samples | None = None
    """Rows that say when to stop before that; None never stops."""
    stopping_rounds: int = 0
    """Rounds without gain on them after which to stop; 0 never stops."""

    @property
    def stops(self) -> bool:
        """Whether it may stop before the last round."""
        return self.stop is not None and self.stopping_rounds > 0


def fit_booster(
    library: str, fit: Samples, boosting: Boosting, settings: TrainingSettings, report: Report
) -> FittedBooster:
    """Fits one booster on absolute error.

    Args:
        library: "xgboost", "lightgbm" or "catboost".
        fit: what to learn from.
        boosting: how long to boost.
        settings: hyper-parameters, seed and threads.
        report: called with the share of the rounds that is done.
    """
    fitted = _LIBRARIES[library](fit, boosting, settings, report)
    report(1.0)
    return fitted


def _fit_xgboost(
    fit: Samples, boosting: Boosting, settings: TrainingSettings, report: Report
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

    class Rounds(xgboost.callback.TrainingCallback):  # type: ignore[misc]
        def after_iteration(self, _model: object, epoch: int, _log: object) -> bool:
            report((epoch + 1) / boosting.trees)
            return False

    stop = boosting.stop if boosting.stops else None
    booster = xgboost.train(
        parameters,
        xgboost.DMatrix(fit.features, fit.target),
        num_boost_round=boosting.trees,
        evals=[(xgboost.DMatrix(stop.features, stop.target), "stop")] if stop else [],
        early_stopping_rounds=boosting.stopping_rounds if stop else None,
        verbose_eval=False,
        callbacks=[Rounds()],
    )
    if stop:
        booster = booster[: booster.best_iteration + 1]
    scores = booster.get_score(importance_type="total_gain")
    gains = [scores.get(f"f{place}", 0.0) for place in range(fit.features.shape[1])]
    return FittedBooster(
        library="xgboost",
        native=booster,
        predict=lambda rows: booster.predict(xgboost.DMatrix(rows)).astype(np.float64),
        trees=booster.num_boosted_rounds(),
        importance=gain_shares(gains),
        parameters={**parameters, "trees": boosting.trees},
    )


def _fit_lightgbm(
    fit: Samples, boosting: Boosting, settings: TrainingSettings, report: Report
) -> FittedBooster:
    chosen = settings.lightgbm
    parameters: dict[str, object] = {
        "objective": "regression_l1",
        "metric": "l1",
        **lightgbm_parameters(chosen, settings),
    }

    def rounds(environment: lightgbm.callback.CallbackEnv) -> None:
        report((environment.iteration + 1) / boosting.trees)

    callbacks = [rounds]
    data = lightgbm.Dataset(fit.features, fit.target, params=parameters)
    watched = []
    if boosting.stop is not None and boosting.stops:
        callbacks.append(lightgbm.early_stopping(boosting.stopping_rounds, verbose=False))
        stop = boosting.stop
        watched = [lightgbm.Dataset(stop.features, stop.target, reference=data)]
    booster = lightgbm.train(
        parameters,
        data,
        num_boost_round=boosting.trees,
        valid_sets=watched,
        callbacks=callbacks,
    )
    trees = booster.best_iteration if booster.best_iteration > 0 else booster.num_trees()
    return FittedBooster(
        library="lightgbm",
        native=booster,
        predict=lambda rows: np.asarray(booster.predict(rows), dtype=np.float64),
        trees=trees,
        importance=gain_shares(booster.feature_importance("gain", iteration=trees)),
        parameters={**parameters, "trees": boosting.trees},
    )


def _fit_catboost(
    fit: Samples, boosting: Boosting, settings: TrainingSettings, report: Report
) -> FittedBooster:
    chosen = settings.catboost
    parameters: dict[str, object] = {
        "loss_function": "MAE",
        "iterations": boosting.trees,
        **catboost_parameters(chosen, settings),
    }

    class Rounds:
        def after_iteration(self, info: Any) -> bool:
            report(info.iteration / boosting.trees)
            return True

    stop = boosting.stop if boosting.stops else None
    model = catboost.CatBoostRegressor(**parameters)
    model.fit(
        catboost.Pool(fit.features, fit.target),
        eval_set=catboost.Pool(stop.features, stop.target) if stop else None,
        early_stopping_rounds=boosting.stopping_rounds if stop else None,
        use_best_model=stop is not None,
        callbacks=[Rounds()],
        logging_level="Silent",
    )
    return FittedBooster(
        library="catboost",
        native=model,
        predict=lambda rows: np.asarray(model.predict(rows), dtype=np.float64),
        trees=model.tree_count_,
        importance=gain_shares(model.get_feature_importance(type="PredictionValuesChange")),
        parameters={**parameters, "trees": boosting.trees},
    )


_Fit = Callable[[Samples, Boosting, TrainingSettings, Report], FittedBooster]
_LIBRARIES: Mapping[str, _Fit] = {
    "xgboost": _fit_xgboost,
    "lightgbm": _fit_lightgbm,
    "catboost": _fit_catboost,
}


def lightgbm_parameters(chosen: LightGBMSettings, settings: TrainingSettings) -> dict[str, object]:
    """What LightGBM is given, whatever it is to learn."""
    return {
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


def catboost_parameters(chosen: BoosterSettings, settings: TrainingSettings) -> dict[str, object]:
    """What CatBoost is given, whatever it is to learn."""
    return {
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


def gain_shares(gains: object) -> NDArray[np.float64]:
    """Gains of features as shares of their sum; equal shares where there is none."""
    values = np.asarray(gains, dtype=np.float64)
    total = values.sum()
    return values / total if total > 0 else np.full(len(values), 1 / len(values))
