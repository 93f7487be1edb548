"""All numbers of an answer are read from one distribution: they cannot contradict each other."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from rt_predictor.model.distribution import interval_levels
from rt_predictor.predict.predictions import Predictions
from rt_predictor.predict.predictor import Predictor
from tests.predict.plain import a_log, events_of, knowing, questions

JOBS = 100_000
GRANULARITY_S = 300.0
LOG = a_log(2000)
LEVELS = (0.01, *interval_levels(0.9), *interval_levels(0.5), 0.5, 0.9, 0.999)
ASKED = questions(JOBS, LOG, seed=2).with_columns(
    confidence_level=pl.lit(None, pl.Float64), quantiles=pl.lit(sorted(LEVELS))
)


@pytest.fixture(scope="module", params=[False, True], ids=["free", "limits_enforced"])
def predictor(request: pytest.FixtureRequest, plain_bundle: Path) -> Predictor:
    chosen = {"limits_enforced": request.param, "limit_granularity_s": GRANULARITY_S}
    return knowing(plain_bundle, events_of(LOG), **chosen)


@pytest.fixture(scope="module")
def found(predictor: Predictor) -> Predictions:
    return predictor.predict(ASKED)


def column(name: str) -> np.ndarray:
    return ASKED[name].fill_null(np.nan).to_numpy()


def at(found: Predictions, level: float) -> np.ndarray:
    """[n] the quantiles of a level."""
    return found.quantiles_s[:, sorted(LEVELS).index(level)]


def test_every_number_is_finite_and_above_zero(found: Predictions) -> None:
    for runtimes_s in (found.lower_s, found.runtime_s, found.upper_s, found.quantiles_s):
        assert np.isfinite(runtimes_s).all()
        assert (runtimes_s >= 1).all(), "no job is over within a second"
    assert (np.isnan(found.recommended_time_req_s) | (found.recommended_time_req_s > 0)).all()
    limited = ~np.isnan(column("time_req"))
    assert np.isnan(found.timeout_probability[~limited]).all()
    chance = found.timeout_probability[limited]
    assert ((chance >= 0) & (chance <= 1)).all()


def test_a_higher_level_is_never_a_shorter_time(found: Predictions) -> None:
    assert (np.diff(found.quantiles_s, axis=1) >= 0).all()


def test_median_and_interval_are_quantiles(found: Predictions) -> None:
    lower, upper = interval_levels(0.9)
    np.testing.assert_array_equal(found.runtime_s, at(found, 0.5))
    np.testing.assert_array_equal(found.lower_s, at(found, lower))
    np.testing.assert_array_equal(found.upper_s, at(found, upper))


@pytest.mark.parametrize("level", [0.5, 0.8, 0.99])
def test_other_levels_of_intervals_are_nested(
    level: float, predictor: Predictor, found: Predictions
) -> None:
    some = slice(0, 5000)
    asked = ASKED[some].with_columns(confidence_level=pl.lit(level))
    other = predictor.predict(asked)
    np.testing.assert_array_equal(other.runtime_s, found.runtime_s[some])
    np.testing.assert_array_equal(other.timeout_probability, found.timeout_probability[some])
    inner, outer = (other, found.part(0, 5000)) if level < 0.9 else (found.part(0, 5000), other)
    assert (outer.lower_s <= inner.lower_s).all()
    assert (inner.upper_s <= outer.upper_s).all()


@pytest.mark.parametrize("level", [0.5, 0.9])
def test_a_quantile_lies_below_the_limit_exactly_where_a_timeout_is_so_unlikely(
    level: float, found: Predictions
) -> None:
    limit_s, chance = column("time_req"), found.timeout_probability
    limited = limit_s >= 1
    below = at(found, level) < limit_s
    unlikely = 1 - chance >= level
    np.testing.assert_array_equal(below[limited], unlikely[limited])
    assert 0.01 < below[limited].mean() < 0.99, "the law is tried on both sides"


def test_the_recommended_limit_is_the_least_multiple_above_its_quantile(
    found: Predictions,
) -> None:
    recommended_s, reached_s = found.recommended_time_req_s, at(found, 0.9)
    enough = ~(reached_s >= column("time_req"))  # true without a limit
    np.testing.assert_array_equal(np.isfinite(recommended_s), enough)
    recommended_s, reached_s = recommended_s[enough], reached_s[enough]
    assert (np.mod(recommended_s, GRANULARITY_S) == 0).all()
    assert (recommended_s > reached_s).all()
    assert (recommended_s - GRANULARITY_S <= reached_s).all()


def test_a_running_job_ends_after_what_has_elapsed(found: Predictions) -> None:
    elapsed_s = column("elapsed")
    runs = ~np.isnan(elapsed_s)
    assert np.isnan(found.remaining_s[~runs]).all()
    np.testing.assert_array_equal(found.remaining_s[runs], (found.runtime_s - elapsed_s)[runs])
    past_limit = runs & (elapsed_s >= column("time_req"))
    assert (found.timeout_probability[past_limit] == 1).all()
    assert past_limit.sum() > 100


def test_no_job_runs_past_a_limit_that_is_enforced(
    predictor: Predictor, found: Predictions
) -> None:
    limit_s, elapsed_s = column("time_req"), np.nan_to_num(column("elapsed"))
    reached = (limit_s > elapsed_s) & (limit_s >= 1)
    longest_s = found.quantiles_s.max(axis=1)
    if predictor._history.fold.learned.model.limits_enforced:  # type: ignore[attr-defined]
        assert (longest_s[reached] <= limit_s[reached]).all()
    else:
        assert (longest_s[reached] > limit_s[reached]).any()
