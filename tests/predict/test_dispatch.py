"""Small work at once, large work on a thread."""

import asyncio
import threading

import polars as pl
import pytest
from prometheus_client import CollectorRegistry

from rt_predictor.jobs.schema import FEW_JOBS, REQUEST_SCHEMA, Jobs
from rt_predictor.observability.metrics import Metrics
from rt_predictor.predict.dispatch import Dispatcher, Failed, WorkPool
from rt_predictor.predict.predictions import Predictions
from tests.predict.fakes import POISON, FakePredictor


def _jobs(count: int, **fields: object) -> pl.DataFrame:
    rows = [{"submit_time": 0.0, "time_req": 60.0, **fields}] * count
    return pl.from_dicts(rows, schema=REQUEST_SCHEMA)


@pytest.fixture
def pool():
    pool = WorkPool(1)
    yield pool
    pool.close()


async def test_small_work_runs_on_the_event_loop_and_large_work_elsewhere(pool: WorkPool) -> None:
    here = threading.get_ident()
    assert await pool.run(FEW_JOBS, threading.get_ident) == here
    assert await pool.run(FEW_JOBS + 1, threading.get_ident) != here


async def test_large_work_that_waits_for_a_thread_can_be_cancelled(pool: WorkPool) -> None:
    done: list[str] = []
    gate = threading.Event()
    first = asyncio.create_task(pool.run(FEW_JOBS + 1, gate.wait))
    second = asyncio.create_task(pool.run(FEW_JOBS + 1, done.append, "second"))
    await asyncio.sleep(0)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    gate.set()
    await first
    await pool.run(FEW_JOBS + 1, done.append, "third")
    assert done == ["third"]


@pytest.mark.parametrize("count", [1, FEW_JOBS + 1])
async def test_predictions_are_counted(pool: WorkPool, count: int) -> None:
    registry = CollectorRegistry()
    dispatcher = Dispatcher(FakePredictor(), pool, Metrics(registry))
    (part,) = await dispatcher.predict(_jobs(count))
    assert len(part.rows) == dispatcher.predicted == count
    value = registry.get_sample_value
    assert value("rt_predictor_predictions_total") == count
    assert value("rt_predictor_batch_jobs_sum") == count
    assert value("rt_predictor_prediction_duration_seconds_count") == 1
    assert value("rt_predictor_jobs_in_flight") == 0
    assert value("rt_predictor_prediction_flags_total", {"flag": "cold_start_user"}) == count
    assert value("rt_predictor_prediction_flags_total", {"flag": "no_time_limit"}) == 0


@pytest.mark.parametrize("method", ["predict", "predict_meanwhile"])
async def test_the_loop_is_free_meanwhile_only_if_asked_for(pool: WorkPool, method: str) -> None:
    class _Where(FakePredictor):
        thread = 0

        def predict(self, jobs: Jobs) -> Predictions:
            self.thread = threading.get_ident()
            return super().predict(jobs)

    predictor = _Where()
    dispatcher = Dispatcher(predictor, pool, Metrics(CollectorRegistry()))
    await getattr(dispatcher, method)(_jobs(1))
    assert (predictor.thread == threading.get_ident()) is (method == "predict")
    assert dispatcher.predicted == 1


async def test_it_knows_whether_the_last_run_failed(pool: WorkPool) -> None:
    registry = CollectorRegistry()
    dispatcher = Dispatcher(FakePredictor(), pool, Metrics(registry))
    assert not dispatcher.failing
    (part,) = await dispatcher.predict(_jobs(1, job_name=POISON))
    assert isinstance(part, Failed)
    assert dispatcher.failing
    assert dispatcher.predicted == 0
    assert registry.get_sample_value("rt_predictor_jobs_in_flight") == 0
    await dispatcher.predict(_jobs(1))
    assert not dispatcher.failing
