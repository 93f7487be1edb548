"""A job on which the model fails costs its neighbours nothing but time."""

import asyncio

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rt_predictor.errors import DeadlineExceededError, OverloadedError, RTPredictorError
from rt_predictor.jobs.schema import REQUEST_SCHEMA, Jobs
from rt_predictor.serving.isolation import MAX_FAILURES, Failed, Scored, predict_isolated
from rt_predictor.serving.predictions import Predictions
from tests.serving.fakes import POISON, FakePredictor


class _Scorer:
    """A predictor that is awaited."""

    def __init__(self) -> None:
        self.predictor = FakePredictor()

    async def predict(self, jobs: Jobs) -> Predictions:
        return self.predictor.predict(jobs)


def _jobs(names: list[str]) -> pl.DataFrame:
    rows = [
        {"submit_time": 0.0, "time_req": 2.0 * place + 2, "job_name": name}
        for place, name in enumerate(names)
    ]
    return pl.from_dicts(rows, schema=REQUEST_SCHEMA)


@given(st.lists(st.sampled_from(["good", "good", "good", POISON]), max_size=24))
def test_only_the_jobs_that_make_the_model_fail_go_unanswered(names: list[str]) -> None:
    parts = asyncio.run(predict_isolated(_Scorer().predict, _jobs(names)))
    covered = [row for part in parts for row in part.rows]
    assert covered == list(range(len(names)))
    for part in parts:
        if isinstance(part, Scored):
            assert part.predictions.runtime_s.tolist() == [row + 1 for row in part.rows]
        else:
            assert [names[row] for row in part.rows] == [POISON]


async def test_good_jobs_are_one_run() -> None:
    scorer = _Scorer()
    await predict_isolated(scorer.predict, _jobs(["good"] * 100))
    assert len(scorer.predictor.asked) == 1


async def test_a_model_that_always_fails_is_given_up() -> None:
    scorer = _Scorer()
    parts = await predict_isolated(scorer.predict, _jobs([POISON] * 10_000))
    assert all(isinstance(part, Failed) for part in parts)
    assert [row for part in parts for row in part.rows] == list(range(10_000))
    assert len(scorer.predictor.asked) < MAX_FAILURES + 20


@pytest.mark.parametrize("error", [OverloadedError(1.0), DeadlineExceededError()])
async def test_an_error_of_the_call_is_not_blamed_on_the_jobs(error: RTPredictorError) -> None:
    asked: list[int] = []

    class _Full:
        async def predict(self, jobs: Jobs) -> Predictions:
            asked.append(len(jobs))
            raise error

    with pytest.raises(type(error)):
        await predict_isolated(_Full().predict, _jobs(["good"] * 3))
    assert asked == [3]
