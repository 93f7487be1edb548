import pytest

from rt_predictor.training.boosting.fit import FittedBoosters, fit_boosters
from tests.training.boosting.fitted_boosters import samples, small_settings


@pytest.fixture(scope="session")
def fitted_boosters() -> FittedBoosters:
    """One booster of each library, fitted to samples with holes."""
    return fit_boosters(samples(holes=0.1), small_settings(), lambda _share: None)
