"""The watchdog: ends workers whose event loop hangs, so that others take their place.

Each worker is pinged, and answers from its event loop; the model runs in threads, so one that is
only busy answers. Looks are counted and not seconds: a supervisor that was itself held up, by a
suspended machine for one, takes all of that for a single look. Workers that start or stop are not
looked at: for how long they may take is the supervisor's affair.
"""

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path

from loguru import logger
from prometheus_client import Counter

from rt_predictor.processes.signals import SIGNAL, traceback_left
from rt_predictor.processes.worker_process import WorkerProcess

LOOKS = 10
"""Looks in a row that find a ping unanswered, after which a worker hangs."""
TRACEBACK_S = 0.5
"""What a worker that hangs gets to write down where."""


class Watchdog:
    """Looks after the workers. Used by one event loop."""

    def __init__(
        self,
        workers: Callable[[], Iterable[WorkerProcess]],
        hung_after_s: float,
        directory: Path,
        hung: Counter,
    ) -> None:
        """Nothing is looked at before `run`.

        Args:
            workers: those that should answer now.
            hung_after_s: for how long one may be silent; noticed up to a tenth later.
            directory: where workers leave their tracebacks.
            hung: counts those that were ended.
        """
        self._workers = workers
        self._hung_after_s = hung_after_s
        self._directory = directory
        self._hung = hung
        self._missed: dict[WorkerProcess, int] = {}

    async def run(self) -> None:
        """Looks, for ever."""
        while True:
            await asyncio.sleep(self._hung_after_s / LOOKS)
            await self.look()

    async def look(self) -> None:
        """Ends who has not answered for too long, and pings who has answered."""
        missed, self._missed = self._missed, {}
        hung = []
        for worker in self._workers():
            if worker.answers:
                worker.ping()
            elif (looks := missed.get(worker, 0) + 1) < LOOKS:
                self._missed[worker] = looks
            else:
                hung.append(worker)
        await asyncio.gather(*map(self._end, hung))

    async def _end(self, worker: WorkerProcess) -> None:
        self._hung.inc()
        worker.signal(SIGNAL)
        await asyncio.sleep(TRACEBACK_S)
        logger.error(
            "worker hangs: killed",
            worker=worker.number,
            silent_for_s=self._hung_after_s,
            traceback=traceback_left(self._directory, worker.number)
            or "none: not even its signal handlers run (it is stopped, or waits for a disk)",
        )
        worker.kill()
