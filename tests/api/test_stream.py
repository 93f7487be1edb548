"""What has arrived on a stream."""

import asyncio

import grpc
import pytest

from rt_predictor.api import stream
from rt_predictor.api.codec import JobReader
from rt_predictor.api.stream import Arrivals
from rt_predictor.api.wire import tolerant
from rt_predictor.errors import DrainingError, InvalidRequestError
from tests.api.harness import job


class _Client:
    """Sends when told to. `reads` is how often the server asked for a message."""

    def __init__(self) -> None:
        self._sent: asyncio.Queue[object] = asyncio.Queue()
        self.reads = 0

    def send(self, *messages: object) -> None:
        for message in messages:
            self._sent.put_nowait(message)

    async def read(self) -> object:
        self.reads += 1
        return await self._sent.get()


async def _settle() -> None:
    """Lets all tasks go as far as they can without anything new."""
    for _ in range(200):
        await asyncio.sleep(0)


@pytest.fixture
def client() -> _Client:
    return _Client()


@pytest.fixture
async def arrivals(client: _Client):
    arrivals = Arrivals(4, lambda: JobReader(lambda: 0.0))
    reading = asyncio.create_task(arrivals.read(client))
    arrivals.reading = reading
    yield arrivals
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)


async def test_one_job_is_not_made_to_wait_for_others(client, arrivals) -> None:
    client.send(job(request_id="1"))
    assert (await arrivals.take()).jobs().request_ids == ["1"]


async def test_what_has_arrived_is_taken_together(client, arrivals) -> None:
    client.send(job(request_id="1"), job(request_id="2"), job(request_id="3"))
    await _settle()
    assert (await arrivals.take()).jobs().request_ids == ["1", "2", "3"]


async def test_a_client_that_never_takes_answers_is_read_no_further_than_the_limit(
    client, arrivals
) -> None:
    client.send(*(job(request_id=str(n)) for n in range(100)))
    await _settle()
    assert client.reads == 4
    assert len(await arrivals.take()) == 4
    await _settle()
    assert client.reads == 8


async def test_every_job_comes_once_and_in_order(client, arrivals) -> None:
    client.send(*(job(request_id=str(n)) for n in range(11)), grpc.aio.EOF)
    found = []
    while (reader := await arrivals.take()) is not None:
        assert 1 <= len(reader) <= 4
        found += reader.jobs().request_ids
    assert found == [str(n) for n in range(11)]


async def test_it_flows_if_jobs_come_without_waiting_for_answers(client, arrivals) -> None:
    for n in range(3):
        taking = asyncio.create_task(arrivals.take())
        await _settle()
        client.send(job(request_id=str(n)))
        await taking
        assert not arrivals.flowing
    client.send(job(request_id="3"))
    await _settle()
    await arrivals.take()
    assert arrivals.flowing


async def test_a_stream_without_jobs_ends(client, arrivals) -> None:
    client.send(grpc.aio.EOF)
    assert await arrivals.take() is None


async def test_what_came_before_malformed_bytes_is_still_taken(client, arrivals) -> None:
    client.send(job(request_id="1"), tolerant(job().FromString)(b"\xff"))
    await _settle()
    assert (await arrivals.take()).jobs().request_ids == ["1"]
    assert await arrivals.take() is None
    with pytest.raises(InvalidRequestError):
        await arrivals.reading


async def test_an_idle_stream_is_ended_when_the_service_drains(
    client, arrivals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "IDLE_S", 0.0)
    taking = asyncio.create_task(arrivals.take())
    await _settle()
    assert not taking.done()
    arrivals.drain()
    with pytest.raises(DrainingError):
        await taking


async def test_a_busy_stream_goes_on_while_the_service_drains(
    client, arrivals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "IDLE_S", 1e6)
    arrivals.drain()
    taking = asyncio.create_task(arrivals.take())
    await _settle()
    client.send(job(request_id="1"), grpc.aio.EOF)
    assert (await taking).jobs().request_ids == ["1"]
    assert await arrivals.take() is None
