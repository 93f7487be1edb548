import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rt_predictor.training.combine import Combination, fit_combination

RNG = np.random.default_rng(1)
NAN = float("nan")


def test_the_better_member_gets_the_weight() -> None:
    runtime = RNG.uniform(10, 100, 500)
    raw = np.column_stack([runtime, RNG.uniform(10, 100, 500), RNG.uniform(10, 100, 500)])
    found = fit_combination(raw, np.full(500, 1000.0), runtime, 1000.0)
    assert found.weights == (1.0, 0.0, 0.0)


def test_members_that_err_in_opposite_ways_share_the_weight() -> None:
    runtime = RNG.uniform(50, 100, 500)
    raw = np.column_stack([runtime + 20, runtime - 20, runtime + 500])
    found = fit_combination(raw, np.full(500, NAN), runtime, 1e6)
    assert found.weights == (0.5, 0.5, 0.0)


def test_where_limits_are_enforced_the_cap_is_the_limit() -> None:
    limit = np.full(300, 100.0)
    raw = np.full((300, 2), 150.0)
    assert fit_combination(raw, limit, limit, 1e6).limit_cap == 1.0


def test_where_limits_are_not_enforced_there_is_no_cap() -> None:
    limit, runtime = np.full(300, 100.0), np.full(300, 900.0)
    raw = np.full((300, 2), 900.0)
    assert fit_combination(raw, limit, runtime, 1000.0).limit_cap is None


@settings(deadline=None)
@given(
    raw=arrays(np.float64, (5, 3), elements=st.floats(-1e9, 1e9)),
    limit=arrays(np.float64, 5, elements=st.one_of(st.floats(1, 1e8), st.just(NAN))),
    cap=st.sampled_from([1.0, 1.25, None]),
)
def test_every_answer_is_positive_and_below_the_cap(
    raw: np.ndarray, limit: np.ndarray, cap: float | None
) -> None:
    combination = Combination((0.25, 0.5, 0.25), cap, 5000.0)
    answer = combination.apply(raw, limit)
    assert (answer >= 1).all()
    assert (answer <= combination.cap(limit) * (1 + 1e-12)).all()


def test_a_job_without_a_limit_is_capped_at_the_longest_runtime() -> None:
    combination = Combination((1.0,), 1.0, 5000.0)
    assert combination.apply(np.array([[9e9]]), np.array([NAN])) == pytest.approx([5000.0])
