import numpy as np
import pytest

from rt_predictor.training.network.twins import GUESSES_S, MOST, boosted_of_twins, twin_limits_s
from tests.training.network.learning_logs import learning_log


@pytest.fixture(scope="module")
def limits():
    log = learning_log(2000)
    limit_s = log.asked.limit_s
    return limit_s, twin_limits_s(limit_s, log.tokens, np.random.default_rng(0))


def test_a_job_without_a_limit_has_a_twin_without_one(limits):
    limit_s, twin_s = limits
    assert np.isnan(limit_s).any()
    np.testing.assert_array_equal(np.isnan(twin_s), np.isnan(limit_s))


def test_limits_of_twins_are_longer_and_shorter_within_bounds(limits):
    limit_s, twin_s = limits
    by = (twin_s / limit_s)[~np.isnan(limit_s)]
    assert 0.3 < (by > 1).mean() < 0.7
    assert (by < 0.5).mean() > 0.1, "limits that are recommended are often far shorter"
    assert (by <= MOST).all()
    assert (twin_s[~np.isnan(twin_s)] > 0).all()


def test_boosters_say_as_many_seconds_of_a_twin():
    boosted = np.log(np.array([[0.5, 0.25, np.nan]], dtype=np.float32))
    twin_boosted = boosted_of_twins(boosted, np.array([3600.0]), np.array([7200.0]))
    np.testing.assert_allclose(np.exp(twin_boosted), [[0.25, 0.125, np.nan]], rtol=1e-6)


def test_boosters_say_the_same_of_a_twin_without_a_limit():
    boosted = np.zeros((1, 3), dtype=np.float32)
    nothing = np.array([np.nan])
    np.testing.assert_array_equal(boosted_of_twins(boosted, nothing, nothing), boosted)


def test_limits_of_twins_are_whole_minutes_and_few_are_round(limits):
    limit_s, twin_s = limits
    assert ((twin_s % 60 == 0) | (twin_s == MOST * limit_s) | np.isnan(limit_s)).all()
    assert 0 < (twin_s[~np.isnan(twin_s)] % GUESSES_S == 0).mean() < 0.2
