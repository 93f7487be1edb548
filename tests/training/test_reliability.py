"""The laws of calibration error and Brier score."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rt_predictor.training.reliability import BINS, TimeoutMetrics, timeout_metrics

COUNT = 40
# Few values, so that probabilities tie.
PROBABILITIES = arrays(np.float64, COUNT, elements=st.sampled_from([0.0, 0.1, 0.25, 0.8, 1.0]))
REACHED = arrays(np.bool_, COUNT)


def measured(
    probability: np.ndarray, reached: np.ndarray, base_rate: float = 0.5
) -> TimeoutMetrics:
    limits = np.full(len(probability), 100.0)
    found = timeout_metrics(probability, base_rate, limits, np.where(reached, 100.0, 99.0))
    assert found is not None
    return found


def test_figures_by_hand() -> None:
    found = measured(np.array([0.2, 0.2, 0.2, 0.2, 0.9]), np.array([1, 0, 0, 0, 1], bool), 0.4)
    assert (found.jobs, found.timeouts) == (5, 2)
    assert [(b.jobs, b.share) for b in found.bins] == [(4, 0.25), (1, 1.0)]
    assert found.ece == pytest.approx((4 * 0.05 + 0.1) / 5)
    assert found.brier == pytest.approx((0.64 + 3 * 0.04 + 0.01) / 5)
    assert found.brier_base_rate == pytest.approx((2 * 0.36 + 3 * 0.16) / 5)


def test_jobs_without_a_limit_do_not_count() -> None:
    limits = np.array([100.0, np.nan])
    found = timeout_metrics(np.array([1.0, np.nan]), 0.5, limits, np.array([100.0, 7.0]))
    assert found is not None
    assert (found.jobs, found.brier, found.ece) == (1, 0, 0)


def test_a_log_without_limits_has_no_figures() -> None:
    nothing = np.full(3, np.nan)
    assert timeout_metrics(nothing, float("nan"), nothing, np.ones(3)) is None


def test_different_probabilities_fill_ten_equal_bins() -> None:
    found = measured(np.linspace(0, 1, 100), np.zeros(100, bool))
    assert [b.jobs for b in found.bins] == [10] * BINS


@settings(max_examples=50)
@given(REACHED)
def test_saying_what_happens_is_perfect(reached: np.ndarray) -> None:
    found = measured(reached.astype(float), reached)
    assert (found.ece, found.brier) == (0, 0)


@settings(max_examples=50)
@given(PROBABILITIES, REACHED, st.randoms(use_true_random=False))
def test_the_order_of_jobs_does_not_matter(
    probability: np.ndarray, reached: np.ndarray, shuffle: object
) -> None:
    order = np.arange(COUNT)
    shuffle.shuffle(order)  # type: ignore[attr-defined]
    one, other = measured(probability, reached), measured(probability[order], reached[order])
    assert one.ece == pytest.approx(other.ece)
    assert [b.jobs for b in one.bins] == [b.jobs for b in other.bins]


@settings(max_examples=50)
@given(PROBABILITIES, REACHED)
def test_bins_hold_every_job_once_and_go_up(probability: np.ndarray, reached: np.ndarray) -> None:
    found = measured(probability, reached)
    assert sum(b.jobs for b in found.bins) == COUNT
    probabilities = [b.probability for b in found.bins]
    assert probabilities == sorted(probabilities)
    assert 0 <= found.ece <= 1
