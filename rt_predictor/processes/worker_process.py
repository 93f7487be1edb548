"""A worker process, as its supervisor sees it."""

import asyncio
import multiprocessing
import os
from collections.abc import Callable
from contextlib import suppress

from rt_predictor.processes.messages import (
    CannotStart,
    FromWorker,
    Ping,
    Pong,
    ReadingHistory,
    Ready,
    ReloadAsked,
    ToWorker,
)
from rt_predictor.processes.worker import WorkerTask, worker_main

_SPAWN = multiprocessing.get_context("spawn")

OnExit = Callable[["WorkerProcess"], None]
OnAsk = Callable[["WorkerProcess", ReloadAsked], None]


class WorkerProcess:
    """A process that was spawned; becomes ready or not, and ends. Used by one event loop."""

    def __init__(self, task: WorkerTask, on_exit: OnExit, on_ask: OnAsk) -> None:
        """Spawns it; `on_exit` is called once it has ended, `on_ask` when it asks for a reload."""
        self.number = task.number
        self.exited = asyncio.Event()
        self.exit_code: int | None = None
        """Set once it has ended; minus the number of the signal that ended it, if one did."""
        self.ready: Ready | None = None
        self.history = ReadingHistory(0, 0)
        """How far it has read the log, before it is ready."""
        self.failure = ""
        """Why it could not start, in its own words."""
        self.stopping = False
        """Whether it was asked to end."""
        self.answers = True
        """Whether it has answered its last ping."""
        self._on_exit = on_exit
        self._on_ask = on_ask
        self._settled = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._messages, of_worker = _SPAWN.Pipe()
        self._process = _SPAWN.Process(
            target=worker_main, args=(task, of_worker), name=f"rt-predictor-{task.number}"
        )
        self._process.start()
        of_worker.close()
        self._loop.add_reader(self._messages.fileno(), self._read)
        self._loop.add_reader(self._process.sentinel, self._end)

    @property
    def serves(self) -> bool:
        """Whether it has become ready and not ended."""
        return self.ready is not None and not self.exited.is_set()

    async def started(self) -> Ready | None:
        """Returns once it serves, or has ended without: then None."""
        await self._settled.wait()
        return self.ready

    def tell(self, message: ToWorker) -> None:
        """Sends it a message; one that has ended hears nothing."""
        if self.exited.is_set():
            return
        with suppress(OSError):  # it is ending
            self._messages.send(message)

    def ping(self) -> None:
        """Asks its event loop for a sign of life: `answers` is false until there is one."""
        self.answers = False
        self.tell(Ping())

    def signal(self, number: int) -> None:
        """Sends its process a signal."""
        if not self.exited.is_set() and self._process.pid is not None:
            os.kill(self._process.pid, number)

    def terminate(self) -> None:
        """Asks it to finish what it does and end; a second time, to end at once."""
        self.stopping = True
        if not self.exited.is_set():
            self._process.terminate()

    def kill(self) -> None:
        """Ends it as it is."""
        if not self.exited.is_set():
            self._process.kill()

    def _read(self) -> None:
        if not self._hear():
            self._loop.remove_reader(self._messages.fileno())

    def _hear(self) -> bool:
        """Takes one message: whether there was one."""
        try:
            if not self._messages.poll():
                return False
            message: FromWorker = self._messages.recv()
        except (EOFError, OSError):
            return False
        match message:
            case Ready():
                self.ready = message
                self._settled.set()
            case ReadingHistory():
                self.history = message
            case CannotStart():
                self.failure = message.reason
            case ReloadAsked():
                self._on_ask(self, message)
            case Pong():
                self.answers = True
        return True

    def _end(self) -> None:
        while self._hear():  # its last words may come with its end
            pass
        self._loop.remove_reader(self._process.sentinel)
        self._loop.remove_reader(self._messages.fileno())
        self._messages.close()
        self._process.join()
        self.exit_code = self._process.exitcode
        self._process.close()
        self.exited.set()
        self._settled.set()
        self._on_exit(self)
