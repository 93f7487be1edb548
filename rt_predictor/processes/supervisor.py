"""The supervisor: keeps several workers on one port, all with the same model.

It loads no model and answers no call. Workers that hang are ended, and dead ones are started
again, after pauses that grow, with the model that is served. All are replaced one by one, the new
one up before the old one goes.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from loguru import logger

from rt_predictor.errors import EXIT_FAILURE, ReloadError, StartupError
from rt_predictor.observability.page import forget_worker
from rt_predictor.observability.worker_metrics import WorkerMetrics
from rt_predictor.processes.event_loop import together
from rt_predictor.processes.messages import Ready, ReloadNote
from rt_predictor.processes.served_model import OPEN_TO_ALL, ServedModel
from rt_predictor.processes.slot import Slot
from rt_predictor.processes.watchdog import Watchdog
from rt_predictor.processes.worker import Start
from rt_predictor.processes.worker_process import OnExit, WorkerProcess
from rt_predictor.settings import SecuritySettings

StartWorker = Callable[[int, OnExit, Start], WorkerProcess]
"""Starts a worker of that number, and says whom to tell once it has ended."""


class CannotStartError(Exception):
    """A worker could not start as asked; it has said why itself."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(f"a worker ended at its start with exit code {exit_code}")
        self.exit_code = exit_code


@dataclass(frozen=True)
class Patience:
    """How long a worker may take, in s, before it is killed."""

    to_start_s: float
    to_stop_s: float
    to_answer_s: float
    """For how long its event loop may be silent; 0: for ever"""


