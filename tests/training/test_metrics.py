import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rt_predictor.training.metrics import (
    Intervals,
    interval_metrics,
    per_user_mae,
    point_metrics,
    winkler_score,
)

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


def test_winkler_is_the_width_when_nothing_misses() -> None:
    intervals = Intervals(0.9, np.array([1.0, 2.0]), np.array([3.0, 8.0]))
    assert winkler_score(intervals, np.array([2.0, 8.0])) == 4


@pytest.mark.parametrize(
    ("level", "runtime", "expected"), [(0.9, 5.0, 10 + 20 * 5), (0.5, 25.0, 10 + 4 * 5)]
)
def test_winkler_charges_a_miss_by_level(level: float, runtime: float, expected: float) -> None:
    intervals = Intervals(level, np.array([10.0]), np.array([20.0]))
    assert winkler_score(intervals, np.array([runtime])) == pytest.approx(expected)


def test_coverage_is_counted_in_ten_blocks() -> None:
    runtime = np.arange(1.0, 101.0)
    intervals = Intervals(0.9, np.ones(100), np.full(100, 50.0))
    wider = Intervals(0.9, np.ones(100), np.full(100, 1000.0))
    found = interval_metrics(intervals, wider, runtime, np.ones(100))
    assert found.coverage == 0.5
    assert found.block_coverage == (1.0,) * 5 + (0.0,) * 5
    assert found.mean_width == 49
    assert found.winkler_constant_width == 999


def test_users_without_history_are_counted_apart() -> None:
    intervals = Intervals(0.9, np.zeros(4), np.array([5.0, 5.0, 50.0, 50.0]))
    runtime, runs = np.full(4, 10.0), np.array([0.0, 1.0, 0.0, 7.0])
    found = interval_metrics(intervals, intervals, runtime, runs)
    assert (found.jobs_without_history, found.coverage_without_history) == (2, 0.5)
    everyone_known = interval_metrics(intervals, intervals, runtime, np.ones(4))
    assert np.isnan(everyone_known.coverage_without_history)
