"""The contract of a booster: what the steps after the fit ask of each library."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import onnx
from numpy.typing import NDArray

from rt_predictor.errors import TrainingError

Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]

# XGBoost doubles the largest value of a column, which must not overflow.
MAX_FEATURE = 1e38


@dataclass(frozen=True, eq=False)
class Samples:
    """Rows to learn from.

    Attributes:
        features: float32 [n, F], NaN or of at most MAX_FEATURE in size.
        target: float32 [n], finite.
        weight: float32 [n], how much each row counts, above 0; None counts all alike.

    Raises:
        TrainingError: the shapes differ or a value is out of range.
    """

    features: Float32Array
    target: Float32Array
    weight: Float32Array | None = None

    def __post_init__(self) -> None:
        rows = len(self.features)
        if not rows or self.features.ndim != 2 or self.target.shape != (rows,):
            raise TrainingError(
                f"cannot learn from features of {self.features.shape} and a target of "
                f"{self.target.shape}: give [rows, features] and [rows], at least one row"
            )
        if (np.abs(self.features) > MAX_FEATURE).any() or not np.isfinite(self.target).all():
            raise TrainingError(
                f"cannot learn from features over {MAX_FEATURE:g} or a target that is not finite"
            )
        weight = self.weight
        if weight is not None and not (
            weight.shape == (rows,) and (weight > 0).all() and np.isfinite(weight).all()
        ):
            raise TrainingError(
                "weights must be [rows], finite and above 0: leave out rows that do not count"
            )

    @property
    def relative_weight(self) -> Float32Array | None:
        """Weights of mean 1: settings of leaf sizes and regularisation count in these."""
        return None if self.weight is None else self.weight / self.weight.mean()


@dataclass(frozen=True)
class Threshold:
    """A value that some split of a booster compares a column with."""

    column: int
    value: float
    """As the library has it: float64 in LightGBM, else a float32's."""


class Booster(Protocol):
    """A fitted model of one library; rows are float32 [n, F], finite or NaN."""

    @property
    def library(self) -> str:
        """Name of the library, as in errors and reports."""
        ...

    @property
    def parameters(self) -> Mapping[str, object]:
        """Parameters that the library fitted it with."""
        ...

    @property
    def n_features(self) -> int:
        """Columns of a row."""
        ...

    @property
    def n_trees(self) -> int:
        """Trees, all of which predictions use."""
        ...

    def predict(self, rows: Float32Array) -> Float64Array:
        """Return the library's predictions, [n], in the unit of the target."""
        ...

    def predict_trees(self, rows: Float32Array) -> Float64Array:
        """Return what each tree adds to the prediction by itself, [n, trees]."""
        ...

    def thresholds(self) -> list[Threshold]:
        """Return the thresholds of all splits, as the library itself lists them."""
        ...

    def importance(self) -> Float64Array:
        """Return the share of each feature in the gain of all splits, [F]; sums to 1."""
        ...

    def to_onnx(self) -> onnx.ModelProto:
        """Convert it; the model has one TreeEnsembleRegressor and is exact on float32 rows."""
        ...


def gain_shares(gains: object) -> Float64Array:
    """Return gains as shares of their sum; equal shares where there is no gain."""
    values = np.asarray(gains, dtype=np.float64)
    total = values.sum()
    return values / total if total > 0 else np.full(len(values), 1 / len(values))
