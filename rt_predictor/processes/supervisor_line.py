"""A worker's line to its supervisor."""

import asyncio
from itertools import count
from multiprocessing.connection import Connection

from rt_predictor.api.reload import Reloaded
from rt_predictor.errors import ReloadError
from rt_predictor.observability.health import Check, Health, State
from rt_predictor.processes.messages import (
    FromWorker,
    Ping,
    Pong,
    ReloadAnswer,
    ReloadAsked,
    ReloadFailed,
    ReloadNote,
    ToWorker,
)


class SupervisorLine:
    """What a worker asks of its supervisor, and is told. Used by one event loop."""

    def __init__(self, connection: Connection, note: str = "") -> None:
        """`note` is what the health of the service says of the last reload."""
        self._connection = connection
        self._numbers = count()
        self._waiting: dict[int, asyncio.Future[Reloaded]] = {}
        self.note = note

    def listen(self) -> None:
        """Hears the supervisor from now on."""
        asyncio.get_running_loop().add_reader(self._connection.fileno(), self._hear)

    def hang_up(self) -> None:
        """Hears no more."""
        asyncio.get_running_loop().remove_reader(self._connection.fileno())

    def say(self, message: FromWorker) -> None:
        """Tells the supervisor. Raises OSError where it is gone."""
        self._connection.send(message)

    async def reload(self) -> Reloaded:
        """Asks for a reload, and waits until it is done. Raises ReloadError."""
        number = next(self._numbers)
        answer: asyncio.Future[Reloaded] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            self.say(ReloadAsked(number))
            return await answer
        except OSError as error:
            raise ReloadError("the supervisor of this worker is gone") from error
        finally:
            del self._waiting[number]

    def _hear(self) -> None:
        try:
            message: ToWorker = self._connection.recv()
            if isinstance(message, Ping):
                self.say(Pong())
        except (EOFError, OSError):
            self.hang_up()
            return
        match message:
            case ReloadNote(text):
                self.note = text
            case ReloadAnswer(number, result) if number in self._waiting:
                _settle(self._waiting[number], result)


def _settle(waiting: asyncio.Future[Reloaded], result: Reloaded | ReloadFailed) -> None:
    if waiting.done():
        return
    if isinstance(result, ReloadFailed):
        waiting.set_exception(ReloadError(result.reason))
    else:
        waiting.set_result(result)


def reload_check(line: SupervisorLine) -> Check:
    """Whether the last reload went well."""

    def check() -> Health:
        if line.note:
            return Health(State.DEGRADED, line.note)
        return Health(State.SERVING, "no reload has failed since the model was loaded")

    return check
