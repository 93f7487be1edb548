import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rt_predictor.training.scores import (
    BLOCKS,
    constant_width_ends_s,
    crps_of_levels_s,
    falling_share,
    interval_scores,
    interval_scores_s,
)

some_seconds = arrays(np.float64, 20, elements=st.floats(1, 1e6))


def test_interval_scores_by_hand() -> None:
    lower, upper = np.array([10.0, 10.0, 10.0]), np.array([20.0, 20.0, 20.0])
    found = interval_scores_s(lower, upper, np.array([15.0, 5.0, 30.0]), 0.9)
    assert found == pytest.approx([10, 10 + 20 * 5, 10 + 20 * 10])


def test_coverage_is_told_overall_by_part_and_by_history() -> None:
    jobs = 40
    runtime = np.full(jobs, 15.0)
    lower, upper = np.full(jobs, 10.0), np.full(jobs, 20.0)
    upper[:4] = 12
    runs = np.repeat([0, 50], [4, 36])
    constant = constant_width_ends_s(np.full(jobs, 15.0), 2.0)
    found = interval_scores((lower, upper), constant, runtime, runs, 0.9)
    assert found.coverage == 0.9
    assert len(found.block_coverage) == BLOCKS
    assert found.block_coverage[0] == 0
    assert min(found.block_coverage[1:]) == 1
    assert found.history_coverage["none"] == 0
    assert found.history_coverage["20 and more"] == 1
    assert np.isnan(found.history_coverage["1 to 4"])
    assert found.median_width_s == 10
    assert found.winkler_s == pytest.approx((36 * 10 + 4 * (2 + 20 * 3)) / jobs)
    assert found.winkler_over_constant_width == pytest.approx(found.winkler_s / 22.5)


def test_constant_width_ends_where_jobs_do_unless_the_point_lies_beyond() -> None:
    lower, upper = constant_width_ends_s(np.array([10.0, 40.0]), 3.0, np.array([25.0, 25.0]))
    assert lower == pytest.approx([10 / 3, 40 / 3])
    assert upper.tolist() == [25, 40]


def test_crps_of_a_sure_answer_is_its_absolute_error() -> None:
    ends = np.array([[100.0, 100.0, 100.0]])
    found = crps_of_levels_s(np.array([100.0]), ends, ends, (0.5, 0.9, 0.95), np.array([130.0]))
    assert found[0] == pytest.approx(30)


def test_crps_of_levels_is_that_of_their_quantiles() -> None:
    point, lower, upper = np.array([50.0]), np.array([[25.0]]), np.array([[75.0]])
    found = crps_of_levels_s(point, lower, upper, (0.5,), np.array([50.0]))
    # 0.375 of the mass at 25, 0.25 at 50, 0.375 at 75
    assert found[0] == pytest.approx(2 * 25 * 0.375**2)


@given(some_seconds, some_seconds)
def test_a_narrow_interval_that_holds_scores_no_worse(point: np.ndarray, half: np.ndarray) -> None:
    narrow = interval_scores_s(point - half, point + half, point, 0.9)
    wide = interval_scores_s(point - 2 * half, point + 2 * half, point, 0.9)
    assert (narrow <= wide).all()


def test_falling_share_counts_steps() -> None:
    assert falling_share(np.array([[1.0, 2, 2, 1], [1, 1, 1, 1]])) == pytest.approx(1 / 6)
