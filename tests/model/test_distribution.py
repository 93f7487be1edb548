import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rt_predictor.model.conditional import given_elapsed
from rt_predictor.model.distribution import (
    LEAST_RUNTIME_S,
    Distribution,
    recommended_limit_of_one_s,
    recommended_limit_s,
)
from rt_predictor.model.level_maps import KNOTS, LevelMaps
from tests.model.distributions import Asked, random_jobs

LEVELS = (1e-9, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 0.8, 0.9, 0.95, 0.975, 0.999, 1 - 1e-9)
MANY_JOBS = 50_000

some_jobs = st.builds(random_jobs, st.integers(0, 2**32), st.integers(1, 30), st.integers(1, 130))


def _of(support_s: list[float], weights: list[float], limit_s: float, **more: bool) -> Distribution:
    return Distribution.of(
        np.array([support_s], dtype=np.float32),
        np.array([weights], dtype=np.float32),
        np.array([limit_s]),
        **more,
    )


def _kinds(asked: Asked, *, enforced: bool) -> list[Distribution]:
    """The jobs as asked at submit, with and without recalibration, and those that run."""
    recalibrated = asked.distribution(enforced=enforced)
    plain = asked.distribution(enforced=enforced, recalibrated=False)
    return [recalibrated, plain, given_elapsed(recalibrated, asked.elapsed_s)]


def _check_laws(asked: Asked, *, enforced: bool) -> None:
    for found in _kinds(asked, enforced=enforced):
        quantiles = found.quantiles_s(LEVELS)
        assert np.isfinite(quantiles).all()
        assert (quantiles >= LEAST_RUNTIME_S).all()
        assert (np.diff(quantiles, axis=1) >= 0).all()
        for level in (0.01, 0.5, 0.9, 0.95, 0.999):
            lower, upper = found.interval_s(level)
            assert ((lower <= found.median_s()) & (found.median_s() <= upper)).all()
        limited = ~np.isnan(asked.limit_s)
        timeout = found.timeout_probability()
        assert np.array_equal(np.isnan(timeout), ~limited)
        timeout, limit_s = timeout[limited], asked.limit_s[limited]
        assert ((timeout >= 0) & (timeout <= 1)).all()
        assert np.array_equal(found.median_s()[limited] >= limit_s, timeout > 0.5)
        for place, level in enumerate(LEVELS):
            if level >= 0.5:
                within = quantiles[limited, place] < limit_s
                assert np.array_equal(within, timeout <= 1 - level)
        for confidence in (0.5, 0.9, 0.95):
            reached = found.quantile_s(confidence)
            asked_for = recommended_limit_s(reached, 60.0)
            assert (asked_for > reached).all()
            assert (asked_for - 60 <= reached).all()
            assert (asked_for % 60 == 0).all()
        if found.elapsed_s is not None:
            running = ~np.isnan(found.elapsed_s)
            assert (quantiles[running] > found.elapsed_s[running, None]).all()
            assert (found.remaining_s() > 0).all()
        elif enforced:
            assert (quantiles[limited] <= limit_s[:, None]).all()


@given(some_jobs, st.booleans())
def test_views_never_contradict_each_other(asked: Asked, enforced: bool) -> None:
    _check_laws(asked, enforced=enforced)


@pytest.mark.parametrize("enforced", [False, True])
def test_views_of_100_000_random_jobs_never_contradict_each_other(enforced: bool) -> None:
    _check_laws(random_jobs(int(enforced), MANY_JOBS), enforced=enforced)


@given(some_jobs, st.booleans())
def test_a_job_alone_is_answered_as_in_a_batch(asked: Asked, enforced: bool) -> None:
    together = _kinds(asked, enforced=enforced)
    outcome_s = np.nan_to_num(asked.elapsed_s, nan=60.0)
    uniform = np.full(len(outcome_s), 0.3)
    for row in range(len(asked.limit_s)):
        one = slice(row, row + 1)
        for batch, alone in zip(together, _kinds(asked.rows(one), enforced=enforced), strict=True):
            assert alone.points_s.tobytes() == batch.points_s[one].tobytes()
            assert alone.cumulative.tobytes() == batch.cumulative[one].tobytes()
            assert (alone.quantiles_s(LEVELS) == batch.quantiles_s(LEVELS)[one]).all()
            assert np.array_equal(
                alone.timeout_probability(), batch.timeout_probability()[one], equal_nan=True
            )
            pits = batch.pit(outcome_s, uniform)[one]
            assert np.array_equal(alone.pit(outcome_s[one], uniform[one]), pits)


