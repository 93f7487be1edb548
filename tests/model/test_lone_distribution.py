"""A job that is answered alone has the bits that it has among many."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rt_predictor.model.conditional import given_elapsed, one_given_elapsed
from rt_predictor.model.distribution import Distribution
from rt_predictor.model.lone_distribution import LoneDistribution
from rt_predictor.online.groups import shape_group, shape_groups
from tests.model.distributions import Asked, random_jobs

LEVELS = (1e-9, 0.025, 0.25, 0.5, 0.75, 0.95, 0.999, 1 - 1e-9)

some_jobs = st.builds(random_jobs, st.integers(0, 2**32), st.integers(1, 30), st.integers(1, 130))


def lone(asked: Asked, row: int, *, enforced: bool) -> LoneDistribution:
    return LoneDistribution.of(
        asked.support_s[row],
        asked.weights[row],
        asked.limit_s.item(row),
        limits_enforced=enforced,
    )


def assert_same(one: LoneDistribution, together: Distribution, row: int) -> None:
    assert one.points_s.tobytes() == together.points_s[row].tobytes()
    assert one.cumulative.tobytes() == together.cumulative[row].tobytes()
    assert one.quantiles_s(LEVELS) == together.quantiles_s(LEVELS)[row].tolist()
    chance = together.timeout_probability()[row]
    assert np.array_equal(one.timeout_probability(), chance, equal_nan=True)


@given(some_jobs, st.booleans())
def test_a_lone_job_is_answered_as_in_a_batch(asked: Asked, enforced: bool) -> None:
    raw = asked.distribution(enforced=enforced, recalibrated=False)
    served = raw.recalibrated(asked.maps, asked.which)
    running = given_elapsed(served, asked.elapsed_s)
    groups = shape_groups(raw)
    for row in range(len(raw)):
        one = lone(asked, row, enforced=enforced)
        assert_same(one, raw, row)
        assert shape_group(one) == groups[row]
        one = one.recalibrated(asked.maps, asked.which.item(row))
        assert_same(one, served, row)
        one = one_given_elapsed(one, asked.elapsed_s.item(row))
        assert one.quantiles_s(LEVELS) == running.quantiles_s(LEVELS)[row].tolist()
        chance = running.timeout_probability()[row]
        assert np.array_equal(one.timeout_probability(), chance, equal_nan=True)


@pytest.mark.parametrize(
    ("support_s", "weights"),
    [([np.inf, 1], [1, 1]), ([1, np.nan], [1, 1]), ([1, 2], [0, 0]), ([1, 2], [1, np.inf])],
)
def test_what_is_not_finite_is_refused(support_s: list[float], weights: list[float]) -> None:
    points_s, shares = np.array(support_s, np.float32), np.array(weights, np.float32)
    with pytest.raises(ValueError, match="finite"):
        LoneDistribution.of(points_s, shares, 60.0)
