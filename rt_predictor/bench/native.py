"""The models of a bundle in their own libraries: as many, with as many trees, as large."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import catboost
import xgboost

from rt_predictor.bench.noise import Matrix, lightgbm_of, noise
from rt_predictor.bench.plan import Plan
from rt_predictor.model.bounds import QUANTILES
from rt_predictor.model.bundle import Bundle
from rt_predictor.settings import LightGBMSettings, TrainingSettings, load_settings

_Predict = Callable[[Matrix], object]


@dataclass(frozen=True)
class _Model:
    """One model, on one thread, which is best for one row, and on all."""

    one_thread: _Predict
    all_threads: _Predict


@dataclass(frozen=True)
class NativeModels:
    """Models that are called one after the other."""

    models: tuple[_Model, ...]
    """One of each library first."""

    @classmethod
    def fitted(cls, bundle: Bundle, plan: Plan) -> "NativeModels":
        """Models like those of a bundle, of the sizes that the settings give."""
        settings = load_settings().training
        trees = {name: entry.trees for name, entry in bundle.ensemble.models.items()}
        matrix, target = noise(plan, len(bundle.features.features))
        own = settings.lightgbm
        first = (
            _xgboost(matrix, target, trees.pop("xgboost", settings.xgboost.trees), settings),
            _lightgbm(matrix, target, trees.pop("lightgbm", own.trees), own),
            _catboost(matrix, target, trees.pop("catboost", settings.catboost.trees), settings),
        )
        others = [_lightgbm(matrix, target, count, own) for count in trees.values() if count]
        timeouts = settings.timeouts
        return cls(
            (
                *first,
                *others,
                _quantiles(matrix, target, settings),
                _lightgbm(matrix, target, timeouts.trees, timeouts),
            )
        )

    @property
    def three(self) -> "NativeModels":
        """One of each library."""
        return NativeModels(self.models[:3])

    def on_one_thread(self, rows: Matrix) -> object:
        """What all say of rows of ready features."""
        return [model.one_thread(rows) for model in self.models]

    def on_all_threads(self, rows: Matrix) -> object:
        """The same, on every core."""
        return [model.all_threads(rows) for model in self.models]


def _xgboost(matrix: Matrix, target: Matrix, trees: int, settings: TrainingSettings) -> _Model:
    chosen = {"max_depth": settings.xgboost.max_depth}
    booster = xgboost.train(chosen, xgboost.DMatrix(matrix, target), trees)
    alone = booster.copy()
    alone.set_param({"nthread": 1})
    return _Model(alone.inplace_predict, booster.inplace_predict)


def _lightgbm(matrix: Matrix, target: Matrix, trees: int, settings: LightGBMSettings) -> _Model:
    booster = lightgbm_of(matrix, target, trees, settings.num_leaves)
    return _Model(partial(booster.predict, num_threads=1), booster.predict)


def _catboost(matrix: Matrix, target: Matrix, trees: int, settings: TrainingSettings) -> _Model:
    return _fitted_catboost(matrix, target, trees, settings.catboost.max_depth, "RMSE")


def _quantiles(matrix: Matrix, target: Matrix, settings: TrainingSettings) -> _Model:
    shares = ",".join(f"{share:g}" for share in QUANTILES)
    quantiles = settings.quantiles
    loss = f"MultiQuantile:alpha={shares}"
    return _fitted_catboost(matrix, target, quantiles.trees, quantiles.max_depth, loss)


def _fitted_catboost(matrix: Matrix, target: Matrix, trees: int, depth: int, loss: str) -> _Model:
    model = catboost.CatBoostRegressor(
        iterations=trees, depth=depth, loss_function=loss, verbose=False, allow_writing_files=False
    ).fit(matrix, target)
    return _Model(partial(model.predict, thread_count=1), model.predict)
