import numpy as np
import pytest

from rt_predictor.model.distribution import Distribution
from rt_predictor.training.network.loss import (
    ENOUGH,
    breaks,
    crps,
    enough,
    falls,
    reach,
    sinks,
    strays,
)


def some(seed: int, jobs: int = 5, points: int = 9) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    points_s = np.sort(random.lognormal(5, 1, (jobs, points)), axis=1).astype(np.float32)
    return random.dirichlet(np.ones(points), jobs).astype(np.float32), points_s


def test_at_a_point_the_score_is_that_of_the_distribution():
    weights, points_s = some(0)
    outcome_s = points_s[:, 4]
    limit_s = np.full(len(points_s), np.nan)
    exact = Distribution.of(points_s, weights, limit_s).crps_s(outcome_s.astype(np.float64))
    np.testing.assert_allclose(crps(weights, points_s, outcome_s), exact, rtol=1e-4)


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_beyond_all_points_the_distance_counts(factor):
    weights, points_s = some(1)
    end = points_s[:, 0] if factor < 1 else points_s[:, -1]
    near, far = (np.asarray(crps(weights, points_s, end * f)) for f in (1.0, factor))
    np.testing.assert_allclose(far - near, np.abs(end * factor - end), rtol=1e-4)


def test_the_chance_to_reach_the_limit_is_that_of_the_distribution():
    weights, points_s = some(3)
    limit_s = points_s[:, 6]
    chance = Distribution.of(points_s, weights, limit_s.astype(np.float64)).timeout_probability()
    reached = np.asarray(reach(weights, points_s, limit_s, limit_s))
    missed = np.asarray(reach(weights, points_s, limit_s, limit_s - 1))
    np.testing.assert_allclose(reached, (1 - chance) ** 2, atol=1e-5)
    np.testing.assert_allclose(missed, chance**2, atol=1e-5)


def test_a_longer_limit_may_lengthen_what_is_predicted_but_not_shorten_it():
    weights, points_s = some(2)
    assert not np.asarray(falls(weights, points_s, weights, points_s)).any()
    assert not np.asarray(falls(weights, points_s, weights, points_s * 1.5)).any()
    assert (np.asarray(falls(weights, points_s, weights, points_s * 0.5)) > 0).all()


def test_a_shorter_limit_must_be_as_likely_to_hold_as_the_longer_one_says():
    weights, points_s = some(4)
    limit_s = points_s[:, 6]
    assert not np.asarray(breaks(weights, points_s, weights, points_s, limit_s)).any()
    later = np.asarray(breaks(weights, points_s * 1.5, weights, points_s, limit_s))
    before = [np.where(points_s * by < limit_s[:, None], weights, 0).sum(1) for by in (1, 1.5)]
    np.testing.assert_allclose(later, before[0] - before[1], atol=1e-6)
    assert not np.asarray(breaks(weights, points_s, weights, points_s * 1.5, limit_s)).any()


def test_a_shorter_limit_must_not_make_a_job_end_earlier_below_it():
    weights, points_s = some(5)
    limit_s = points_s[:, -1] * 1.01
    assert not np.asarray(sinks(weights, points_s, weights, points_s, limit_s)).any()
    assert not np.asarray(sinks(weights, points_s * 1.005, weights, points_s, limit_s)).any()
    earlier = np.asarray(sinks(weights, points_s * 0.9, weights, points_s, limit_s))
    much_earlier = np.asarray(sinks(weights, points_s * 0.1, weights, points_s, limit_s))
    assert (earlier > 0).all()
    assert (earlier < much_earlier).all()


def test_what_lies_at_the_shorter_limit_is_left_to_the_other_laws():
    weights, points_s = some(7)
    limit_s = points_s[:, -1] * 1.01
    cut = np.minimum(points_s * 1.5, limit_s[:, None])
    assert not np.asarray(sinks(weights, cut, weights, points_s, limit_s)).any()


def test_a_limit_is_enough_the_more_surely_it_holds():
    points_s = np.array([[1.0, 2.0]] * 4)
    chance = np.array([0.5, ENOUGH, 0.9, 1.0])
    weights = np.stack([chance, 1 - chance], axis=1)
    sure = np.asarray(enough(weights, points_s, np.full(4, 1.5)))
    np.testing.assert_allclose(sure, [0, 0, 0.5, 1], atol=1e-6)


def test_a_job_that_was_stopped_runs_on_with_a_longer_limit():
    points_s = np.array([[50.0, 101.0, 150.0, 201.0, 800.0]] * 4)
    weights = np.eye(5)[[2, 3, 1, 4]]
    weights[0] = [0.25, 0.25, 0.25, 0.0, 0.25]
    stray = np.asarray(strays(weights, points_s, np.full(4, 100.0), np.full(4, 200.0)))
    np.testing.assert_allclose(stray, [0.75**2, 0, 1, 1])
