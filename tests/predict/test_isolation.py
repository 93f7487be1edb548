"""A job on which the model fails costs its neighbours nothing but time."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rt_predictor.errors import DeadlineExceededError, OverloadedError, RTPredictorError
from rt_predictor.jobs.schema import REQUEST_SCHEMA, Jobs
from rt_predictor.predict.dispatch import MAX_FAILURES, Failed, Scored, predict_isolated
from rt_predictor.predict.predictions import Predictions
from tests.predict.fakes import POISON, FakePredictor


def _jobs(names: list[str]) -> pl.DataFrame:
    rows = [
        {"submit_time": 0.0, "time_req": 2.0 * place + 2, "job_name": name}
        for place, name in enumerate(names)
    ]
    return pl.from_dicts(rows, schema=REQUEST_SCHEMA)


@given(st.lists(st.sampled_from(["good", "good", "good", POISON]), max_size=24))
def test_only_the_jobs_that_make_the_model_fail_go_unanswered(names: list[str]) -> None:
    parts = predict_isolated(FakePredictor().predict, _jobs(names))
    covered = [row for part in parts for row in part.rows]
    assert covered == list(range(len(names)))
    for part in parts:
        if isinstance(part, Scored):
            assert part.predictions.runtime_s.tolist() == [row + 1 for row in part.rows]
        else:
            assert [names[row] for row in part.rows] == [POISON]


def test_good_jobs_are_one_run() -> None:
    predictor = FakePredictor()
    predict_isolated(predictor.predict, _jobs(["good"] * 100))
    assert len(predictor.asked) == 1


def test_no_jobs_are_no_run() -> None:
    predictor = FakePredictor()
    assert not predict_isolated(predictor.predict, [])
    assert not predictor.asked


def test_a_model_that_always_fails_is_given_up() -> None:
    predictor = FakePredictor()
    parts = predict_isolated(predictor.predict, _jobs([POISON] * 10_000))
    assert all(isinstance(part, Failed) for part in parts)
    assert [row for part in parts for row in part.rows] == list(range(10_000))
    assert len(predictor.asked) < MAX_FAILURES + 20


@pytest.mark.parametrize("error", [OverloadedError(1.0), DeadlineExceededError()])
def test_an_error_of_the_call_is_not_blamed_on_the_jobs(error: RTPredictorError) -> None:
    asked: list[int] = []

    def full(jobs: Jobs) -> Predictions:
        asked.append(len(jobs))
        raise error

    with pytest.raises(type(error)):
        predict_isolated(full, _jobs(["good"] * 3))
    assert asked == [3]
