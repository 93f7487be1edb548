"""Workers that are replaced under load: SIGHUP, once and while it is being followed."""

import asyncio
import signal
from pathlib import Path

import grpc
import pytest

from rt_predictor.api.sockets import shares_ports
from rt_predictor.api.v1 import rt_predictor_pb2 as pb
from rt_predictor.api.v1 import rt_predictor_pb2_grpc as pb_grpc
from tests.e2e.conftest import PROJECT, running
from tests.e2e.ledger import Ledger, load, until_answered
from tests.e2e.observed import WORKER_UP, at, kept_ids, metric, told, until, workers_of
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.skipif(not shares_ports(), reason="this system does not share ports")

ONCE_MORE = 2
"""Attempts of a client that makes a failed call again, once."""


@pytest.mark.parametrize("workers", [1, 2])
async def test_no_call_fails_and_no_outcome_is_lost_when_all_workers_are_replaced(
    bundle: Path, path: Path, ledger: Ledger, workers: int
) -> None:
    with running(bundle, "--workers", workers, **at(path)) as service:
        async with load(service.target, ledger, attempts=ONCE_MORE):
            await until_answered(ledger, 40)
            before = set(workers_of(service))
            for replaced in (1, 2):
                service.process.send_signal(signal.SIGHUP)
                await until(lambda done=replaced: told(service, "workers replaced") == done)
                await until_answered(ledger, 40)
        assert before.isdisjoint(workers_of(service))
        assert metric(service, WORKER_UP) == workers
    ledger.assert_sound()
    assert ledger.acknowledged
    ledger.assert_recorded(kept_ids(path))


async def test_no_call_of_another_client_fails_that_follows_the_shipped_service_config(
    bundle: Path, path: Path
) -> None:
    options = (
        ("grpc.service_config", (PROJECT / "config" / "grpc_service_config.json").read_text()),
        ("grpc.use_local_subchannel_pool", 1),
    )
    job = pb.PredictRequest(
        processors_req=4, nodes_req=1, mem_req=1000, time_req=3600, partition="a", qos="b"
    )
    ended = asyncio.Event()

    async def call(target: str) -> int:
        """Calls, one after the other, until the end; how many were answered."""
        answered = 0
        async with grpc.aio.insecure_channel(target, options) as channel:
            stub = pb_grpc.RuntimePredictorStub(channel)
            while not ended.is_set():
                await stub.Predict(job, timeout=PATIENCE_S)
                answered += 1
        return answered

    with running(bundle, "--workers", 2, **at(path)) as service:
        calls = [asyncio.create_task(call(service.target)) for _ in range(8)]
        for replaced in (1, 2):
            service.process.send_signal(signal.SIGHUP)
            await until(lambda done=replaced: told(service, "workers replaced") == done)
        ended.set()
        assert all(await asyncio.gather(*calls))