class Supervisor:
    """Keeps the workers. Used by one event loop."""

    def __init__(
        self,
        start_worker: StartWorker,
        metrics: WorkerMetrics,
        directory: Path,
        source: Path,
        patience: Patience,
        *,
        security: SecuritySettings = OPEN_TO_ALL,
    ) -> None:
        """A supervisor without workers.

        Args:
            start_worker: starts one.
            metrics: where they are counted.
            directory: where they keep their metrics, and copies of models.
            source: folder of the model.
            patience: with each worker.
            security: who is answered at first.
        """
        self._start_worker = start_worker
        self._metrics = metrics
        self._directory = directory
        self._source = source
        self._patience = patience
        self._watchdog = Watchdog(self.watched, patience.to_answer_s, directory, metrics.hung)
        self._alive: dict[int, WorkerProcess] = {}
        self._slots: list[Slot] = []
        self._note = ""
        self.model = ServedModel.beside(source, directory, security)
        """What all workers answer with; while they are replaced, what the first of them did."""
        self.model_version = ""

    async def start(self, count: int) -> None:
        """Starts the workers.

        The first starts alone: what keeps it from starting is said once, and not by each of them.
        Of the others, those that do not start are started again by `keep`. Raises CannotStartError
        where the first does not start, and StartupError where there can be no process.
        """
        self._metrics.wanted.set(count)
        first = self._start(Start(self.model, takes=True))
        if await self._ready(first) is None:
            raise CannotStartError(first.exit_code or EXIT_FAILURE)
        self._count()
        self._slots = [Slot(first, self.model)]
        others = [self._start(Start(self.model)) for _ in range(count - 1)]
        self._slots += [Slot(worker, self.model) for worker in others]
        await together(self._ready(worker) for worker in others)
        self._count()
        self.model_version = _version(first)

    async def keep(self) -> None:
        """Starts dead workers again, and ends those that hang, for ever.

        Whatever keeps them from starting may pass, as a disk or a table of processes that is full.
        """
        works = [self._keep(slot) for slot in self._slots]
        if self._patience.to_answer_s:
            works.append(self._watchdog.run())
        await together(works)

    async def replace_all(
        self,
        asker: WorkerProcess | None = None,
        done: Callable[[str], None] | None = None,
        security: SecuritySettings | None = None,
    ) -> None:
        """Has all workers replaced one by one, by ones that load the bundle anew.

        If one does not start, those that were replaced already go back to the model that was
        served. Raises ReloadError, then.

        Args:
            asker: the worker to be replaced last.
            done: called with the version of the model once nothing can fail any more, while that
                last worker still serves.
            security: who is answered from now on; None: as before.
        """
        old = self.model
        new = ServedModel.beside(self._source, self._directory, security or old.security)
        replaced: list[Slot] = []
        try:
            for slot in sorted(self._slots, key=lambda slot: slot.worker is asker):
                async with slot.lock:
                    start = Start(new, takes=not replaced, relieves=True)
                    successor = await self._successor(start)
                    replaced.append(slot)
                    if len(replaced) == len(self._slots):
                        self.model, self.model_version = new, _version(successor)
                        if done is not None:
                            done(self.model_version)
                    await self._put(slot, successor, new)
        except ReloadError:
            await self._go_back(replaced, old)
            new.drop()
            raise
        old.drop()
        logger.info("workers replaced", workers=len(self._slots))

    def watched(self) -> list[WorkerProcess]:
        """Workers that serve and are not about to end."""
        return [w for w in self._alive.values() if w.serves and not w.stopping]

    def note(self, text: str) -> None:
        """Has the health of the service say so of the last reload; "" for nothing."""
        self._note = text
        for worker in self._alive.values():
            worker.tell(ReloadNote(text))

    async def stop(self, hurry: asyncio.Event) -> None:
        """Lets all workers finish what they do, less of it once `hurry` is set; none is left."""
        impatience = asyncio.create_task(self._hurry(hurry))
        await asyncio.gather(*(self._retire(worker) for worker in tuple(self._alive.values())))
        impatience.cancel()

    async def _keep(self, slot: Slot) -> None:
        while True:
            dead = last = slot.worker
            await dead.exited.wait()
            while True:
                async with slot.lock:
                    if slot.worker is not dead:
                        break
                    pause_s = slot.next_pause_s()
                logger.warning(
                    "worker ended",
                    worker=last.number,
                    exit_code=last.exit_code,
                    restart_in_s=pause_s,
                )
                # Not under the lock: a model that cannot start may be replaced meanwhile.
                await asyncio.sleep(pause_s)
                async with slot.lock:
                    if slot.worker is not dead:
                        break
                    self._metrics.restarts.inc()
                    try:
                        last = self._start(Start(slot.model))
                    except StartupError as error:
                        logger.error(str(error))
                        continue
                    if await self._ready(last) is not None:
                        slot.fill(last, slot.model)
                        self._count()

    async def _put(self, slot: Slot, successor: WorkerProcess, model: ServedModel) -> None:
        old = slot.worker
        slot.fill(successor, model)
        self._count()
        await self._retire(old)

    async def _go_back(self, replaced: list[Slot], old: ServedModel) -> None:
        for slot in replaced:
            slot.model = old
        for slot in replaced:
            async with slot.lock:
                try:
                    successor = await self._successor(Start(old, relieves=True))
                except ReloadError as error:
                    # Its slot is filled with the old model as if it had died.
                    logger.error("the old model does not start either", reason=str(error))
                    await self._retire(slot.worker)
                else:
                    await self._put(slot, successor, old)

    async def _successor(self, start: Start) -> WorkerProcess:
        try:
            worker = self._start(start)
        except StartupError as error:
            raise ReloadError(str(error)) from error
        if await self._ready(worker) is None:
            raise ReloadError(
                worker.failure or f"a new worker ended at its start, exit code {worker.exit_code}"
            )
        return worker

    def _start(self, start: Start) -> WorkerProcess:
        """Start a worker. Raises StartupError where the system gives no process, pipe or memory."""
        number = next(n for n in range(len(self._alive) + 1) if n not in self._alive)
        try:
            worker = self._start_worker(number, self._ended, replace(start, note=self._note))
        except OSError as error:
            raise StartupError(f"no worker can be started: {error.strerror or error}") from error
        self._alive[number] = worker
        return worker

    async def _ready(self, worker: WorkerProcess) -> Ready | None:
        """Waits until a worker serves; None where it has ended, or got no further for too long."""
        while True:
            read = worker.history.read
            try:
                async with asyncio.timeout(self._patience.to_start_s):
                    return await worker.started()
            except TimeoutError:
                so_far = f"{worker.history.read} events of history read, {worker.history.left} left"
                if worker.history.read > read:
                    logger.info("worker still reads history", worker=worker.number, so_far=so_far)
                    continue
            worker.failure = (
                f"a new worker got no further within {self._patience.to_start_s:g} s "
                f"(model.reload_timeout_s): {so_far}"
            )
            logger.error("worker does not become ready: killed", worker=worker.number, at=so_far)
            worker.kill()
            await worker.exited.wait()
            return None

    def _ended(self, worker: WorkerProcess) -> None:
        del self._alive[worker.number]
        forget_worker(self._directory, worker.number)
        self._count()

    async def _retire(self, worker: WorkerProcess) -> None:
        if worker.ready is None:
            worker.kill()  # it has nothing to finish
        else:
            worker.terminate()
        try:
            async with asyncio.timeout(self._patience.to_stop_s):
                await worker.exited.wait()
        except TimeoutError:
            logger.warning("worker does not stop: killed", worker=worker.number)
            worker.kill()
            await worker.exited.wait()

    async def _hurry(self, hurry: asyncio.Event) -> None:
        await hurry.wait()
        for worker in tuple(self._alive.values()):
            worker.terminate()

    def _count(self) -> None:
        self._metrics.up.set(sum(worker.serves for worker in self._alive.values()))


def _version(worker: WorkerProcess) -> str:
    return "" if worker.ready is None else worker.ready.model_version
