import pytest

from rt_predictor.settings import Settings
from rt_predictor.traces.generate import generate_jobs
from tests.training.fitted import Fitted, fit, with_holes


@pytest.fixture(scope="session")
def fitted(tiny_settings: Settings) -> Fitted:
    """A small ensemble of real trees."""
    return fit(with_holes(generate_jobs(3000, seed=4)), tiny_settings)