@given(some_jobs)
def test_the_order_of_the_points_does_not_matter(asked: Asked) -> None:
    turned = Asked(
        asked.support_s[:, ::-1],
        asked.weights[:, ::-1],
        asked.limit_s,
        asked.maps,
        asked.which,
        asked.elapsed_s,
    )
    there, back = asked.distribution(), turned.distribution()
    assert there.points_s.tobytes() == back.points_s.tobytes()
    assert there.cumulative.tobytes() == back.cumulative.tobytes()


@given(some_jobs)
def test_rows_are_the_distributions_of_these_jobs(asked: Asked) -> None:
    whole = given_elapsed(asked.distribution(), asked.elapsed_s)
    some = whole[np.arange(0, len(whole), 2)]
    assert len(some) == (len(whole) + 1) // 2
    assert np.array_equal(some.remaining_s(), whole.remaining_s()[::2])


def test_quantile_is_the_least_point_whose_share_reaches_the_level() -> None:
    found = _of([30, 10, 20, 20], [0.25, 0.25, 0.25, 0.25], np.nan)
    assert [found.quantile_s(level)[0] for level in (0.2, 0.25, 0.26, 0.75, 0.76)] == [
        10,
        10,
        20,
        20,
        30,
    ]


def test_timeout_is_the_mass_at_and_above_the_limit() -> None:
    assert _of([10, 20, 30], [0.5, 0.25, 0.25], 20).timeout_probability()[0] == 0.5
    assert _of([10, 20, 30], [0.5, 0.25, 0.25], 10).timeout_probability()[0] == 1
    assert _of([10, 20, 30], [0.5, 0.25, 0.25], 31).timeout_probability()[0] == 0
    assert np.isnan(_of([10, 20, 30], [0.5, 0.25, 0.25], np.nan).timeout_probability()[0])


def test_a_limit_that_float32_cannot_hold_reads_as_it_is() -> None:
    limit_s = 100_000.3
    found = _of([10, limit_s, 200_000], [0.25, 0.5, 0.25], limit_s)
    assert found.median_s()[0] == limit_s
    assert found.timeout_probability()[0] == 0.75


def test_nothing_reads_above_a_limit_that_is_enforced() -> None:
    found = _of([10, 20, 30], [0.5, 0.25, 0.25], 25, limits_enforced=True)
    assert found.quantile_s(0.9)[0] == 25
    assert found.timeout_probability()[0] == 0.25
    assert found.levels_around(np.array([40.0])) == (0.75, 1.0)


@pytest.mark.parametrize(
    ("reached_s", "granularity_s", "limit_s"),
    [(60, 60, 120), (119, 60, 120), (120, 60, 180), (130, 60, 180), (1, 900, 900)],
)
def test_recommended_limit_is_the_least_multiple_strictly_above(
    reached_s: float, granularity_s: float, limit_s: float
) -> None:
    found = recommended_limit_s(np.array([reached_s]), granularity_s)
    assert found[0] == pytest.approx(limit_s)


@given(st.floats(1, 1e8), st.floats(0.01, 1e5))
def test_recommended_limit_is_above_and_no_step_too_far(
    reached_s: float, granularity_s: float
) -> None:
    limit_s = recommended_limit_s(np.array([reached_s]), granularity_s)[0]
    steps = round(limit_s / granularity_s)
    assert steps * granularity_s == limit_s
    assert (steps - 1) * granularity_s <= reached_s < limit_s
    assert recommended_limit_of_one_s(reached_s, granularity_s, np.inf) == limit_s


