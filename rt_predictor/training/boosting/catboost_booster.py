"""CatBoost, which has an ONNX exporter of its own.

Its leaves of absolute error are exact medians that ignore weights (1.2.10), so rows are drawn by
weight instead.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import catboost
import numpy as np
import onnx
from numpy.typing import NDArray

from rt_predictor.errors import TrainingError
from rt_predictor.settings import TrainingSettings
from rt_predictor.training.boosting.booster import (
    Float32Array,
    Float64Array,
    Samples,
    Threshold,
    gain_shares,
)
from rt_predictor.training.progress import Report


@dataclass(frozen=True, eq=False)
class CatBoostBooster:
    """A booster of CatBoost."""

    native: catboost.CatBoostRegressor
    parameters: Mapping[str, object]
    library: str = "catboost"

    @property
    def n_features(self) -> int:
        """Columns of a row."""
        return int(self.native.n_features_in_)

    @property
    def n_trees(self) -> int:
        """Trees, one a round."""
        return int(self.native.tree_count_)

    def predict(self, rows: Float32Array) -> Float64Array:
        """Return predictions, [n], in the unit of the target."""
        return np.asarray(self.native.predict(rows), dtype=np.float64)

    def predict_trees(self, rows: Float32Array) -> Float64Array:
        """Return what each tree adds, [n, trees]."""
        # The first tree's answer would hold the bias too.
        unbiased = self.native.copy()
        unbiased.set_scale_and_bias(self.native.get_scale_and_bias()[0], 0.0)
        pool = catboost.Pool(rows)
        answers = np.empty((len(rows), self.n_trees))
        for tree in range(self.n_trees):
            answers[:, tree] = unbiased.predict(pool, ntree_start=tree, ntree_end=tree + 1)
        return answers

    def thresholds(self) -> list[Threshold]:
        """Return the borders of all splits, which are float32."""
        return [
            Threshold(int(column), float(border))
            for column, borders in self.native.get_borders().items()
            for border in borders
        ]

    def importance(self) -> Float64Array:
        """Return the share of each feature in the change of predictions by all splits, [F]."""
        return gain_shares(self.native.get_feature_importance(type="PredictionValuesChange"))

    def to_onnx(self) -> onnx.ModelProto:
        """Convert it with CatBoost's exporter, whose output shape is wrong and mended here."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            self.native.save_model(str(path), format="onnx")
            model = onnx.load(path)
        shape = model.graph.output[0].type.tensor_type.shape
        if len(shape.dim) == 1:
            shape.dim.add().dim_value = 1
        return model


def fit_catboost(samples: Samples, settings: TrainingSettings, report: Report) -> CatBoostBooster:
    """Fit one on absolute error.

    Raises:
        TrainingError: CatBoost refuses the samples: no feature varies, for example.
    """
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
        "allow_const_label": True,
        "allow_writing_files": False,
    }

    class Rounds:
        def after_iteration(self, info: Any) -> bool:
            report(info.iteration / chosen.trees)
            return True

    rows = rows_by_weight(samples, settings.seed)
    native = catboost.CatBoostRegressor(**parameters)
    try:
        native.fit(
            catboost.Pool(samples.features[rows], samples.target[rows]),
            callbacks=[Rounds()],
            logging_level="Silent",
        )
    except catboost.CatBoostError as error:
        raise TrainingError(
            f"catboost cannot learn from {len(samples.target)} jobs: {error}"
        ) from error
    return CatBoostBooster(native, parameters)


def rows_by_weight(samples: Samples, seed: int) -> NDArray[np.int64] | slice:
    """Return row numbers in which each row occurs as often as its relative weight.

    Fractions are rounded up or down, with one random offset for all (systematic resampling).
    """
    weight = samples.relative_weight
    if weight is None:
        return slice(None)
    offset = np.random.default_rng(seed).random()
    upto = np.floor(np.cumsum(weight, dtype=np.float64) + offset)
    return np.repeat(np.arange(len(weight)), np.diff(upto, prepend=0.0).astype(np.int64))
