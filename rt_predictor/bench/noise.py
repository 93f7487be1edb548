"""Models fitted on noise: what they say does not matter, how long they take does."""

import lightgbm
import numpy as np
from numpy.typing import NDArray

from rt_predictor.bench.plan import BenchPlan

Matrix = NDArray[np.float32]

_ROWS, _LEAST_ROWS = 10_000, 1000


def noise(plan: BenchPlan, width: int) -> tuple[Matrix, Matrix]:
    """Rows to fit on, [N, width], and what is to be said of each, [N]."""
    random = np.random.default_rng(2)
    matrix = random.random((plan.count(_ROWS, _LEAST_ROWS), width), dtype=np.float32)
    target = matrix.sum(axis=1, dtype=np.float32)
    return matrix, target + random.normal(size=len(matrix)).astype(np.float32)


def lightgbm_of(matrix: Matrix, target: Matrix, trees: int, leaves: int) -> lightgbm.Booster:
    """A LightGBM of that many trees, of at most so many leaves each."""
    chosen = {"num_leaves": leaves, "verbose": -1}
    return lightgbm.train(chosen, lightgbm.Dataset(matrix, target), trees)
