"""Large messages: how much of them one worker takes in at once; more is refused, not queued.

A message of many jobs takes several times its size until it is answered. So large ones are taken
in as long as together they are within a limit, first come first served; who comes later is told to
try again. A call whose earlier messages are still worked on is not refused: it is read on once they
are answered. Small messages are not counted, and never wait.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import grpc

from rt_predictor.errors import OverloadedError

SMALL_BYTES: Final = 64 << 10
"""Size of messages that are not counted."""
QUICK_S: Final = 0.1
"""A first message that takes longer to come is large, or its client slow."""
MOST_SLOW_MESSAGES: Final = 8
"""First messages that may be slow to come at once."""
RETRY_AFTER_S: Final = 1.0

Context = grpc.aio.ServicerContext[Any, Any]


class LargeMessages:
    """Counts the large messages that are worked on. Used by one event loop."""

    def __init__(self, most_bytes: int, most_slow: int) -> None:
        """Take in so many bytes, and wait for so many slow messages, at once."""
        self._most_bytes = most_bytes
        self._most_slow = most_slow
        self.bytes = 0
        """Of the large messages that are worked on."""
        self.slow = 0
        """Messages that are coming in, and have been for longer than `QUICK_S`."""

    def take(self, size: int) -> int:
        """Take in a message and return how many bytes of it count; `leave` must follow.

        One alone is taken in whatever its size. Raises OverloadedError.
        """
        if size <= SMALL_BYTES:
            return 0
        if not self.has_room(size):
            raise _too_many(f"{self.bytes >> 20} MB of large messages are being answered")
        self.bytes += size
        return size

    def has_room(self, size: int) -> bool:
        """Return whether a message of this size would be taken in."""
        return size <= SMALL_BYTES or not self.bytes or self.bytes + size <= self._most_bytes

    def leave(self, counted: int) -> None:
        """Give back what `take` has counted."""
        self.bytes -= counted

    def begin_slow(self) -> None:
        """Count a message that is slow to come; `end_slow` must follow. Raises OverloadedError."""
        if self.slow >= self._most_slow:
            raise _too_many(f"{self.slow} large messages are coming in")
        self.slow += 1

    def end_slow(self) -> None:
        """Count it no more."""
        self.slow -= 1


class LargeContext:
    """Stands in for the context of a call of large messages: `read` takes them in as bytes.

    What is taken in counts until `let_go` says that it is answered.
    """

    def __init__(
        self,
        context: Context,
        large: LargeMessages,
        decode: Callable[[bytes], Any],
    ) -> None:
        self._context = context
        self._large = large
        self._decode = decode
        self._first = True
        self._taken: list[int] = []
        self._answered = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    async def read(self) -> Any:
        """Return the next message, decoded. Raises OverloadedError where there is no room."""
        raw = await (self._first_message() if self._first else self._context.read())
        self._first = False
        if raw is grpc.aio.EOF:
            return raw
        while self._taken and not self._large.has_room(len(raw)):
            self._answered.clear()
            await self._answered.wait()
        self._taken.append(self._large.take(len(raw)))
        return self._decode(raw)

    async def _first_message(self) -> Any:
        reading = asyncio.ensure_future(self._context.read())
        try:
            await asyncio.wait((reading,), timeout=QUICK_S)
            if reading.done():
                return reading.result()
            self._large.begin_slow()
            try:
                return await reading
            finally:
                self._large.end_slow()
        finally:
            reading.cancel()

    @property
    def worked_on(self) -> int:
        """How many of the messages that were read are not answered."""
        return len(self._taken)

    def let_go(self, messages: int) -> None:
        """Say that so many messages, the first ones, are answered."""
        self._large.leave(sum(self._taken[:messages]))
        del self._taken[:messages]
        self._answered.set()


def worked_on(context: Context) -> int:
    """Return how many messages of a call were read and are not answered, as far as they count."""
    return context.worked_on if isinstance(context, LargeContext) else 0


def answered(context: Context, messages: int = 1) -> None:
    """Say that so many messages of a call, the first ones, are answered."""
    if isinstance(context, LargeContext):
        context.let_go(messages)


def _too_many(why: str) -> OverloadedError:
    return OverloadedError(RETRY_AFTER_S, why)