def test_recommended_limit_is_absent_where_the_partition_allows_less() -> None:
    reached_s = np.array([130.0, 130.0])
    assert recommended_limit_s(reached_s, 60.0, 180.0).tolist() == [180, 180]
    longest_s = np.array([179.0, np.inf])
    found = recommended_limit_s(reached_s, 60.0, longest_s)
    assert np.isnan(found[0])
    assert found[1] == 180
    assert np.isnan(recommended_limit_of_one_s(130.0, 60.0, 179.0))
    assert recommended_limit_of_one_s(130.0, 60.0, 180.0) == 180


def test_no_runtime_is_below_the_least() -> None:
    found = _of([0.0, 0.25, 3], [0.25, 0.5, 0.25], np.nan)
    assert found.median_s()[0] == LEAST_RUNTIME_S
    assert found.levels_around(np.array([0.5])) == (0.0, 0.75)


@pytest.mark.parametrize("level", [0.0, 1.0, -0.1, np.nan])
def test_levels_lie_between_0_and_1(level: float) -> None:
    found = _of([1, 2], [0.5, 0.5], np.nan)
    with pytest.raises(ValueError, match="between 0 and 1"):
        found.quantile_s(level)
    with pytest.raises(ValueError, match="between 0 and 1"):
        found.interval_s(level)


def test_a_granularity_is_above_zero() -> None:
    with pytest.raises(ValueError, match="granularity"):
        recommended_limit_s(np.array([1.0]), 0.0)


@pytest.mark.parametrize(
    ("support_s", "weights"),
    [([1, np.nan], [0.5, 0.5]), ([1, np.inf], [0.5, 0.5]), ([1, 2], [0, 0]), ([1, 2], [np.nan, 1])],
)
def test_what_is_not_finite_is_refused(support_s: list[float], weights: list[float]) -> None:
    with pytest.raises(ValueError, match="finite"):
        _of(support_s, weights, np.nan)


def test_pit_of_outcomes_drawn_from_the_distribution_is_uniform() -> None:
    jobs = 20_000
    rng = np.random.default_rng(0)
    asked = random_jobs(2, jobs)
    found = asked.distribution()
    drawn = found.points_s[
        np.arange(jobs), (found.cumulative >= rng.random((jobs, 1))).argmax(axis=1)
    ]
    pits = np.sort(found.pit(drawn.astype(np.float64), rng.random(jobs)))
    assert np.abs(pits - (np.arange(jobs) + 0.5) / jobs).max() < 1.6 / jobs**0.5


@given(some_jobs, st.integers(0, 2**32))
def test_crps_is_the_integral_it_is_defined_by(asked: Asked, seed: int) -> None:
    found = asked.distribution()
    row = seed % len(found)
    outcome_s = float(np.float32(np.exp(np.random.default_rng(seed).uniform(0, 15))))
    edges = np.unique([*found.points_s[row].astype(np.float64), outcome_s])
    share = [found.cumulative[row][found.points_s[row] <= edge].max(initial=0) for edge in edges]
    score = ((np.array(share) - (edges >= outcome_s)) ** 2)[:-1] @ np.diff(edges)
    whole = found.crps_s(np.full(len(found), outcome_s))[row]
    assert whole == pytest.approx(score, rel=1e-9, abs=1e-6)


def test_crps_of_one_point_is_the_absolute_error() -> None:
    found = _of([100], [1], np.nan)
    assert found.crps_s(np.array([64.0]))[0] == 36
    assert found.crps_s(np.array([144.0]))[0] == 44
    assert found.crps_sqrt_s(np.array([64.0]))[0] == 2


def test_jobs_without_a_map_stay_as_they_are() -> None:
    asked = random_jobs(3, 12)
    raw = asked.distribution(recalibrated=False)
    none = LevelMaps(np.empty((0, len(KNOTS))), expanded=False)
    assert raw.recalibrated(none, np.full(12, -1)).cumulative.tobytes() == raw.cumulative.tobytes()
    some = np.where(np.arange(12) % 3, asked.which, -1)
    mapped = raw.recalibrated(asked.maps, some).cumulative
    every = raw.recalibrated(asked.maps, asked.which).cumulative
    assert np.array_equal(mapped, np.where(some[:, np.newaxis] < 0, raw.cumulative, every))
