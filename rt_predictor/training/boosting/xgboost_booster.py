"""XGBoost."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
import onnxmltools
import xgboost
from onnxmltools.convert.common.data_types import FloatTensorType

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
class XGBoostBooster:
    """A booster of XGBoost."""

    native: xgboost.Booster
    parameters: Mapping[str, object]
    library: str = "xgboost"

    @property
    def n_features(self) -> int:
        """Columns of a row."""
        return int(self.native.num_features())

    @property
    def n_trees(self) -> int:
        """Trees, one a round."""
        return int(self.native.num_boosted_rounds())

    def predict(self, rows: Float32Array) -> Float64Array:
        """Return predictions, [n], in the unit of the target."""
        return np.asarray(self.native.predict(xgboost.DMatrix(rows)), dtype=np.float64)

    def predict_trees(self, rows: Float32Array) -> Float64Array:
        """Return what each tree adds, [n, trees]."""
        # A base margin takes the place of the base score, and 0 adds nothing to a float32.
        matrix = xgboost.DMatrix(rows, base_margin=np.zeros(len(rows)))
        answers = np.empty((len(rows), self.n_trees))
        for tree in range(self.n_trees):
            answers[:, tree] = self.native.predict(matrix, iteration_range=(tree, tree + 1))
        return answers

    def thresholds(self) -> list[Threshold]:
        """Return the thresholds of all splits, which are float32."""
        splits = self.native.trees_to_dataframe().query("Feature != 'Leaf'")
        return [
            Threshold(int(feature.removeprefix("f")), float(np.float32(value)))
            for feature, value in zip(splits["Feature"], splits["Split"], strict=True)
        ]

    def importance(self) -> Float64Array:
        """Return the share of each feature in the gain of all splits, [F]."""
        scores = self.native.get_score(importance_type="total_gain")
        return gain_shares([scores.get(f"f{column}", 0.0) for column in range(self.n_features)])

    def to_onnx(self) -> onnx.ModelProto:
        """Convert it with onnxmltools; thresholds are float32 already."""
        return onnxmltools.convert_xgboost(
            self.native, initial_types=[("features", FloatTensorType([None, self.n_features]))]
        )


def fit_xgboost(samples: Samples, settings: TrainingSettings, report: Report) -> XGBoostBooster:
    """Fit one on absolute error."""
    chosen = settings.xgboost
    parameters: dict[str, object] = {
        "objective": "reg:absoluteerror",
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
            report((epoch + 1) / chosen.trees)
            return False

    data = xgboost.QuantileDMatrix(
        samples.features,
        samples.target,
        weight=samples.relative_weight,
        nthread=settings.threads or None,
    )
    native = xgboost.train(
        parameters, data, num_boost_round=chosen.trees, verbose_eval=False, callbacks=[Rounds()]
    )
    return XGBoostBooster(native, {**parameters, "trees": chosen.trees})
