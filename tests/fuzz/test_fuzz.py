"""Hostile bytes against the real service: no crash, nothing INTERNAL, and others are answered.

`make fuzz` sends many more, other ones each time (FUZZ_INPUTS).
"""

import asyncio
import io
import math
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import polars as pl
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from loguru import logger

from rt_predictor.api.middleware import SERVICE
from rt_predictor.api.v1 import rt_predictor_pb2 as pb
from rt_predictor.history.history import History
from rt_predictor.predict.predictor import Predictor
from rt_predictor.settings import HistorySettings, Settings
from tests.api.harness import Running, job, running
from tests.fuzz.inputs import STREAMS, UNARY, Input, inputs
from tests.waiting import PATIENCE_S

BUNDLE = Path(__file__).resolve().parents[2] / "artifacts" / "production"
USUAL_INPUTS = 3000
INPUTS = int(os.environ.get("FUZZ_INPUTS", USUAL_INPUTS))
AT_ONCE = 20
EXPECTED = {"OK", "INVALID_ARGUMENT", "RESOURCE_EXHAUSTED", "ended while sending"}
"""Ends of a call that are the client's doing."""
_CLIENTS_OWN = "Internal error from Core"
"""What gRPC's client says where a call ended while it was about to send one more message."""
_INTERNAL = grpc.StatusCode.INTERNAL.value[0]


@dataclass
class Fuzzed:
    """The service, and how calls of it have ended."""

    runner: asyncio.Runner
    service: Running
    ends: Counter[tuple[str, str]] = field(default_factory=Counter)

    def send(self, calls: list[Input]) -> None:
        """Sends them together; raises AssertionError for an end that is the service's fault."""
        self.runner.run(self._send(calls))

    async def _send(self, calls: list[Input]) -> None:
        await asyncio.gather(*(self._call(one) for one in calls))
        answer = await self.service.stub.Predict(job())
        assert 0 < answer.predicted_runtime < math.inf
        assert self.service.metric("internal_errors_total") == 0
        for method in (*UNARY, *STREAMS):
            assert not self.service.metric("requests_total", method=method, status="INTERNAL")

    async def _call(self, one: Input) -> None:
        path, channel = f"/{SERVICE}/{one.method}", self.service.channel
        responses: list[bytes] = []
        end = "OK"
        try:
            if one.method in UNARY:
                responses.append(await channel.unary_unary(path)(*one.messages, timeout=PATIENCE_S))
            else:
                call = channel.stream_stream(path)(iter(one.messages), timeout=PATIENCE_S)
                responses += [response async for response in call]
        except grpc.aio.AioRpcError as error:
            own = error.details() == _CLIENTS_OWN
            end = "ended while sending" if own else error.code().name
        self.ends[one.method, end] += 1
        assert end in EXPECTED, f"{end}: {one}"
        for response in responses:
            assert _INTERNAL not in _item_codes(one.method, response), f"{one}"


def _item_codes(method: str, response: bytes) -> set[int]:
    """Codes of the errors of single jobs in an answer."""
    match method:
        case "Predict" | "PredictStream":
            return {pb.PredictResponse.FromString(response).error.code}
        case "PredictBatch":
            batch = pb.PredictBatchResponse.FromString(response)
            return {one.error.code for one in batch.predictions}
        case "RecordOutcomes":
            return {one.code for one in pb.RecordOutcomesResponse.FromString(response).errors}
        case "PredictArrow":
            table = pb.PredictArrowResponse.FromString(response).predictions
            return set(pl.read_ipc_stream(io.BytesIO(table))["error_code"].drop_nulls().to_list())
        case _:
            return set()


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuzzed]:
    log = tmp_path_factory.mktemp("history") / "history.sqlite"
    history = History(HistorySettings(path=log))
    chosen = Settings().with_overrides({"model.path": BUNDLE})
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()

        async def start() -> Running:
            predictor = Predictor.load(chosen, history)
            return await stack.enter_async_context(
                running(predictor, history, max_batch_jobs=100, max_message_mb=1)
            )

        logger.disable("rt_predictor.api.call_log")  # a line for each call that is refused
        yield Fuzzed(runner, runner.run(start()))
        logger.enable("rt_predictor.api.call_log")
        runner.run(stack.aclose())


@given(st.lists(inputs, min_size=AT_ONCE, max_size=AT_ONCE))
@settings(
    max_examples=-(-INPUTS // AT_ONCE),
    deadline=None,
    database=None,
    derandomize=INPUTS == USUAL_INPUTS,
    phases=(Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
)
def _fuzz(fuzzed: Fuzzed, calls: list[Input]) -> None:
    fuzzed.send(calls)


def test_no_bytes_break_the_service(fuzzed: Fuzzed) -> None:
    _fuzz(fuzzed)
    total = sum(fuzzed.ends.values())
    print(f"{total:,} calls:", *(f"{m} {end} {n:,}" for (m, end), n in sorted(fuzzed.ends.items())))
    assert total >= INPUTS
    for method in (*UNARY, *STREAMS):
        assert fuzzed.ends[method, "OK"], f"no input of {method} gets past the first check"
        if method not in ("GetModelInfo", "HealthCheck"):
            assert fuzzed.ends[method, "INVALID_ARGUMENT"], f"none of {method} is refused"
