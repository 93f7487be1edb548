"""One bad job never harms another: what is answered for a job does not depend on its neighbours."""

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rt_predictor.api.servicer import RuntimePredictorServicer
from rt_predictor.api.v1 import rt_predictor_pb2 as pb
from rt_predictor.errors import InvalidJobError
from tests.api.harness import job
from tests.predict.fakes import POISON, FakePredictor

_Make = Callable[..., RuntimePredictorServicer]

jobs = st.builds(
    job,
    processors_req=st.sampled_from([1, 64, 0, -3]),
    nodes_req=st.sampled_from([None, 1, 2]),
    time_req=st.sampled_from([None, 60.0, 7200.0, float("nan")]),
    qos=st.sampled_from(["", "normal"]),
    user=st.sampled_from(["", "alice", "x" * 300]),
    job_name=st.sampled_from([None, "run", POISON]),
    partial=st.booleans(),
    request_id=st.sampled_from(["", "a", "b", "y" * 300]),
)


async def _alone(servicer: RuntimePredictorServicer, request: pb.PredictRequest, context):
    """The answer of the unary method; None for a job that it refuses or fails on."""
    try:
        return pb.PredictResponse.FromString(await servicer.Predict(request, context))
    except (InvalidJobError, RuntimeError):
        return None


@given(st.lists(jobs, max_size=12), st.integers(1, 5))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_job_is_answered_as_if_it_were_alone(
    servicer: _Make, context, requests: list[pb.PredictRequest], chunk_jobs: int
) -> None:
    async def compare() -> None:
        made = servicer(FakePredictor(), chunk_jobs=chunk_jobs)
        alone = [await _alone(made, request, context()) for request in requests]
        batch = pb.PredictBatchResponse.FromString(
            await made.PredictBatch(pb.PredictBatchRequest(jobs=requests), context())
        )
        streamed = context(requests)
        await made.PredictStream(None, streamed)
        for answers in (list(batch.predictions), streamed.written):
            assert len(answers) == len(requests)
            for answer, expected in zip(answers, alone, strict=True):
                if expected is None:
                    assert answer.error.code in (3, 13)
                    assert not answer.model_predictions
                else:
                    assert answer == expected
        assert batch.failed == alone.count(None)

    asyncio.run(compare())


async def test_a_model_that_fails_on_every_job_is_not_asked_for_ever(
    servicer: _Make, context
) -> None:
    predictor = FakePredictor()
    request = pb.PredictBatchRequest(jobs=[job(job_name=POISON)] * 500)
    answer = await servicer(predictor).PredictBatch(request, context())
    batch = pb.PredictBatchResponse.FromString(answer)
    assert batch.failed == len(batch.predictions) == 500
    assert {one.error.code for one in batch.predictions} == {13}
    assert len(predictor.asked) < 150


async def test_a_valid_batch_is_one_run_of_the_model(servicer: _Make, context) -> None:
    predictor = FakePredictor()
    request = pb.PredictBatchRequest(jobs=[job(), job(nodes_req=0), job(nodes_req=2)])
    await servicer(predictor).PredictBatch(request, context())
    assert [len(frame) for frame in predictor.asked] == [2]


@pytest.mark.parametrize("method", ["Predict", "PredictBatch"])
async def test_the_model_does_not_run_for_a_caller_whose_deadline_has_passed(
    servicer: _Make, context, method: str
) -> None:
    predictor = FakePredictor()
    request = job() if method == "Predict" else pb.PredictBatchRequest(jobs=[job()])
    with pytest.raises(Exception, match="the deadline passed before the job was scored"):
        await getattr(servicer(predictor), method)(request, context(remaining_s=0.0))
    assert predictor.asked == []
