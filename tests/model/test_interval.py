import numpy as np
import pytest

from rt_predictor.model.interval import ErrorDistribution


@pytest.fixture
def errors() -> ErrorDistribution:
    return ErrorDistribution(np.array([0.0, 0.5, 1.0]), np.array([0.5, 1.0, 3.0]))


def test_probability_falls_as_the_limit_grows(errors: ErrorDistribution) -> None:
    limits = np.array([1.0, 50.0, 100.0, 200.0, 300.0, 1e9])
    chance = errors.probability_of_reaching(limits, np.full(6, 100.0))
    np.testing.assert_allclose(chance, [1, 1, 0.5, 0.25, 0, 0])


def test_without_a_limit_there_is_no_probability(errors: ErrorDistribution) -> None:
    assert np.isnan(errors.probability_of_reaching(np.array([np.nan]), np.array([1.0]))).all()
