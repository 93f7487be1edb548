"""One client of the agent: lines in, lines out, and neither more than fits."""

import asyncio
from collections.abc import Awaitable
from typing import Protocol, cast

from rt_predictor.agent import peers
from rt_predictor.agent.protocol import error_line
from rt_predictor.errors import RTPredictorError, TooLargeError

MAX_UNANSWERED = 64
"""Lines of one client that may wait for answers; beyond, no more is read of it."""
SLOW_READER_S = 1.0
"""Time that a client gets to read on when its answers pile up."""
_UNREAD_BYTES = 64 << 10
"""Answers that may pile up."""


class AgentPort(Protocol):
    """Port of the agent, as a connection needs it."""

    max_line_bytes: int

    def admit(self, connection: "Connection") -> bool: ...

    def touched(self, connection: "Connection") -> None: ...

    def dismiss(self, connection: "Connection") -> None: ...

    def answer(self, line: bytes, user: int) -> bytes | Awaitable[bytes]: ...


class Connection(asyncio.Protocol):
    """Cuts what comes into lines, and writes the answers as they are ready."""

    def __init__(self, agent: AgentPort) -> None:
        self._agent = agent
        self._transport: asyncio.Transport
        self._loop = asyncio.get_running_loop()
        self._unread = bytearray()
        self._user = peers.NOBODY
        self._answering: set[asyncio.Future[None]] = set()
        self._said_all = False
        """The client will send nothing more."""
        self._ends = False
        """Nothing more is answered."""
        self._stuck: asyncio.TimerHandle | None = None

    @property
    def is_waited_for(self) -> bool:
        """Return whether an answer is being made."""
        return bool(self._answering)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the client in, if there are fewer than the limit."""
        # Not checked: those of uvloop are no subclasses.
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=_UNREAD_BYTES)
        self._user = peers.user_of(transport)
        if not self._agent.admit(self):
            self.finish()

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002
        """Forget the client; answers that are being made go nowhere."""
        self._ends = True
        if self._stuck is not None:
            self._stuck.cancel()
        self._agent.dismiss(self)

    def data_received(self, data: bytes) -> None:
        """Answers the lines that are whole now."""
        if self._ends:
            return
        self._unread += data
        self._agent.touched(self)
        self._take_lines()

    def eof_received(self) -> bool:
        """The client has said all; it may still listen."""
        self._said_all = True
        if self._unread and not self._ends:
            self._unread += b"\n"
        self._take_lines()
        self._close_if_done()
        return True

    def pause_writing(self) -> None:
        """Answers pile up: reads no more of this client until it has read them."""
        self._transport.pause_reading()
        self._stuck = self._loop.call_later(SLOW_READER_S, self._transport.abort)

    def resume_writing(self) -> None:
        """The client has read on."""
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None
        self._take_lines()
        self._close_if_done()

    def refuse(self, error: RTPredictorError) -> None:
        """Tell the client why, and close."""
        self._transport.write(error_line(error))
        self.finish()

    def finish(self) -> None:
        """Close when all that was written is sent."""
        self._ends = True
        self._unread.clear()
        self._transport.close()

    def drop(self) -> None:
        """Close at once."""
        self._transport.abort()

    def _take_lines(self) -> None:
        while not self._ends and self._stuck is None and len(self._answering) < MAX_UNANSWERED:
            end = self._unread.find(b"\n")
            length = len(self._unread) if end < 0 else end
            if length > self._agent.max_line_bytes:
                self.refuse(_too_long(length, self._agent.max_line_bytes))
                return
            if end < 0:
                break
            line = bytes(self._unread[:end])
            del self._unread[: end + 1]
            if line.strip():
                self._answer(line)
        self._read_on_or_wait()

    def _read_on_or_wait(self) -> None:
        if self._ends or self._said_all or self._transport.is_closing():
            return
        waits = self._stuck is not None or len(self._answering) >= MAX_UNANSWERED
        if waits:
            self._transport.pause_reading()
        elif not self._transport.is_reading():
            self._transport.resume_reading()

    def _answer(self, line: bytes) -> None:
        answer = self._agent.answer(line, self._user)
        if isinstance(answer, bytes):
            self._transport.write(answer)
            return
        work = asyncio.ensure_future(self._write(answer))
        self._answering.add(work)
        work.add_done_callback(self._answered)

    async def _write(self, answer: Awaitable[bytes]) -> None:
        text = await answer
        if not self._transport.is_closing():
            self._transport.write(text)

    def _answered(self, work: "asyncio.Future[None]") -> None:
        self._answering.discard(work)
        self._take_lines()
        self._close_if_done()

    def _close_if_done(self) -> None:
        if self._said_all and not self._unread and not self._answering:
            self.finish()


def _too_long(length: int, limit: int) -> TooLargeError:
    return TooLargeError("a line of bytes", length, limit, "agent.max_line_bytes")
