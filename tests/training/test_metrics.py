import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rt_predictor.training.metrics import Intervals, per_user_mae, point_metrics

POSITIVE = arrays(np.float64, 20, elements=st.floats(1, 1e6))


def test_point_metrics_by_hand() -> None:
    found = point_metrics(np.array([10.0, 20.0, 40.0]), np.array([10.0, 40.0, 20.0]))
    assert found.mae == pytest.approx(40 / 3)
    assert found.median_ae == 20
    assert found.accuracy == pytest.approx(2 / 3)
    assert found.underestimated == pytest.approx(1 / 3)
    assert found.rmse == pytest.approx((800 / 3) ** 0.5)
    assert found.r2 == pytest.approx(1 - 800 / (466 + 2 / 3))


def test_constant_runtimes_have_no_r2() -> None:
    assert point_metrics(np.array([1.0, 2.0]), np.array([5.0, 5.0])).r2 == 0


@given(POSITIVE, POSITIVE)
def test_accuracy_is_symmetric_and_at_most_one(a: np.ndarray, b: np.ndarray) -> None:
    found = point_metrics(a, b).accuracy
    assert found == point_metrics(b, a).accuracy
    assert 0 < found <= 1


def test_each_user_counts_once_whatever_the_number_of_jobs() -> None:
    users = pl.Series(["ann"] * 9 + ["bob", None])
    predicted = np.array([10.0] * 9 + [110.0, 1e9])
    assert per_user_mae(predicted, np.full(11, 10.0), users) == pytest.approx(50)


def test_a_log_without_users_has_no_mean_over_them() -> None:
    nobody = pl.Series([None, None], dtype=pl.String)
    assert np.isnan(per_user_mae(np.ones(2), np.ones(2), nobody))


def test_intervals_hold_their_ends() -> None:
    intervals = Intervals(0.9, np.array([1.0, 2.0, 3.0]), np.array([3.0, 8.0, 4.0]))
    assert intervals.hold(np.array([1.0, 8.0, 5.0])).tolist() == [True, True, False]
    assert intervals.mean_width_s() == 3
