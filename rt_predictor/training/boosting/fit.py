"""One booster of each library, fitted on the same jobs.

Absolute error is the loss: a proposal should be the median of the runtimes that may happen, and
users feel the mean absolute error of runtimes. Squared error of logarithms, the usual choice,
is far worse on it (measured: 7890 s against 4989 s on one log).
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rt_predictor.settings import TrainingSettings
from rt_predictor.training.boosting.booster import Booster, Float32Array, Samples
from rt_predictor.training.boosting.catboost_booster import fit_catboost
from rt_predictor.training.boosting.lightgbm_booster import fit_lightgbm
from rt_predictor.training.boosting.xgboost_booster import fit_xgboost
from rt_predictor.training.progress import Report

Fit = Callable[[Samples, TrainingSettings, Report], Booster]

LIBRARIES: dict[str, Fit] = {
    "xgboost": fit_xgboost,
    "lightgbm": fit_lightgbm,
    "catboost": fit_catboost,
}
"""In the order of the boosters everywhere."""


@dataclass(frozen=True)
class FittedBoosters:
    """One booster for each of `LIBRARIES`, and how long each took."""

    boosters: tuple[Booster, ...]
    seconds: tuple[float, ...]

    def predict(self, rows: Float32Array) -> Float32Array:
        """Return what each predicts for rows, float32 [n, F] -> float32 [n, boosters]."""
        answers = [booster.predict(rows) for booster in self.boosters]
        return np.stack(answers, axis=1).astype(np.float32)


def fit_boosters(samples: Samples, settings: TrainingSettings, report: Report) -> FittedBoosters:
    """Fit one booster of each library.

    With one seed and one number of threads the same samples give the same boosters.

    Args:
        samples: what to learn from.
        settings: trees, their size, seed and threads.
        report: called with the share of the work that is done.

    Raises:
        TrainingError: a library cannot learn from the samples.
    """
    boosters, seconds = [], []
    for index, fit in enumerate(LIBRARIES.values()):

        def share(done: float, index: int = index) -> None:
            report((index + done) / len(LIBRARIES))

        start = time.perf_counter()
        boosters.append(fit(samples, settings, share))
        seconds.append(time.perf_counter() - start)
    report(1.0)
    return FittedBoosters(tuple(boosters), tuple(seconds))
