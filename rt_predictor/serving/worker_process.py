"""A worker process, as its supervisor sees it."""

import asyncio
import multiprocessing
from collections.abc import Callable

from rt_predictor.serving.worker import Ready, WorkerTask, worker_main

_SPAWN = multiprocessing.get_context("spawn")


class WorkerProcess:
    """A process that was spawned; becomes ready or not, and ends. Used by one event loop."""

    def __init__(self, task: WorkerTask, on_exit: Callable[["WorkerProcess"], None]) -> None:
        """Spawns it; `on_exit` is called once it has ended."""
        self.number = task.number
        self.exited = asyncio.Event()
        self.exit_code: int | None = None
        """Set once it has ended; minus the number of the signal that ended it, if one did."""
        self.ready: Ready | None = None
        self._on_exit = on_exit
        self._settled = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._messages, to_supervisor = _SPAWN.Pipe(duplex=False)
        self._process = _SPAWN.Process(
            target=worker_main, args=(task, to_supervisor), name=f"rt-predictor-{task.number}"
        )
        self._process.start()
        to_supervisor.close()
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

    def terminate(self) -> None:
        """Asks it to finish what it does and end; a second time, to end at once."""
        if not self.exited.is_set():
            self._process.terminate()

    def kill(self) -> None:
        """Ends it as it is."""
        if not self.exited.is_set():
            self._process.kill()

    def _read(self) -> None:
        self._loop.remove_reader(self._messages.fileno())
        try:
            self.ready = self._messages.recv()
        except EOFError:
            return
        self._settled.set()

    def _end(self) -> None:
        self._loop.remove_reader(self._process.sentinel)
        self._loop.remove_reader(self._messages.fileno())
        self._messages.close()
        self._process.join()
        self.exit_code = self._process.exitcode
        self._process.close()
        self.exited.set()
        self._settled.set()
        self._on_exit(self)
