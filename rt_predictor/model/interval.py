"""What the calibrated distribution of runtime / prediction says about one prediction."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rt_predictor.model.documents import CalibrationDocument

Array = NDArray[np.float64]


@dataclass(frozen=True)
class ErrorDistribution:
    """The distribution of runtime / prediction, as quantiles on a grid of probabilities."""

    probabilities: Array
    ratio_quantiles: Array

    @classmethod
    def from_document(cls, document: CalibrationDocument) -> "ErrorDistribution":
        """From `calibration.json`."""
        return cls(np.array(document.probabilities), np.array(document.ratio_quantiles))

    def probability_of_reaching(self, limit_s: Array, predicted_s: Array) -> Array:
        """P(runtime >= limit), NaN where the limit is NaN: [n] limits, [n] predictions -> [n]."""
        below = np.interp(limit_s / predicted_s, self.ratio_quantiles, self.probabilities)
        return np.asarray(1 - below)
