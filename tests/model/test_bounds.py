import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rt_predictor.model.bounds import (
    LEVELS,
    LOWER,
    MEDIAN,
    MISS_SHARES,
    QUANTILES,
    TAILS,
    UPPER,
    from_cube_root,
    history_group,
    interval_s,
    quantile_scale_s,
    recommended_time_req_s,
    tail_scores,
    to_cube_root,
    told_scores,
    upper_quantile_s,
)

ROWS = 4
some_quantiles = arrays(np.float64, (ROWS, len(QUANTILES)), elements=st.floats(-1, 3))
some_offsets = arrays(np.float64, (ROWS, TAILS), elements=st.floats(-1, 1))
some_seconds = arrays(np.float64, ROWS, elements=st.floats(1, 1e7))
CUBE_ROOT_ROUNDING = 1e-12

offsets_within_reach = arrays(
    np.float64,
    (ROWS, TAILS),
    elements=st.floats(-1, 1, exclude_min=True, exclude_max=True),
)


def test_each_level_has_the_quantiles_that_bound_it() -> None:
    for place, level in enumerate(LEVELS):
        assert QUANTILES[UPPER[place]] - QUANTILES[LOWER[place]] == pytest.approx(level)
        assert MISS_SHARES[place] == pytest.approx(QUANTILES[LOWER[place]])
        assert MISS_SHARES[place + len(LEVELS)] == pytest.approx(1 - QUANTILES[UPPER[place]])
    assert QUANTILES[MEDIAN] == 0.5


@given(some_quantiles, some_offsets, some_seconds, some_seconds, some_seconds)
def test_levels_enclose_each_other_and_the_point(
    quantiles: np.ndarray,
    offsets: np.ndarray,
    scale: np.ndarray,
    point: np.ndarray,
    top: np.ndarray,
) -> None:
    lower, upper = interval_s(quantiles, offsets, scale, point, top)
    assert lower.shape == upper.shape == (ROWS, len(LEVELS))
    assert (lower >= 1).all()
    assert (lower <= point[:, None]).all()
    assert (upper >= point[:, None]).all()
    assert (upper <= np.maximum(top, point)[:, None]).all()
    assert (np.diff(lower, axis=1) <= 0).all()
    assert (np.diff(upper, axis=1) >= 0).all()


@given(some_quantiles, some_offsets, some_seconds)
def test_an_offset_of_at_least_the_score_holds_the_job(
    quantiles: np.ndarray, offsets: np.ndarray, scale: np.ndarray
) -> None:
    runtime = np.geomspace(1, 1e6, ROWS)
    scores = tail_scores(quantiles, to_cube_root(runtime, scale))
    tails = len(LEVELS)
    lower = from_cube_root(quantiles[:, LOWER] - offsets[:, :tails], scale[:, None])
    upper = from_cube_root(quantiles[:, UPPER] + offsets[:, tails:], scale[:, None])
    held = np.hstack([lower <= runtime[:, None], runtime[:, None] <= upper])
    clear = np.abs(scores - offsets) > CUBE_ROOT_ROUNDING
    np.testing.assert_array_equal(held[clear], (scores <= offsets)[clear])


@given(some_quantiles, offsets_within_reach, some_seconds, some_seconds, some_seconds)
def test_a_told_score_says_whether_the_interval_that_was_told_holds_the_job(
    quantiles: np.ndarray,
    offsets: np.ndarray,
    scale: np.ndarray,
    point: np.ndarray,
    ceiling: np.ndarray,
) -> None:
    """Of each level on its own, where the ends of the narrower ones are not in its way."""
    runtime = np.geomspace(1, 1e6, ROWS)
    scores = tail_scores(quantiles, to_cube_root(runtime, scale))
    told = told_scores(scores, runtime, point, ceiling)
    assert np.isfinite(told).all()
    tails = len(LEVELS)
    for level in range(tails):
        alone = [at for at in range(2 * tails) if at % tails == level]
        of_level = np.repeat(quantiles[:, [LOWER[level], UPPER[level]]], tails, axis=1)
        quantiles_of = np.full_like(quantiles, np.nan)
        quantiles_of[:, [*LOWER, *UPPER]] = of_level
        offsets_of = np.repeat(offsets[:, alone], tails, axis=1)
        lower, upper = interval_s(quantiles_of, offsets_of, scale, point, ceiling)
        held = np.column_stack([lower[:, 0] <= runtime, runtime <= upper[:, 0]])
        clear = np.abs(scores - offsets)[:, alone] > CUBE_ROOT_ROUNDING
        np.testing.assert_array_equal(held[clear], (told <= offsets)[:, alone][clear])


