import numpy as np
import pytest

from rt_predictor.features.matrix import ABSENT, CAP, COPIES, MISSING, SCALE
from rt_predictor.history.token_keys import SLOTS
from rt_predictor.training.network.forward import point_weights, slot_features
from rt_predictor.training.network.shape import ABSOLUTE_S, BOOSTERS, POINTS, RELATIVE, support_s
from tests.training.network.learning_logs import learning_log, matrix_of, random_weights


@pytest.fixture(scope="module")
def jobs() -> tuple[np.ndarray, np.ndarray]:
    log = learning_log(60)
    return matrix_of(log), log.boosted


def test_every_point_has_a_weight_and_they_sum_to_one(jobs):
    matrix, boosted = jobs
    weights = point_weights(random_weights(0), matrix, boosted)
    assert weights.shape == support_s(matrix, boosted).shape == (60, POINTS)
    assert weights.min() >= 0
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-5)


def test_boosters_that_say_nothing_weigh_nothing(jobs):
    matrix, boosted = jobs
    weights = point_weights(random_weights(0), matrix, boosted)
    of_boosters = weights[:, COPIES : COPIES + BOOSTERS]
    assert (of_boosters[np.isnan(boosted)] == 0).all()
    assert (of_boosters[~np.isnan(boosted)] > 0).all()


def test_without_tokens_the_grid_carries_all(jobs):
    matrix, boosted = jobs[0].copy(), np.full_like(jobs[1], np.nan)
    matrix[:, MISSING] = ABSENT
    weights = point_weights(random_weights(0), matrix, boosted)
    np.testing.assert_allclose(weights[:, COPIES:].sum(axis=1), 1, atol=1e-5)


def test_the_support_lies_between_a_second_and_the_longest(jobs):
    matrix, boosted = jobs
    points = support_s(matrix, boosted)
    assert np.isfinite(points).all()
    assert points.min() >= 1
    absolute = points[:, -len(ABSOLUTE_S) :]
    assert (absolute <= matrix[:, CAP]).all()
    relative = points[:, -len(ABSOLUTE_S) - len(RELATIVE) : -len(ABSOLUTE_S)]
    assert (relative == matrix[:, SCALE]).any(axis=1).all(), "the limit itself is a point"


def test_each_slot_is_of_one_kind():
    features = slot_features()
    assert features[:, :-1].sum(axis=1).tolist() == [1] * SLOTS
    assert 0 <= features[:, -1].min() <= features[:, -1].max() < 1
