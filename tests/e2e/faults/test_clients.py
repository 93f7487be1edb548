"""Clients that never read, break off, open streams by the thousand, or fall asleep."""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import grpc
import pytest

from rt_predictor.api.v1 import rt_predictor_pb2 as pb
from rt_predictor.api.v1 import rt_predictor_pb2_grpc as pb_grpc
from rt_predictor.client import Client, Job, codec
from rt_predictor.client.tables import table_request
from tests.e2e.conftest import Service, running
from tests.e2e.ledger import Ledger, load, until_answered
from tests.e2e.observed import (
    at,
    copy_of,
    descriptors,
    everything_told,
    metric,
    resident_mb,
    server_of,
    until,
)
from tests.waiting import PATIENCE_S

TINY_STREAMS = 10_000
AT_ONCE = 400
MAX_CALLS = 1024
"""`server.max_concurrent_calls`"""
ROOM_MB = 64.0
"""What the memory of a service may grow by while a client does not read."""


@pytest.fixture(scope="module")
def service(
    bundle: Path, past_log: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """One service for all of this: none of it may harm it."""
    path = copy_of(past_log, tmp_path_factory.mktemp("clients"))
    with running(bundle, **at(path)) as service:
        yield service


@pytest.fixture
async def stub(service: Service) -> AsyncIterator["pb_grpc.RuntimePredictorAsyncStub"]:
    """The methods, on a connection of their own."""
    options = (("grpc.use_local_subchannel_pool", 1),)
    async with grpc.aio.insecure_channel(service.target, options=options) as channel:
        yield pb_grpc.RuntimePredictorStub(channel)


async def at_rest(service: Service) -> None:
    """Waits until no call is in progress."""
    await until(lambda: metric(service, "rt_predictor_active_connections") == 0)
    assert metric(service, "rt_predictor_jobs_in_flight") == 0
    assert metric(service, "rt_predictor_internal_errors_total") == 0
    assert "Traceback" not in everything_told(service)


async def until_held_back(sent: list[int]) -> None:
    """Waits until a client has been able to send nothing more for a while."""
    before = -1
    async with asyncio.timeout(PATIENCE_S):
        while sent[0] != before:
            before = sent[0]
            await asyncio.sleep(1.0)


@pytest.mark.parametrize("kind", ["stream", "tables"])
async def test_a_client_that_never_reads_is_held_back_and_fills_no_memory(
    service: Service, ledger: Ledger, stub: "pb_grpc.RuntimePredictorAsyncStub", kind: str
) -> None:
    jobs = ledger.site.jobs
    table = table_request(ledger.site.table.sample(5000, with_replacement=True), partial=True)
    sent = [0]

    async def requests() -> AsyncIterator[pb.PredictRequest | pb.PredictArrowRequest]:
        for job in itertools.cycle(jobs):
            yield codec.request(job) if kind == "stream" else table
            sent[0] += 1

    before_mb = resident_mb(server_of(service))
    call = (stub.PredictStream if kind == "stream" else stub.PredictArrow)(requests())
    async with load(service.target, ledger, callers=1):
        await until_held_back(sent)
        assert sent[0] > 0
        await until_answered(ledger, 10)
    assert resident_mb(server_of(service)) < before_mb + ROOM_MB
    call.cancel()
    ledger.assert_sound()
    await at_rest(service)


async def test_calls_that_are_cancelled_midway_leave_nothing_behind(
    service: Service, ledger: Ledger
) -> None:
    many = list(itertools.islice(itertools.cycle(ledger.site.jobs), 4000))

    async def gather(client: Client) -> None:
        async for _ in client.predict_many(many, chunk_jobs=len(many)):
            pass

    async with (
        load(service.target, ledger, callers=2),
        Client(service.target, timeout_s=PATIENCE_S, connections=4) as client,
    ):
        for wait_s in (0.001, 0.02, 0.05, 0.1, 0.2):
            calls = [asyncio.create_task(gather(client)) for _ in range(8)]
            await asyncio.sleep(wait_s)
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
        await until_answered(ledger, 20)
    ledger.assert_sound()
    await at_rest(service)


async def test_ten_thousand_tiny_streams_are_all_answered(service: Service, ledger: Ledger) -> None:
    jobs = itertools.islice(itertools.cycle(ledger.site.jobs), TINY_STREAMS)
    open_before = descriptors(server_of(service))

    async def open_streams(client: Client) -> None:
        for job in jobs:
            (answer,) = [answer async for answer in client.stream([job])]
            ledger.compare(answer)
            ledger.calls["tiny"] += 1

    async with Client(service.target, connections=4) as client, asyncio.TaskGroup() as openers:
        for _ in range(AT_ONCE):
            openers.create_task(open_streams(client))
    assert ledger.calls["tiny"] == TINY_STREAMS
    ledger.assert_sound()
    await at_rest(service)
    await until(lambda: descriptors(server_of(service)) <= open_before)


async def test_streams_beyond_the_limit_are_told_when_to_come_back_and_the_others_answered(
    service: Service, ledger: Ledger, stub: "pb_grpc.RuntimePredictorAsyncStub"
) -> None:
    jobs, everyone_is_there = ledger.site.jobs, asyncio.Event()
    fates: Counter[str] = Counter()

    async def stream(number: int) -> None:
        job = jobs[number % len(jobs)]

        async def requests() -> AsyncIterator[pb.PredictRequest]:
            await everyone_is_there.wait()
            yield codec.request(job)

        try:
            async for answer in stub.PredictStream(requests(), timeout=PATIENCE_S):
                ledger.compare(codec.answer(answer))
                fates["answered"] += 1
        except grpc.aio.AioRpcError as error:
            told = dict(error.trailing_metadata() or ())
            when_ms = int(told.get("grpc-retry-pushback-ms", 0))
            full = error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED and when_ms > 0
            fates["told to come back" if full else str(error)] += 1

    async with asyncio.TaskGroup() as streams:
        for number in range(MAX_CALLS + 200):
            streams.create_task(stream(number))
        # At least: a call of the test before may still hold a place.
        await until(lambda: fates["told to come back"] >= 200)
        everyone_is_there.set()
    assert fates.keys() == {"answered", "told to come back"}, fates
    assert fates.total() == MAX_CALLS + 200
    assert MAX_CALLS - 10 <= fates["answered"] <= MAX_CALLS
    assert not ledger.wrong
    await at_rest(service)


async def test_deadlines_that_expire_cost_nobody_else_an_answer(
    service: Service, ledger: Ledger
) -> None:
    hasty = Ledger(ledger.site, ledger.reference)
    async with load(service.target, ledger, callers=2):
        for timeout_s in (0.0005, 0.002, 0.005, 0.02):
            async with load(
                service.target, hasty, timeout_s=timeout_s, attempts=1, name=f"hasty{timeout_s}"
            ):
                await until_answered(ledger, 10)
    ledger.assert_sound()
    assert hasty.failed
    # Of a stream the client cannot know whether it was the deadline that ended it.
    other = [failure for failure in hasty.failed if "did not answer within" not in failure]
    assert not [failure for failure in other if not failure.startswith("stream")], Counter(other)
    assert not hasty.wrong
    await at_rest(service)


async def test_a_stream_that_fell_asleep_goes_on_where_it_was(
    service: Service, ledger: Ledger
) -> None:
    slept, awake = asyncio.Event(), asyncio.Event()

    async def jobs() -> AsyncIterator[Job]:
        for number, job in enumerate(ledger.site.jobs):
            yield job
            if number == 4:
                slept.set()
                await awake.wait()

    async def stream(client: Client) -> int:
        answers = 0
        async for answer in client.stream(jobs()):
            ledger.compare(answer)
            answers += 1
        return answers

    async with Client(service.target, timeout_s=PATIENCE_S) as client:
        sleeper = asyncio.create_task(stream(client))
        await asyncio.wait_for(slept.wait(), PATIENCE_S)
        async with load(service.target, ledger, callers=2):
            await until_answered(ledger, 40)
        awake.set()
        assert await asyncio.wait_for(sleeper, PATIENCE_S) == len(ledger.site.jobs)
    ledger.assert_sound()
