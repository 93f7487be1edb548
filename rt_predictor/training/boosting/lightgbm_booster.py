"""LightGBM, whose thresholds are float64 and are made exact in float32 before the conversion."""

from collections.abc import Mapping
from dataclasses import dataclass

import lightgbm
import numpy as np
import onnx
import onnxmltools
from onnxmltools.convert.common.data_types import FloatTensorType

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

# LightGBM reads a value of at most this size as 0 (kZeroThreshold), whatever the thresholds.
ZERO_BAND = np.float32(1e-35)

# Bits of `decision_type` in the model's text.
_CATEGORICAL = 0b0001
_MISSING = 0b1100
_ZERO_IS_MISSING = 0b0100


@dataclass(frozen=True, eq=False)
class LightGBMBooster:
    """A booster of LightGBM."""

    native: lightgbm.Booster
    parameters: Mapping[str, object]
    library: str = "lightgbm"

    @property
    def n_features(self) -> int:
        """Columns of a row."""
        return int(self.native.num_feature())

    @property
    def n_trees(self) -> int:
        """Trees, at most one a round."""
        return int(self.native.num_trees())

    def predict(self, rows: Float32Array) -> Float64Array:
        """Return predictions, [n], in the unit of the target."""
        return np.asarray(self.native.predict(rows), dtype=np.float64)

    def predict_trees(self, rows: Float32Array) -> Float64Array:
        """Return what each tree adds, [n, trees]; the first one's holds the average too."""
        answers = np.empty((len(rows), self.n_trees))
        for tree in range(self.n_trees):
            answers[:, tree] = self.native.predict(rows, start_iteration=tree, num_iteration=1)
        return answers

    def thresholds(self) -> list[Threshold]:
        """Return the thresholds of all splits, which are float64, and the ends of the zero band."""
        columns_of = {name: column for column, name in enumerate(self.native.feature_name())}
        splits = self.native.trees_to_dataframe().dropna(subset=["threshold"])
        asked = [
            Threshold(columns_of[feature], float(value))
            for feature, value in zip(splits["split_feature"], splits["threshold"], strict=True)
        ]
        columns = sorted({threshold.column for threshold in asked})
        ends = (float(-ZERO_BAND), float(ZERO_BAND))
        return asked + [Threshold(column, end) for column in columns for end in ends]

    def importance(self) -> Float64Array:
        """Return the share of each feature in the gain of all splits, [F]."""
        return gain_shares(self.native.feature_importance("gain"))

    def to_onnx(self) -> onnx.ModelProto:
        """Convert it with onnxmltools, after `with_float32_thresholds`.

        Raises:
            TrainingError: a split cannot be converted.
        """
        return onnxmltools.convert_lightgbm(
            with_float32_thresholds(self.native),
            initial_types=[("features", FloatTensorType([None, self.n_features]))],
        )


def fit_lightgbm(samples: Samples, settings: TrainingSettings, report: Report) -> LightGBMBooster:
    """Fit one on absolute error; where no leaf can be split further it has fewer trees.

    Raises:
        TrainingError: LightGBM refuses the samples: a single job, for example.
    """
    chosen = settings.lightgbm
    parameters: dict[str, object] = {
        "objective": "regression_l1",
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

    def rounds(environment: lightgbm.callback.CallbackEnv) -> None:
        report((environment.iteration + 1) / chosen.trees)

    data = lightgbm.Dataset(
        samples.features, samples.target, weight=samples.relative_weight, params=parameters
    )
    try:
        native = lightgbm.train(parameters, data, num_boost_round=chosen.trees, callbacks=[rounds])
    except lightgbm.basic.LightGBMError as error:
        raise TrainingError(
            f"lightgbm cannot learn from {len(samples.target)} jobs: {error}"
        ) from error
    return LightGBMBooster(native, {**parameters, "trees": chosen.trees})


def with_float32_thresholds(booster: lightgbm.Booster) -> lightgbm.Booster:
    """Return a booster whose thresholds are float32 and that predicts the same for float32 rows.

    `x <= t` equals `x <= t rounded down` for every float32 x. The library reads values in the zero
    band as 0, so a threshold inside the band moves to that end of it which puts the band on the
    side of 0.

    Raises:
        TrainingError: it splits on categories or takes 0 for a missing value.
    """
    lines = booster.model_to_string().split("\n")
    # Sizes in bytes of the trees, which change; without them the library finds the trees itself.
    kept = [line for line in lines if not line.startswith("tree_sizes=")]
    return lightgbm.Booster(model_str="\n".join(map(_with_exact_values, kept)))


def _with_exact_values(line: str) -> str:
    name, _, values = line.partition("=")
    if name == "decision_type":
        _check_decisions(np.array(values.split(), dtype=np.int64))
    if name == "threshold":
        exact = rounded_down(np.array(values.split(), dtype=np.float64))
        return f"threshold={' '.join(repr(float(value)) for value in exact)}"
    return line


def rounded_down(thresholds: Float64Array) -> Float32Array:
    """Return the largest float32 that LightGBM counts as at or below each threshold."""
    with np.errstate(over="ignore", under="ignore"):
        nearest = thresholds.astype(np.float32)
        below = np.nextafter(nearest, np.float32(-np.inf))
        down = np.where(nearest > thresholds, below, nearest)
        under_band = np.nextafter(-ZERO_BAND, np.float32(-np.inf))
    down = np.where((down >= -ZERO_BAND) & (down < 0.0), under_band, down)
    return np.where((down >= 0.0) & (down < ZERO_BAND), ZERO_BAND, down)


def _check_decisions(decisions: np.ndarray[tuple[int], np.dtype[np.int64]]) -> None:
    if np.any(decisions & _CATEGORICAL):
        raise TrainingError(
            "lightgbm splits on categories cannot be converted: encode them as numbers"
        )
    if np.any(decisions & _MISSING == _ZERO_IS_MISSING):
        raise TrainingError(
            "lightgbm splits that take 0 for a missing value cannot be converted: train with "
            "zero_as_missing=false"
        )
