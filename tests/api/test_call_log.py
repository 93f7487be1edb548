"""What the log says of calls: their ids, why they failed, and how seldom."""

from collections.abc import Iterator

import grpc
import polars as pl
import pytest
from loguru import logger

from rt_predictor.api.v1 import rt_predictor_pb2 as pb
from tests.api.harness import job, running
from tests.api.test_arrow import stream_of
from tests.predict.fakes import POISON, FakePredictor


class Lines:
    """Messages of the log and their fields."""

    def __init__(self) -> None:
        self.found: list[tuple[str, dict[str, object]]] = []

    def add(self, message) -> None:
        self.found.append((message.record["message"], message.record["extra"]))

    def of(self, wanted: str) -> list[dict[str, object]]:
        return [fields for message, fields in self.found if message == wanted]


@pytest.fixture
def lines() -> Iterator[Lines]:
    lines = Lines()
    sink = logger.add(lines.add, level="DEBUG")
    yield lines
    logger.remove(sink)


async def _refused(call) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return raised.value


async def test_an_internal_error_is_logged_with_the_clients_id(lines: Lines) -> None:
    async with running(FakePredictor()) as service:
        await _refused(service.stub.Predict(job(job_name=POISON, request_id="mine")))
    (line,) = lines.of("internal error")
    assert (line["method"], line["request_id"]) == ("Predict", "mine")


@pytest.mark.parametrize("jobs", [3, 200])
async def test_a_job_that_fails_in_a_batch_is_logged_with_the_batchs_id(
    lines: Lines, jobs: int
) -> None:
    async with running(FakePredictor()) as service:
        batch = [job(time_req=60.0 + n) for n in range(jobs - 1)] + [job(job_name=POISON)]
        await service.stub.PredictBatch(pb.PredictBatchRequest(jobs=batch, batch_id="b 7"))
    (line,) = lines.of("internal error")
    assert (line["method"], line["request_id"], line["jobs"]) == ("PredictBatch", "b 7", 1)


async def test_streams_are_named_by_their_metadata(lines: Lines) -> None:
    metadata = (("x-request-id", "from-metadata"),)
    async with running(FakePredictor()) as service:
        stream = service.stub.PredictStream(metadata=metadata)
        await stream.write(job(job_name=POISON))
        assert (await stream.read()).error.code == 13
        await stream.done_writing()
        arrow = service.stub.PredictArrow(metadata=metadata)
        table = stream_of(pl.DataFrame({"job_name": [POISON]}))
        await arrow.write(pb.PredictArrowRequest(jobs=table, partial=True))
        assert (await arrow.read()).failed == 1
        await arrow.done_writing()
    found = [(line["method"], line["request_id"]) for line in lines.of("internal error")]
    assert found == [("PredictStream", "from-metadata"), ("PredictArrow", "from-metadata")]


async def test_a_call_without_an_id_gets_one_that_the_client_is_told(lines: Lines) -> None:
    async with running(FakePredictor()) as service:
        error = await _refused(service.stub.Predict(job(job_name=POISON)))
    (line,) = lines.of("internal error")
    told = dict(error.trailing_metadata())["x-request-id"]
    assert told == line["request_id"]
    assert len(told) == 16


@pytest.mark.parametrize("sent", ["a\nb\x00\x1b[31m", "é\u202e", "x" * 256])
async def test_ids_are_bounded_and_one_line_in_ascii(lines: Lines, sent: str) -> None:
    async with running(FakePredictor()) as service:
        error = await _refused(service.stub.Predict(job(job_name=POISON, request_id=sent)))
    (line,) = lines.of("internal error")
    shown = str(line["request_id"])
    assert shown.isascii()
    assert shown.isprintable()
    assert len(shown) < 140
    assert dict(error.trailing_metadata())["x-request-id"] == shown


async def test_a_refused_call_is_said_at_debug_with_the_rule_and_not_the_value(
    lines: Lines,
) -> None:
    async with running(FakePredictor()) as service:
        await _refused(service.stub.Predict(job(user="marker" * 100, request_id="r")))
    (line,) = lines.of("call refused")
    assert line["user"]  # left out where it is written, unless a setting allows it
    rest = {name: value for name, value in line.items() if name != "user"}
    assert rest == {
        "method": "Predict",
        "request_id": "r",
        "status": "INVALID_ARGUMENT",
        "reason": "InvalidJobError",
        "field": "user",
        "rule": "must be text of at most 256 characters",
    }


async def test_slow_calls_are_said_once_a_second(lines: Lines) -> None:
    async with running(FakePredictor(), slow_call_s=1e-9) as service:
        for _ in range(20):
            await service.stub.Predict(job(request_id="slow"))
        await service.stub.GetModelInfo(pb.GetModelInfoRequest())
    first, *others = lines.of("slow call")
    assert (first["request_id"], first["status"], first["not_logged"]) == ("slow", "OK", 0)
    assert len(others) < 10
    assert {line["method"] for line in lines.of("slow call")} == {"Predict"}


async def test_calls_that_go_well_leave_no_line(lines: Lines) -> None:
    async with running(FakePredictor(), slow_call_s=0.0) as service:
        lines.found.clear()
        for _ in range(5):
            await service.stub.Predict(job())
        assert lines.found == []
