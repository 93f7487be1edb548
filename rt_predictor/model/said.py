"""What a model says of jobs before its intervals are moved: what offsets make intervals of.

Offsets depend on how far earlier jobs lay outside, and that on their predictions; so both ends are
made here a second time, in the arithmetic of the graph and equal to its answers to the last bit.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rt_predictor.features.declared import INPUTS
from rt_predictor.model.bounds import (
    QUANTILES,
    interval_s,
    limit_ceiling_s,
    quantile_scale_s,
    tail_scores,
    to_cube_root,
    told_scores,
)
from rt_predictor.model.documents import CalibrationDocument
from rt_predictor.model.ports import Float32, GraphOutputs

Array = NDArray[np.float64]

_TIME_REQ = [item.name for item in INPUTS].index("time_req")


@dataclass(frozen=True)
class Said:
    """What a model says of n jobs. Float32, as in its graph."""

    predicted_s: Float32
    """[n]"""
    quantiles: Float32
    """[n, len(QUANTILES)] raw, on the cube-root scale"""
    scale_s: Float32
    """[n] what that scale is relative to"""
    ceiling_s: Float32
    """[n] what no upper end may exceed, unless the prediction does; infinite for none"""

    @property
    def usable(self) -> NDArray[np.bool_]:
        """[n] whether anything is said of a job."""
        numbers = np.column_stack([self.predicted_s, self.quantiles, self.scale_s])
        return np.asarray(np.isfinite(numbers).all(axis=1))

    @classmethod
    def nothing(cls, jobs: int) -> "Said":
        """Nothing of any of n jobs: NaN."""
        columns = np.full((3, jobs), np.nan, dtype=np.float32)
        quantiles = np.full((jobs, len(QUANTILES)), np.nan, dtype=np.float32)
        return cls(columns[0], quantiles, columns[1], columns[2])

    def rows(self, rows: NDArray[np.bool_]) -> "Said":
        """What is said of some of the jobs."""
        return Said(
            self.predicted_s[rows], self.quantiles[rows], self.scale_s[rows], self.ceiling_s[rows]
        )

    def put(self, rows: slice, found: "Said") -> None:
        """Sets what is said of some of the jobs."""
        self.predicted_s[rows] = found.predicted_s
        self.quantiles[rows] = found.quantiles
        self.scale_s[rows] = found.scale_s
        self.ceiling_s[rows] = found.ceiling_s

    def scores(self, runtime_s: Array) -> Array:
        """[n, TAILS] the offsets that would just have held jobs that took so long, in s."""
        relative = to_cube_root(runtime_s, self.scale_s.astype(np.float64))
        scores = tail_scores(self.quantiles.astype(np.float64), relative)
        point_s, ceiling_s = (end.astype(np.float64) for end in (self.predicted_s, self.ceiling_s))
        return told_scores(scores, runtime_s, point_s, ceiling_s)

    def ends_s(self, offsets: Float32) -> tuple[Float32, Float32]:
        """Both ends of every level, [n, len(LEVELS)] each, with offsets [n, TAILS]."""
        return interval_s(self.quantiles, offsets, self.scale_s, self.predicted_s, self.ceiling_s)


def said_of(
    outputs: GraphOutputs, inputs: Float32, calibration: CalibrationDocument, *, enforced: bool
) -> Said:
    """From what a graph says of n jobs.

    Args:
        outputs: with whatever offsets.
        inputs: [n, len(INPUTS)] the jobs, as the graph was given them.
        calibration: of the graph's bundle.
        enforced: whether no job can run over its limit.
    """
    limit_s = inputs[:, _TIME_REQ]
    overrun = 1.0 if enforced else calibration.limit_overrun
    return Said(
        outputs.prediction,
        outputs.raw_quantiles,
        quantile_scale_s(limit_s, calibration.typical_runtime_s),
        limit_ceiling_s(limit_s, overrun),
    )
