"""No label holds what a client made up, and the number of series does not grow with clients."""

import asyncio

import grpc
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest

from rt_predictor.api.middleware import SERVICE
from rt_predictor.api.v1 import rt_predictor_pb2 as pb
from rt_predictor.history.history import History
from rt_predictor.observability.metrics import METHODS
from rt_predictor.settings import HistorySettings
from tests.api.harness import job, running
from tests.predict.fakes import POISON, FakePredictor
from tests.waiting import PATIENCE_S

_TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=300)
_JOBS = st.builds(
    job,
    partition=_TEXT,
    qos=_TEXT,
    user=_TEXT,
    account=_TEXT,
    job_name=st.one_of(_TEXT, st.just(POISON)),
    request_id=_TEXT,
    nodes_req=st.one_of(st.integers(0, 2**31 - 1), st.none()),
    time_req=st.one_of(st.floats(), st.none()),
    confidence_level=st.one_of(st.floats(), st.none(), st.just(0.5)),
)
_PATHS = st.text(st.characters(codec="ascii", categories=("L", "N", "P")), min_size=1, max_size=80)
_METHODS = st.one_of(
    _PATHS,
    _PATHS.map(lambda text: f"{SERVICE}/{text}"),
    st.sampled_from([f"{SERVICE}/{method}" for method in METHODS]),
)


def _series(registry: CollectorRegistry) -> set[str]:
    """Names and labels of all series on the page."""
    lines = generate_latest(registry).decode().splitlines()
    return {line.rsplit(" ", 1)[0] for line in lines if not line.startswith("#")}


async def _finished(call) -> None:
    try:
        await asyncio.wait_for(call, PATIENCE_S)
    except grpc.aio.AioRpcError:
        return


@settings(max_examples=25, deadline=None)
@given(
    jobs=st.lists(_JOBS, min_size=1, max_size=4),
    methods=st.lists(_METHODS, max_size=4),
    body=st.binary(max_size=50),
    outcomes=st.lists(st.builds(pb.JobOutcome, job=_JOBS, job_id=_TEXT, state=_TEXT), max_size=3),
)
def test_whatever_clients_send_no_series_is_added(
    tmp_path_factory, jobs, methods, body, outcomes
) -> None:
    async def ask() -> None:
        folder = tmp_path_factory.mktemp("history")
        history = History(HistorySettings(path=folder / "history.sqlite"))
        async with running(FakePredictor(), history) as service:
            before = _series(service.registry)
            for one in jobs:
                await _finished(service.stub.Predict(one, metadata=(("x-request-id", "made-up"),)))
            await _finished(service.stub.PredictBatch(pb.PredictBatchRequest(jobs=jobs)))
            for method in methods:
                raw = service.channel.unary_unary(f"/{method}", request_serializer=bytes)
                await _finished(raw(body, timeout=PATIENCE_S))
            call = service.stub.RecordOutcomes()
            await call.write(pb.RecordOutcomesRequest(outcomes=outcomes))
            await call.done_writing()
            await _finished(call)
            counted = sum(
                service.metric("requests_total", method="Predict", status=status)
                for status in ("OK", "INVALID_ARGUMENT", "INTERNAL")
            )
            assert counted >= len(jobs)  # the calls did reach what counts them
            added = _series(service.registry) - before
        assert added == set()

    asyncio.run(ask())
