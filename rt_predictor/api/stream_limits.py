"""The context of a stream of which limits are kept: how many messages, and how long a pause."""

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

import grpc

from rt_predictor.errors import IdleStreamError, TooLargeError
from rt_predictor.security.client_limits import StreamLimits

_MESSAGES_SETTING = "security.max_stream_messages"
_T = TypeVar("_T")


class LimitedContext:
    """Stands in for a stream's context: the same but for `read` and `write`."""

    def __init__(self, context: "grpc.aio.ServicerContext[Any, Any]", limits: StreamLimits) -> None:
        self._context = context
        self._limits = limits
        self._messages = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    async def read(self) -> Any:
        """The next message. Raises IdleStreamError and TooLargeError."""
        message = await self._in_time(self._context.read())
        if message is grpc.aio.EOF:
            return message
        self._messages += 1
        if 0 < self._limits.messages < self._messages:
            what = "the number of messages in a stream,"
            raise TooLargeError(what, self._messages, self._limits.messages, _MESSAGES_SETTING)
        return message

    async def write(self, message: Any) -> None:
        """Writes an answer. Raises IdleStreamError where the client does not take it."""
        await self._in_time(self._context.write(message))

    async def _in_time(self, work: Awaitable[_T]) -> _T:
        limit_s = self._limits.idle_timeout_s
        try:
            async with asyncio.timeout(limit_s or None):
                return await work
        except TimeoutError:
            raise IdleStreamError(limit_s) from None
