"""Boosters like those of a bundle in their own libraries: as many trees, as large."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import catboost
import xgboost

from rt_predictor.bench.noise import Matrix, lightgbm_of, noise
from rt_predictor.bench.plan import BenchPlan
from rt_predictor.features.request_features import REQUEST_FEATURES
from rt_predictor.model.bundle import Bundle
from rt_predictor.settings import TrainingSettings, load_settings

_Predict = Callable[[Matrix], object]


@dataclass(frozen=True)
class _Model:
    """One model, on one thread, which is best for one row, and on all."""

    one_thread: _Predict
    all_threads: _Predict


@dataclass(frozen=True)
class NativeModels:
    """One model of each library, called one after the other."""

    models: tuple[_Model, ...]

    @classmethod
    def fitted(cls, bundle: Bundle, plan: BenchPlan) -> "NativeModels":
        """Models of as many trees as a bundle's, else as the settings say."""
        settings, boosters = load_settings().training, bundle.metrics.boosters
        matrix, target = noise(plan, len(REQUEST_FEATURES))
        return cls(
            (
                _xgboost(matrix, target, _trees("xgboost", boosters, settings), settings),
                _lightgbm(matrix, target, _trees("lightgbm", boosters, settings), settings),
                _catboost(matrix, target, _trees("catboost", boosters, settings), settings),
            )
        )

    def on_one_thread(self, rows: Matrix) -> object:
        """Return the predictions of all boosters for rows of ready features."""
        return [model.one_thread(rows) for model in self.models]

    def on_all_threads(self, rows: Matrix) -> object:
        """The same, on every core."""
        return [model.all_threads(rows) for model in self.models]


def _trees(
    name: str, boosters: Mapping[str, Mapping[str, object]], settings: TrainingSettings
) -> int:
    trees = boosters.get(name, {}).get("trees_kept")
    return trees if isinstance(trees, int) else int(getattr(settings, name).trees)


def _xgboost(matrix: Matrix, target: Matrix, trees: int, settings: TrainingSettings) -> _Model:
    chosen = {"max_depth": settings.xgboost.max_depth}
    booster = xgboost.train(chosen, xgboost.DMatrix(matrix, target), trees)
    single_thread = booster.copy()
    single_thread.set_param({"nthread": 1})
    return _Model(single_thread.inplace_predict, booster.inplace_predict)


def _lightgbm(matrix: Matrix, target: Matrix, trees: int, settings: TrainingSettings) -> _Model:
    booster = lightgbm_of(matrix, target, trees, settings.lightgbm.num_leaves)
    return _Model(partial(booster.predict, num_threads=1), booster.predict)


def _catboost(matrix: Matrix, target: Matrix, trees: int, settings: TrainingSettings) -> _Model:
    model = catboost.CatBoostRegressor(
        iterations=trees,
        depth=settings.catboost.max_depth,
        verbose=False,
        allow_writing_files=False,
    ).fit(matrix, target)
    return _Model(partial(model.predict, thread_count=1), model.predict)
