"""Clients that a service has to put up with: noise, bad input, calls broken off, slow readers."""

import asyncio
import itertools
import random
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

import grpc

from rt_predictor.api.v1 import rt_predictor_pb2 as pb
from rt_predictor.api.v1 import rt_predictor_pb2_grpc as pb_grpc
from rt_predictor.client import Client, Job, codec
from rt_predictor.errors import ServiceError
from tests.e2e.ledger import Ledger
from tests.waiting import PATIENCE_S

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
GREATEST_FRAME = b"\xff\xff\xff\x00\x00\x00\x00\x00\x01"


def _client_hello() -> bytes:
    """What a client that expects TLS says first."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    with suppress(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname="localhost").do_handshake()
    return outgoing.read()


NOISE = {
    "HTTP/1": b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "TLS": _client_hello(),
    "random": random.Random(1).randbytes(4096),
    "zeros": bytes(65_536),
    "only a preface": PREFACE,
    "half a preface": PREFACE[:10],
    "a frame greater than any": PREFACE + SETTINGS + GREATEST_FRAME,
    "random frames": PREFACE + SETTINGS + random.Random(2).randbytes(4096),
    "nothing": b"",
}
"""What is no gRPC, or soon is none any more."""


async def knock(target: str, noise: bytes, *, reset: bool) -> None:
    """Says something on a connection, and waits for its end or breaks off."""
    host, port = target.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    async with asyncio.timeout(PATIENCE_S):
        with suppress(OSError):  # the service may break off first
            writer.write(noise)
            await writer.drain()
            if reset:
                writer.transport.abort()
                return
            writer.write_eof()
            while await reader.read(65_536):
                pass
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


class Nuisances:
    """All of them, one call a time each; what a service answers wrongly goes into the ledger."""

    def __init__(self, target: str, ledger: Ledger) -> None:
        self._target = target
        self._ledger = ledger
        self._random = random.Random(target)

    async def go_on(self, pause_s: float) -> None:
        """Is one nuisance after the other, until it is cancelled."""
        kinds: tuple[Callable[[], Awaitable[None]], ...]
        kinds = (self._noise, self._bad_input, self._break_off, self._read_slowly)
        async with (
            Client(self._target, timeout_s=PATIENCE_S, connections=2) as self._client,
            grpc.aio.insecure_channel(self._target) as channel,
        ):
            self._stub: pb_grpc.RuntimePredictorAsyncStub = pb_grpc.RuntimePredictorStub(channel)
            for kind in itertools.cycle(kinds):
                try:
                    await kind()
                except ServiceError as error:
                    self._ledger.failed.append(f"beside bad input: {error}")
                await asyncio.sleep(pause_s)

    async def _noise(self) -> None:
        for noise in NOISE.values():
            with suppress(OSError):  # where a worker has just gone
                await knock(self._target, noise, reset=self._random.random() < 0.5)

    async def _bad_input(self) -> None:
        """Asks for what must be refused, and beside it for what must be answered."""
        bad = Job(processors_req=-1, partial=True, request_id="bad")
        good = self._random.choice(self._ledger.site.jobs)
        refused, answer = [found async for found in self._client.predict_many([bad, good])]
        if getattr(refused, "field", "") != "processors_req":
            self._ledger.wrong.append(f"a bad job was answered: {refused}")
        self._ledger.compare(answer)
        await self._refused(self._stub.Predict(pb.PredictRequest(request_id="x" * 10_000)))
        table = pb.PredictArrowRequest(jobs=self._random.randbytes(500))
        await self._refused(self._stub.PredictArrow(_only(table)).read())

    async def _refused(self, call: Awaitable[object]) -> None:
        """Enters what is not refused as bad, unless a worker has gone meanwhile."""
        fine = {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNAVAILABLE}
        try:
            answer = await call
        except grpc.aio.AioRpcError as error:
            if error.code() not in fine:
                self._ledger.failed.append(f"bad input: {error.code()} {error.details()}")
        else:
            self._ledger.wrong.append(f"bad input was answered: {answer}")

    async def _break_off(self) -> None:
        """Cancels batches when they have hardly begun, or nearly come to their end."""
        many = list(itertools.islice(itertools.cycle(self._ledger.site.jobs), 2000))

        async def gather() -> None:
            async for _ in self._client.predict_many(many, chunk_jobs=len(many)):
                pass

        calls = [asyncio.create_task(gather()) for _ in range(4)]
        await asyncio.sleep(self._random.uniform(0.0, 0.2))
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)

    async def _read_slowly(self) -> None:
        """Sends without end, reads an answer now and then, and goes."""

        async def requests() -> AsyncIterator[pb.PredictRequest]:
            for job in itertools.cycle(self._ledger.site.jobs):
                yield codec.request(job)

        call = self._stub.PredictStream(requests())
        with suppress(grpc.aio.AioRpcError):
            read = 0
            async for answer in call:
                self._ledger.compare(codec.answer(answer))
                await asyncio.sleep(0.05)
                read += 1
                if read == 10:
                    break
        call.cancel()


async def _only(message: pb.PredictArrowRequest) -> AsyncIterator[pb.PredictArrowRequest]:
    yield message
