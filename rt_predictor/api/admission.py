"""Admission: how many calls one worker takes on at once, and none once it is closed.

gRPC's own limit (`maximum_concurrent_rpcs`) has been broken more than once, and says neither when
to try again nor how many calls there are; so the count is kept here.
"""

import asyncio
from collections.abc import Callable

from rt_predictor.errors import DrainingError, OverloadedError

RETRY_AFTER_S = 1.0
"""What a caller that was turned away is told to wait."""


class Admission:
    """Counts the calls in progress. Used by one event loop."""

    def __init__(self, max_calls: int) -> None:
        self._max_calls = max_calls
        self._idle = asyncio.Event()
        self._idle.set()
        self._on_drain: set[Callable[[], None]] = set()
        self.in_progress = 0
        self._closed = False

    def enter(self) -> None:
        """Takes on one call; `leave` must follow.

        Raises DrainingError and OverloadedError; `leave` must then not follow.
        """
        if self._closed:
            raise DrainingError
        if self.in_progress >= self._max_calls:
            raise OverloadedError(RETRY_AFTER_S)
        self.in_progress += 1
        self._idle.clear()

    def leave(self) -> None:
        """Ends one call."""
        self.in_progress -= 1
        if not self.in_progress:
            self._idle.set()

    def when_draining(self, notify: Callable[[], None]) -> Callable[[], None]:
        """Has `notify` called once draining begins, until the function returned is called."""
        self._on_drain.add(notify)
        return lambda: self._on_drain.discard(notify)

    def drain(self) -> None:
        """Has streams end once they are idle; calls in progress go on."""
        for notify in tuple(self._on_drain):
            notify()

    def close(self) -> None:
        """Takes on no more calls."""
        self._closed = True

    async def idle(self) -> None:
        """Returns once no call is in progress."""
        await self._idle.wait()