def test_scores_that_no_offset_reaches_are_those_of_a_whole_limit() -> None:
    scores = np.full((2, TAILS), 0.1)
    both = np.hsplit(
        told_scores(scores, np.array([50.0, 99.0]), np.full(2, 50.0), np.full(2, 90.0)), 2
    )
    np.testing.assert_array_equal(both[0], np.full((2, TAILS // 2), -1.0))
    np.testing.assert_array_equal(both[1], [[-1.0] * (TAILS // 2), [1.0] * (TAILS // 2)])


@given(some_seconds, some_seconds)
def test_the_cube_root_scale_is_left_as_it_was_entered(
    runtime: np.ndarray, scale: np.ndarray
) -> None:
    np.testing.assert_allclose(from_cube_root(to_cube_root(runtime, scale), scale), runtime)


def test_jobs_are_measured_by_their_limit_or_by_what_is_typical() -> None:
    found = quantile_scale_s(np.array([3600.0, np.nan, 0.0]), 500.0)
    np.testing.assert_array_equal(found, [3600, 500, 1])


def test_jobs_are_grouped_by_what_is_known_of_their_user() -> None:
    runs = np.array([np.nan, 0, 1, 4, 5, 10], dtype=np.float32)
    np.testing.assert_array_equal(history_group(runs), [0, 0, 1, 1, 2, 2])


@pytest.mark.parametrize(
    ("confidence", "expected"), [(0.5, 100), (0.75, 200), (0.95, 800), (0.975, 900)]
)
def test_a_confidence_that_an_end_stands_for_gives_that_end(
    confidence: float, expected: float
) -> None:
    found = upper_quantile_s(np.array([[200.0, 800.0, 900.0]]), np.array([100.0]), confidence)
    np.testing.assert_allclose(found, [expected])


@given(st.floats(0.5, 0.975), st.floats(0.5, 0.975))
def test_more_confidence_never_asks_for_less_time(one: float, other: float) -> None:
    upper, point = np.array([[200.0, 800.0, 800.0]]), np.array([100.0])
    less, more = (upper_quantile_s(upper, point, each)[0] for each in sorted((one, other)))
    assert less <= more * (1 + 1e-12)


@pytest.mark.parametrize("confidence", [0.49, 0.976, float("nan")])
def test_a_confidence_beyond_the_levels_is_refused(confidence: float) -> None:
    with pytest.raises(ValueError, match=r"the intervals know 0.5 to 0.975"):
        upper_quantile_s(np.array([[2.0, 3.0, 4.0]]), np.array([1.0]), confidence)


@given(st.floats(1, 1e7), st.sampled_from([1.0, 60.0, 300.0, 3600.0]))
def test_the_recommended_limit_is_the_least_multiple_that_holds(
    quantile: float, granularity: float
) -> None:
    found = recommended_time_req_s(np.array([quantile]), granularity)[0]
    assert found % granularity == 0
    assert found >= quantile * (1 - 1e-12)
    assert found - granularity < quantile or found == granularity


def test_a_limit_of_no_granularity_is_refused() -> None:
    with pytest.raises(ValueError, match="granularity is 0 s"):
        recommended_time_req_s(np.array([1.0]), 0.0)
