import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rt_predictor.model.conditional import UNKNOWN_SHARE, given_elapsed
from rt_predictor.model.distribution import Distribution
from tests.model.distributions import Asked, random_jobs

some_jobs = st.builds(random_jobs, st.integers(0, 2**32), st.integers(1, 30))
some_seconds = st.floats(1, 1e7, width=32)


def _running(elapsed_s: float, limit_s: float, *, enforced: bool = False) -> Distribution:
    """A job of 10, 20, 30 or 40 s that has run for some time."""
    support_s = np.array([[10, 20, 30, 40]], dtype=np.float32)
    weights = np.full((1, 4), 0.25, dtype=np.float32)
    found = Distribution.of(support_s, weights, np.array([limit_s]), limits_enforced=enforced)
    return given_elapsed(found, np.array([elapsed_s]))


def test_what_was_outlived_no_longer_counts() -> None:
    running = _running(20, np.nan)
    assert running.quantile_s(0.45)[0] == 30
    assert running.quantile_s(0.55)[0] == 40
    assert running.remaining_s()[0] > 0


def test_a_job_that_outlived_everything_runs_as_long_again_in_the_median() -> None:
    running = _running(100, np.nan)
    assert running.median_s()[0] == pytest.approx(200, rel=0.1)


def test_a_job_that_outlived_everything_ends_at_its_limit_at_the_latest() -> None:
    running = _running(100, 150)
    assert running.quantile_s(0.99)[0] == 150
    assert running.timeout_probability()[0] == pytest.approx(2 / 3, abs=0.1)


def test_a_job_past_its_limit_has_little_left() -> None:
    running = _running(100, 60)
    assert 100 < running.median_s()[0] < 115
    assert running.timeout_probability()[0] == 1


def test_a_job_past_an_enforced_limit_is_still_running() -> None:
    assert _running(100, 60, enforced=True).median_s()[0] > 100


@given(some_jobs, st.booleans())
def test_nothing_changes_for_jobs_that_have_not_started(asked: Asked, enforced: bool) -> None:
    found = asked.distribution(enforced=enforced)
    given = given_elapsed(found, np.full(len(found), np.nan))
    levels = (0.01, 0.25, 0.5, 0.9, 0.99)
    assert np.array_equal(found.quantiles_s(levels), given.quantiles_s(levels))
    assert np.array_equal(found.timeout_probability(), given.timeout_probability(), equal_nan=True)
    assert np.array_equal(found.median_s(), given.remaining_s())


@given(some_jobs)
def test_a_job_that_has_just_started_is_as_before(asked: Asked) -> None:
    found = asked.distribution()
    given = given_elapsed(found, np.zeros(len(found)))
    assert np.array_equal(found.median_s(), given.median_s())


@given(some_jobs, some_seconds, some_seconds)
def test_mass_beyond_what_has_elapsed_keeps_its_proportions(
    asked: Asked, one_s: float, other_s: float
) -> None:
    found = asked.distribution()
    elapsed_s = np.full(len(found), min(one_s, other_s))
    later_s = np.full(len(found), max(one_s, other_s))
    beyond = 1 - found.levels_around(later_s)[1]
    beyond_elapsed = 1 - found.levels_around(elapsed_s)[1]
    conditional = 1 - given_elapsed(found, elapsed_s).levels_around(later_s)[1]
    # Jobs of no known kind are a hundredth of those that were outlived.
    unknown = UNKNOWN_SHARE * (1 - beyond_elapsed)
    assert (conditional * (beyond_elapsed + unknown) >= beyond - 1e-9).all()
    assert (conditional * (beyond_elapsed + unknown) <= beyond + unknown + 1e-9).all()
