"""What has arrived on a stream and waits to be scored: bounded, in order, never waited for."""

import asyncio
from collections.abc import Callable

import grpc

from rt_predictor.api.codec import JobReader, Jobs
from rt_predictor.api.interceptors import Context
from rt_predictor.api.wire import checked
from rt_predictor.errors import DrainingError

IDLE_S = 1.0
"""While the service drains: how long a stream may bring nothing before it is ended."""


class Arrivals:
    """Jobs that have arrived on one stream.

    At most `limit` wait here: with more, nothing is read, gRPC's flow control holds the client
    back, and a client that never takes its answers fills no memory.
    """

    def __init__(self, limit: int, clock: Callable[[], float]) -> None:
        self._limit = limit
        self._clock = clock
        self._waiting = JobReader(clock)
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
                self._news.set()
                if len(self._waiting) >= self._limit:
                    self._space.clear()
                    await self._space.wait()
        finally:
            self._ended = True
            self._news.set()

    async def take(self) -> Jobs | None:
        """All jobs that have arrived, as soon as there is one; None at the end of the stream.

        Raises DrainingError if the service drains and the stream brings nothing for `IDLE_S`.
        """
        self.flowing = len(self._waiting) > 0
        while not len(self._waiting):
            if self._ended:
                return None
            self._news.clear()
            await self._wait_for_news()
        taken, self._waiting = self._waiting, JobReader(self._clock)
        self._space.set()
        return taken.jobs()

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
