import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rt_predictor.training.metrics import interval_metrics, point_metrics, winkler_score

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


def test_winkler_is_the_width_when_nothing_misses() -> None:
    lower, upper = np.array([1.0, 2.0]), np.array([3.0, 8.0])
    assert winkler_score(lower, upper, np.array([2.0, 8.0]), 0.9) == 4


def test_winkler_charges_a_miss_by_level() -> None:
    one = np.array([10.0])
    assert winkler_score(one, one * 2, np.array([5.0]), 0.9) == pytest.approx(10 + 20 * 5)
    assert winkler_score(one, one * 2, np.array([25.0]), 0.5) == pytest.approx(10 + 4 * 5)


def test_coverage_is_counted_in_ten_blocks() -> None:
    runtime = np.arange(1.0, 101.0)
    found = interval_metrics(np.ones(100), np.full(100, 50.0), runtime, 0.9, 7.0)
    assert found.coverage == 0.5
    assert found.block_coverage == (1.0,) * 5 + (0.0,) * 5
    assert found.mean_width == 49
    assert found.winkler_constant_width == 7.0
