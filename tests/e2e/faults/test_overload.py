"""More calls than can be answered: the rest is refused clearly, counted, and soon forgotten."""

import asyncio
import re
import urllib.request
from collections import Counter
from pathlib import Path

import grpc

from rt_predictor.api.v1 import rt_predictor_pb2 as pb
from rt_predictor.api.v1 import rt_predictor_pb2_grpc as pb_grpc
from tests.e2e.conftest import Service, running
from tests.e2e.observed import until
from tests.waiting import PATIENCE_S

CALLS = 3000
AT_ONCE = 300
OWN_CALLS = 20
"""Calls of the service itself that may be among those that gRPC breaks off."""
HUGE = 4500
"""Calls at once of which gRPC's core breaks some off: it lets no more than 3,000 wait."""


def rejected(service: Service, reason: str) -> int:
    """Calls that the service says it has turned away."""
    with urllib.request.urlopen(service.metrics_url, timeout=PATIENCE_S) as page:
        text = page.read().decode()
    name = rf'rt_predictor_rejected_calls_total{{reason="{reason}"}} (\S+)'
    return sum(int(float(count)) for count in re.findall(name, text))


def request(number: int) -> pb.PredictRequest:
    return pb.PredictRequest(
        user=f"user{number % 97}", partition="p", qos="q", processors_req=4, nodes_req=1,
        mem_req=1000, time_req=3600 + number,
    )  # fmt: skip


async def asked(target: str, calls: int, at_once: int) -> Counter[str]:
    """How calls ended; those that were refused say when to come again."""
    ended: Counter[str] = Counter()
    room = asyncio.Semaphore(at_once)
    async with grpc.aio.insecure_channel(target) as channel:
        predict = pb_grpc.RuntimePredictorStub(channel).Predict

        async def ask(number: int) -> None:
            async with room:
                try:
                    await predict(request(number), timeout=PATIENCE_S)
                    ended["OK"] += 1
                except grpc.aio.AioRpcError as error:
                    ended[error.code().name] += 1
                    if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
                        said = dict(error.trailing_metadata() or ())
                        assert int(said["grpc-retry-pushback-ms"]) > 0
                        assert int(said["retry-after"]) > 0

        await asyncio.gather(*map(ask, range(calls)))
    return ended


def test_more_calls_than_can_be_answered_are_refused_clearly_and_counted(bundle: Path) -> None:
    # So short a wait that any machine is overloaded.
    with running(bundle, RT_PREDICTOR_SERVER__MAX_WAIT_MS="2") as service:
        ended = asyncio.run(asked(service.target, CALLS, AT_ONCE))
        assert ended["OK"] + ended["RESOURCE_EXHAUSTED"] == CALLS, ended
        assert ended["OK"] > CALLS / 20
        assert ended["RESOURCE_EXHAUSTED"] > 0
        assert rejected(service, "overloaded") == ended["RESOURCE_EXHAUSTED"]
        asyncio.run(until(lambda: asyncio.run(asked(service.target, 30, 1)) == {"OK": 30}))


def test_calls_that_grpc_breaks_off_are_counted_too(bundle: Path) -> None:
    with running(bundle, RT_PREDICTOR_SERVER__MAX_WAIT_MS="50") as service:
        ended = asyncio.run(asked(service.target, HUGE, HUGE))
        broken_off = ended["CANCELLED"] + ended["UNAVAILABLE"]
        assert ended["OK"] + ended["RESOURCE_EXHAUSTED"] + broken_off == HUGE, ended
        asyncio.run(until(lambda: rejected(service, "broken_off") >= broken_off))
        assert rejected(service, "broken_off") <= broken_off + OWN_CALLS
        assert rejected(service, "overloaded") == ended["RESOURCE_EXHAUSTED"]
