"""A slot for a worker, and the pauses between starts in it."""

import asyncio
import time

from rt_predictor.processes.served_model import ServedModel
from rt_predictor.processes.worker_process import WorkerProcess

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
STABLE_S = 60.0
"""A worker that served this long does not lengthen the pause after its end."""


class Slot:
    """A slot for a worker. Whoever changes the worker in it holds the lock."""

    def __init__(self, worker: WorkerProcess, model: ServedModel) -> None:
        self.worker = worker
        self.model = model
        """What the worker answers with; one that follows it when it dies, too."""
        self.lock = asyncio.Lock()
        self._since_s = time.monotonic()
        self._pause_s = FIRST_PAUSE_S

    def fill(self, worker: WorkerProcess, model: ServedModel) -> None:
        """Puts another worker in it."""
        self.worker = worker
        self.model = model
        self._since_s = time.monotonic()

    def next_pause_s(self) -> float:
        """The pause before the next start; longer from time to time while starts are in vain."""
        if time.monotonic() - self._since_s > STABLE_S:
            self._pause_s = FIRST_PAUSE_S
        pause_s, self._pause_s = self._pause_s, min(2 * self._pause_s, LONGEST_PAUSE_S)
        return pause_s
