"""Ask the libraries themselves: a booster's raw predictions, and the leaves it took."""

from dataclasses import dataclass
from typing import Protocol, TypeAlias

import catboost
import lightgbm
import numpy as np
import xgboost

from rt_predictor.errors import TrainingError
from rt_predictor.training.export.read_catboost import read_catboost
from rt_predictor.training.export.read_lightgbm import read_lightgbm
from rt_predictor.training.export.read_xgboost import read_xgboost, rounds_used
from rt_predictor.training.export.trees import Float32Array, Float64Array, TreeEnsemble

Booster: TypeAlias = xgboost.Booster | lightgbm.Booster | catboost.CatBoost


@dataclass(frozen=True, eq=False)
class Answer:
    """What a library says of some rows.

    Attributes:
        raw: float64 [N, outputs]; its raw predictions.
        leaf_values: float64 [N, trees, width]; the values of the leaf each tree sends a row to.
    """

    raw: Float64Array
    leaf_values: Float64Array


class Native(Protocol):
    """A trained model that can be asked."""

    @property
    def trees(self) -> TreeEnsemble:
        """Its trees, as read."""
        ...

    def answer(self, rows: Float32Array) -> Answer:
        """Ask the library for `rows`, float32 [N, F], finite or NaN."""
        ...


def read(booster: Booster) -> TreeEnsemble:
    """The trees of a booster of any of the three libraries.

    Raises:
        TrainingError: the booster is of another kind or has what the graph cannot express.
    """
    return native(booster).trees


def native(booster: Booster) -> Native:
    """A booster of any of the three libraries as something that can be asked.

    Raises:
        TrainingError: the booster is of another kind or has what the graph cannot express.
    """
    if isinstance(booster, xgboost.Booster):
        return _XGBoost(booster, read_xgboost(booster))
    if isinstance(booster, lightgbm.Booster):
        return _LightGBM(booster, read_lightgbm(booster))
    if isinstance(booster, catboost.CatBoost):
        return _CatBoost(booster, read_catboost(booster))
    raise TrainingError(
        f"cannot export a {type(booster).__name__}: give an xgboost.Booster, a lightgbm.Booster "
        "or a catboost.CatBoost"
    )


@dataclass(frozen=True, eq=False)
class _XGBoost:
    booster: xgboost.Booster
    trees: TreeEnsemble

    def answer(self, rows: Float32Array) -> Answer:
        matrix = xgboost.DMatrix(rows, missing=np.nan)
        rounds = (0, rounds_used(self.booster))
        raw = self.booster.predict(
            matrix, output_margin=True, iteration_range=rounds, validate_features=False
        )
        # A leaf is called by the number of its node within the tree.
        leaves = self.booster.predict(
            matrix, pred_leaf=True, iteration_range=rounds, validate_features=False
        )
        nodes = self.trees.roots + np.reshape(leaves, (len(rows), -1)).astype(np.int64)
        return Answer(_columns(raw, len(rows)), self.trees.values[nodes])


@dataclass(frozen=True, eq=False)
class _LightGBM:
    booster: lightgbm.Booster
    trees: TreeEnsemble

    def answer(self, rows: Float32Array) -> Answer:
        raw = self.booster.predict(rows, raw_score=True)
        leaves = np.reshape(self.booster.predict(rows, pred_leaf=True), (len(rows), -1))
        sizes = np.diff(np.append(self.trees.roots, len(self.trees.feature)))
        first_leaf = self.trees.roots + sizes // 2  # the reader lays the splits before the leaves
        return Answer(_columns(raw, len(rows)), self.trees.values[first_leaf + leaves])


@dataclass(frozen=True, eq=False)
class _CatBoost:
    booster: catboost.CatBoost
    trees: TreeEnsemble

    def answer(self, rows: Float32Array) -> Answer:
        pool = catboost.Pool(rows)
        raw = self.booster.predict(pool, prediction_type="RawFormulaVal")
        leaves = np.reshape(self.booster.calc_leaf_indexes(pool), (len(rows), -1))
        # Its JSON form does not number the leaves of trees that are not oblivious.
        scale = self.booster.get_scale_and_bias()[0]
        values = np.reshape(self.booster.get_leaf_values(), (-1, self.trees.values.shape[1]))
        counts = np.asarray(self.booster.get_tree_leaf_counts(), dtype=np.int64)
        first_leaf = np.cumsum(counts) - counts
        return Answer(_columns(raw, len(rows)), values[first_leaf + leaves] * scale)


def _columns(raw: Float64Array | Float32Array, n_rows: int) -> Float64Array:
    return np.reshape(np.asarray(raw, dtype=np.float64), (n_rows, -1))
