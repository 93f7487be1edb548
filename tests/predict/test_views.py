"""What is read of each distribution is what its job asks for."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rt_predictor.jobs.asked import frame_of
from rt_predictor.jobs.schema import REQUEST_SCHEMA
from rt_predictor.model.distribution import Distribution
from rt_predictor.predict.views import Views, read, views_of

USUAL = Views(0.9, 0.95)
questions = st.lists(
    st.fixed_dictionaries(
        {
            "confidence_level": st.none() | st.sampled_from([0.2, 0.5, 0.9, 0.99]),
            "quantiles": st.none() | st.lists(st.sampled_from([0.1, 0.5, 0.75]), max_size=3),
        }
    ),
    max_size=12,
)


def rows_of(asked: list[dict[str, object]]) -> list[dict[str, object]]:
    return [{**dict.fromkeys(REQUEST_SCHEMA), **question} for question in asked]


def made_up(jobs: int) -> Distribution:
    rng = np.random.default_rng(0)
    support, weights = rng.lognormal(5, 1, (jobs, 9)), rng.random((jobs, 9))
    return Distribution.of(
        support.astype(np.float32), weights.astype(np.float32), np.full(jobs, 100.0)
    )


@given(questions)
def test_each_row_is_read_as_it_would_be_alone(asked: list[dict[str, object]]) -> None:
    told = made_up(len(asked))
    found = read(told, *views_of(rows_of(asked), USUAL))
    for row, question in enumerate(asked):
        level, quantiles = question["confidence_level"], question["quantiles"] or []
        confidence = level if level and level >= 0.5 else 0.95
        lower_s, upper_s = told.interval_s(level or 0.9)
        assert found.median[row] == told.median_s()[row]
        assert (found.lower[row], found.upper[row]) == (lower_s[row], upper_s[row])
        assert found.exceeded[row] == told.quantile_s(confidence)[row]
        expected = [told.quantile_s(wanted)[row] for wanted in quantiles]
        assert found.quantiles[row, : len(quantiles)].tolist() == expected
        assert np.isnan(found.quantiles[row, len(quantiles) :]).all()


@given(questions)
def test_rows_and_frames_ask_for_the_same(asked: list[dict[str, object]]) -> None:
    views, view_of = views_of(rows_of(asked), USUAL)
    of_frame, place = views_of(frame_of(rows_of(asked)), USUAL)
    assert [views[n] for n in view_of] == [of_frame[n] for n in place]


def test_jobs_that_ask_for_nothing_share_the_usual_views() -> None:
    jobs = pl.DataFrame({"submit_time": [1.0, 2.0]})
    views, view_of = views_of(jobs, USUAL)
    assert (views, view_of.tolist()) == ((USUAL,), [0, 0])


@pytest.mark.parametrize(("level", "confidence"), [(0.2, 0.95), (0.5, 0.5), (0.8, 0.8)])
def test_a_level_is_that_of_the_limit_too_where_that_makes_sense(
    level: float, confidence: float
) -> None:
    assert USUAL.asked(level, None) == Views(level, confidence)
