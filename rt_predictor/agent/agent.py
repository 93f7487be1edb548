"""The agent: what each line is answered, and which clients there may be."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable

from loguru import logger

from rt_predictor import __version__
from rt_predictor.agent.answers import Answers
from rt_predictor.agent.connection import Connection
from rt_predictor.agent.protocol import (
    Document,
    LineError,
    Op,
    Reason,
    Request,
    error_line,
    fallback_line,
    line,
    parse,
)
from rt_predictor.client import Prediction
from rt_predictor.client.documents import prediction_document
from rt_predictor.errors import RTPredictorError, TooLargeError, traceback_text
from rt_predictor.settings import AgentSettings

_GOODBYE_S = 1.0
"""Time that clients get to read their last answers when the agent stops."""


class Agent:
    """Answers lines, for as many clients as the settings allow."""

    def __init__(self, answers: Answers, settings: AgentSettings) -> None:
        self.max_line_bytes = settings.max_line_bytes
        self._answers = answers
        self._counters = answers.counters
        self._settings = settings
        self._started_s = time.monotonic()
        self._clients: OrderedDict[Connection, None] = OrderedDict()
        """Those that were quiet longest come first."""

    def answer(self, text: bytes, user: int) -> bytes | Awaitable[bytes]:
        """The answer to a line: at once, or after the deadline at the latest. Never raises."""
        self._counters.lines += 1
        try:
            request = parse(text)
        except LineError as error:
            self._counters.errors += 1
            return error_line(error)
        match request.op:
            case Op.PING:
                return line(request.id, pong=True, version=__version__)
            case Op.STATS:
                return line(request.id, stats=self.stats())
            case Op.PREDICT:
                return self._predicted(request, user)

    async def _predicted(self, request: Request, user: int) -> bytes:
        begun_s = time.perf_counter()
        try:
            return await self._prediction_line(request, user)
        except RTPredictorError as error:
            self._counters.errors += 1
            return error_line(LineError(str(error), request.id, error))
        except Exception as error:
            logger.error("unforeseen error", traceback=traceback_text(error))
            return self._without(request, Reason.ERROR)
        finally:
            self._counters.answer_s.append(time.perf_counter() - begun_s)

    async def _prediction_line(self, request: Request, user: int) -> bytes:
        assert request.job is not None
        answer = await self._answers.answer(request.job, user)
        if isinstance(answer, Prediction):
            self._counters.predicted += 1
            return line(request.id, prediction=prediction_document(answer))
        return self._without(request, answer)

    def _without(self, request: Request, reason: Reason) -> bytes:
        self._counters.fallbacks[reason] += 1
        return fallback_line(request.id, reason)

    def stats(self) -> Document:
        """Return the agent's counters and state."""
        return {
            "version": __version__,
            "uptime_s": round(time.monotonic() - self._started_s, 3),
            "target": self._settings.target,
            "circuit": self._answers.circuit.state.value,
            "clients": len(self._clients),
            "in_flight": self._answers.in_flight,
            "kept": len(self._answers.cache),
            **self._counters.document(),
        }

    def admit(self, connection: Connection) -> bool:
        """Take a client in; where there are too many, one that only sits there has to go."""
        self._clients[connection] = None
        if len(self._clients) <= self._settings.max_clients:
            return True
        self._counters.evicted += 1
        for quiet in self._clients:
            if not quiet.is_waited_for and quiet is not connection:
                del self._clients[quiet]
                quiet.drop()
                return True
        limit = self._settings.max_clients
        connection.refuse(TooLargeError("clients", limit + 1, limit, "agent.max_clients"))
        return False

    def touched(self, connection: Connection) -> None:
        """A client has said something."""
        if connection in self._clients:
            self._clients.move_to_end(connection)

    def dismiss(self, connection: Connection) -> None:
        """A client has gone."""
        self._clients.pop(connection, None)

    async def stop(self) -> None:
        """Answer waiting requests without a prediction, and close all connections."""
        await self._answers.stop()
        deadline_s = time.monotonic() + _GOODBYE_S
        while self._has_waiting() and time.monotonic() < deadline_s:
            await asyncio.sleep(0)
        for client in list(self._clients):
            client.finish()
        while self._clients and time.monotonic() < deadline_s:
            await asyncio.sleep(0.01)
        for client in list(self._clients):
            client.drop()

    def _has_waiting(self) -> bool:
        return any(client.is_waited_for for client in self._clients)
