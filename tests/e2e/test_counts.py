"""What the metrics page says of several workers, against what clients saw while some are killed."""

import asyncio
import os
import signal
import urllib.request
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import grpc
import pytest

from rt_predictor.api.sockets import shares_ports
from rt_predictor.api.v1 import rt_predictor_pb2 as pb
from rt_predictor.api.v1 import rt_predictor_pb2_grpc as pb_grpc
from tests.api.harness import job
from tests.waiting import PATIENCE_S

from .conftest import Service, running
from .observed import WORKER_UP, told, until, workers_of

pytestmark = pytest.mark.skipif(not shares_ports(), reason="this system does not share ports")

WORKERS = 2
CALLERS = 6
MORE = 60
"""Calls that are answered before anything else happens."""
_COUNTS = ("_total", "_count", "_sum", "_bucket")


def _page(service: Service) -> dict[str, float]:
    """Series -> value."""
    with urllib.request.urlopen(service.metrics_url, timeout=PATIENCE_S) as page:
        lines = page.read().decode().splitlines()
    split = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {series: float(value) for series, value in split}


def _calls(page: Mapping[str, float], status: str) -> float:
    return page[f'rt_predictor_requests_total{{method="Predict",status="{status}"}}']


class Watch:
    """Reads the page all the while: what counts never goes back."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._seen: dict[str, float] = {}
        self.reads = 0

    async def look(self) -> dict[str, float]:
        page = await asyncio.to_thread(_page, self._service)
        for series, before in self._seen.items():
            assert page.get(series, -1.0) >= before, series
        counts = {s: v for s, v in page.items() if s.split("{")[0].endswith(_COUNTS)}
        self._seen = {**self._seen, **counts}
        self.reads += 1
        return page

    async def keep_looking(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(0.02)


async def _call(target: str, seen: Counter[str], ending: asyncio.Event, number: int) -> None:
    """Calls one after the other, a third of them invalid, on connections of its own."""
    options = (("grpc.use_local_subchannel_pool", 1),)
    while not ending.is_set():
        async with grpc.aio.insecure_channel(target, options=options) as channel:
            stub = pb_grpc.RuntimePredictorStub(channel)
            for turn in range(10):
                request = job(time_req=60.0 + turn, nodes_req=0 if turn % 3 == 2 else 1)
                try:
                    await stub.Predict(request, timeout=PATIENCE_S, wait_for_ready=True)
                    seen["OK"] += 1
                except grpc.aio.AioRpcError as error:
                    seen[error.code().name] += 1
                if ending.is_set():
                    break


async def _open_stream(service: Service) -> grpc.aio.Channel:
    """A stream that is in progress until its worker dies; returns its channel."""
    channel = grpc.aio.insecure_channel(service.target)
    stream = pb_grpc.RuntimePredictorStub(channel).PredictStream()
    await stream.write(job())
    await stream.read()
    return channel


async def _more(seen: Counter[str]) -> None:
    wanted = seen["OK"] + MORE
    async with asyncio.timeout(PATIENCE_S):
        while seen["OK"] < wanted:
            await asyncio.sleep(0.01)


async def test_what_is_counted_is_what_clients_saw_also_when_workers_are_killed(
    bundle: Path,
) -> None:
    seen: Counter[str] = Counter()
    ending = asyncio.Event()
    with running(bundle, "--workers", WORKERS) as service:
        watch = Watch(service)
        calling = [
            asyncio.create_task(_call(service.target, seen, ending, number))
            for number in range(CALLERS)
        ]
        watching = asyncio.create_task(watch.keep_looking())
        await _more(seen)
        limit = (await asyncio.to_thread(_page, service))["rt_predictor_max_concurrent_calls"]
        left = await _open_stream(service)
        for ended, victim in enumerate(workers_of(service), 1):
            os.kill(victim, signal.SIGKILL)
            await until(
                lambda ended=ended: (
                    told(service, "worker ended") == ended and _page(service)[WORKER_UP] == WORKERS
                )
            )
            await _more(seen)
        ending.set()
        await asyncio.gather(*calling)
        assert not watching.done(), watching.exception()
        watching.cancel()
        await left.close()
        page = await watch.look()
    # Neither calls of a dead worker nor its share of the limit nor its memory are left.
    assert page["rt_predictor_active_connections"] == page["rt_predictor_jobs_in_flight"] == 0
    assert page["rt_predictor_max_concurrent_calls"] == limit
    assert _memories(page) == WORKERS
    lost = sum(seen.values()) - seen["OK"] - seen["INVALID_ARGUMENT"]
    for status in ("OK", "INVALID_ARGUMENT"):
        # Each call is counted before it is answered, so a call that was lost may have been, too.
        assert seen[status] <= _calls(page, status) <= seen[status] + lost, (seen, status)
    counted = sum(v for s, v in page.items() if s.startswith("rt_predictor_requests_total"))
    assert counted <= sum(seen.values())
    assert seen["OK"] <= page["rt_predictor_predictions_total"] <= seen["OK"] + lost
    # A worker may have been killed between two counters of one call.
    timed = page['rt_predictor_request_duration_seconds_count{method="Predict"}']
    assert abs(timed - counted) <= WORKERS
    assert page["rt_predictor_worker_restarts_total"] == WORKERS
    assert watch.reads > 10


def _memories(page: Mapping[str, float]) -> int:
    """Of how many workers the page shows the memory."""
    return len([series for series in page if series.startswith("rt_predictor_resident_memory")])


async def _page_of_all(service: Service, replaced: int) -> dict[str, float]:
    """The page after so many replacements, once each new worker has measured itself."""
    await until(lambda: told(service, "workers replaced") == replaced)
    await until(lambda: _memories(_page(service)) == WORKERS)
    return await asyncio.to_thread(_page, service)


async def test_workers_that_are_replaced_over_and_over_leave_no_longer_page(
    bundle: Path,
) -> None:
    with running(bundle, "--workers", WORKERS) as service:
        async with grpc.aio.insecure_channel(service.target) as channel:
            await pb_grpc.RuntimePredictorStub(channel).GetModelInfo(pb.GetModelInfoRequest())
        service.process.send_signal(signal.SIGHUP)
        after_one = set(await _page_of_all(service, replaced=1))
        service.process.send_signal(signal.SIGHUP)
        page = await _page_of_all(service, replaced=2)
    assert len(set(page)) == len(after_one)
    assert page['rt_predictor_requests_total{method="GetModelInfo",status="OK"}'] == 1
