"""What has arrived on a stream and waits to be scored: bounded, in order, never waited for."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Generic, Protocol, TypeVar

import grpc

from rt_predictor.api.admission import Admission
from rt_predictor.api.middleware import Context
from rt_predictor.api.v1 import rt_predictor_pb2 as pb
from rt_predictor.api.wire import checked
from rt_predictor.errors import DrainingError

IDLE_S = 1.0
"""While the service drains: how long a stream may bring nothing before it is ended."""


class Reader(Protocol):
    """Collects the messages of a stream."""

    def add(self, message: Any, /) -> None:
        """Takes one message."""
        ...

    def __len__(self) -> int:
        """How many jobs it has."""
        ...


_R = TypeVar("_R", bound=Reader)


class Arrivals(Generic[_R]):
    """Jobs that have arrived on one stream.

    At most `limit` wait here: with more, nothing is read, gRPC's flow control holds the client
    back, and a client that never takes its answers fills no memory.
    """

    def __init__(self, limit: int, new_reader: Callable[[], _R]) -> None:
        self._limit = limit
        self._new_reader = new_reader
        self._waiting = new_reader()
        self._jobs = 0
        """Jobs that wait"""
        self._news = asyncio.Event()
        self._space = asyncio.Event()
        self._ended = False
        self._draining = False
        self.flowing = False
        """Whether the jobs taken last were there before they were asked for."""

    async def read(self, context: Context) -> None:
        """Reads the stream to its end. Raises InvalidRequestError for what is not a request."""
        try:
            while (request := await context.read()) is not grpc.aio.EOF:
                self._waiting.add(checked(request))
                self._jobs = len(self._waiting)
                self._news.set()
                if self._jobs >= self._limit:
                    self._space.clear()
                    await self._space.wait()
        finally:
            self._ended = True
            self._news.set()

    async def take(self) -> _R | None:
        """All jobs that have arrived, as soon as there is one; None at the end of the stream.

        Raises DrainingError if the service drains and the stream brings nothing for `IDLE_S`.
        """
        self.flowing = self._jobs > 0
        while not self._jobs:
            if self._ended:
                return None
            self._news.clear()
            await self._wait_for_news()
        taken, self._waiting, self._jobs = self._waiting, self._new_reader(), 0
        self._space.set()
        return taken

    def drain(self) -> None:
        """From now on the stream is ended once it is idle; a busy one is let finish."""
        self._draining = True
        self._news.set()

    async def _wait_for_news(self) -> None:
        if not self._draining:
            await self._news.wait()
            return
        try:
            async with asyncio.timeout(IDLE_S):
                await self._news.wait()
        except TimeoutError:
            raise DrainingError from None


@asynccontextmanager
async def reading(
    arrivals: Arrivals[_R], context: Context, admission: Admission
) -> AsyncIterator[Arrivals[_R]]:
    """Reads a stream while the context lasts. Raises at its end what reading raised."""
    task = asyncio.create_task(arrivals.read(context))
    leave = admission.when_draining(arrivals.drain)
    try:
        yield arrivals
        await task
    finally:
        leave()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class Tables:
    """The requests of one `PredictArrow` call, one at a time: each is many jobs.

    A client that sends faster than it is answered is held back by gRPC's flow control.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._draining = asyncio.Event()

    async def take(self) -> pb.PredictArrowRequest | None:
        """The next request; None at the end.

        Raises DrainingError if the service drains and none comes for `IDLE_S`, and
        InvalidRequestError for what is not a request.
        """
        reading = asyncio.ensure_future(self._context.read())
        draining = asyncio.create_task(self._draining.wait())
        try:
            await asyncio.wait((reading, draining), return_when=asyncio.FIRST_COMPLETED)
            async with asyncio.timeout(IDLE_S):
                request = await reading
        except TimeoutError:
            raise DrainingError from None
        finally:
            draining.cancel()
            reading.cancel()
        if request is grpc.aio.EOF:
            return None
        found: pb.PredictArrowRequest = checked(request)
        return found

    def drain(self) -> None:
        """From now on the call is ended once it is idle."""
        self._draining.set()
