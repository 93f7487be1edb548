import numpy as np
import pytest

from rt_predictor.errors import TrainingError
from rt_predictor.training.network.fit import Schedule, fit
from rt_predictor.training.network.forward import Weights, initial_weights, point_weights
from rt_predictor.training.network.loss import crps
from rt_predictor.training.network.shape import support_s
from tests.training.network.learning_logs import SMALL, learning_log, matrix_of

SCHEDULE = Schedule(epochs=12, rate=1e-2)


def score(weights: Weights, log) -> float:
    matrix, boosted = matrix_of(log), log.boosted
    points_s = support_s(matrix, boosted)
    order = np.argsort(points_s, axis=1)
    found = np.take_along_axis(point_weights(weights, matrix, boosted), order, axis=1)
    points_s = np.take_along_axis(points_s, order, axis=1)
    return float(crps(found, np.sqrt(points_s), np.sqrt(log.runtime_s.astype(np.float32))).mean())


def test_it_learns_and_alike_each_time_from_wherever_it_starts():
    log = learning_log(700)
    start = initial_weights(SCHEDULE.seed, SMALL)
    shares: list[float] = []
    first = fit([log], SCHEDULE, sizes=SMALL, report=shares.append)
    again = fit([log], SCHEDULE, start=start)
    assert [np.asarray(a).tobytes() for layer in first for a in layer] == [
        np.asarray(a).tobytes() for layer in again for a in layer
    ]
    assert shares == pytest.approx(
        [step / SCHEDULE.epochs for step in range(1, SCHEDULE.epochs + 1)]
    )
    assert score(first, log) < 0.9 * score(start, log)


def test_a_log_of_too_few_jobs_is_refused():
    with pytest.raises(TrainingError, match="too few jobs"):
        fit([learning_log(100)], SCHEDULE)
