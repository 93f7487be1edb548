"""The supervisor: keeps several workers on one port, and serves the metrics of them all.

It loads no model and answers no call. Dead workers are started again, after pauses that grow;
SIGHUP replaces all of them one by one, the new one up before the old one goes; SIGTERM and SIGINT
let all of them finish what they do.
"""

import asyncio
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from loguru import logger
from prometheus_client import CollectorRegistry

from rt_predictor.errors import EXIT_CANNOT_START, EXIT_FAILURE, EXIT_OK
from rt_predictor.observability.page import (
    MetricsPage,
    add_shared_metrics,
    forget_worker,
    open_metrics_page,
)
from rt_predictor.observability.worker_metrics import WorkerMetrics
from rt_predictor.serving.announce import log_serving
from rt_predictor.serving.shadow.place import ShadowPlace
from rt_predictor.serving.signals import stop_signals
from rt_predictor.serving.sockets import reserve_port
from rt_predictor.serving.worker import WorkerTask
from rt_predictor.serving.worker_process import WorkerProcess
from rt_predictor.settings import Settings

if TYPE_CHECKING:  # costs a supervisor time and memory
    from rt_predictor.serving.port import PredictorFactory

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
STABLE_S = 60.0
"""A worker that served this long does not lengthen the pause after its end."""
STOP_MARGIN_S = 5.0
"""What a worker gets beyond `drain_timeout_s` before it is killed."""

_T = TypeVar("_T")
OnExit = Callable[[WorkerProcess], None]
StartWorker = Callable[[int, OnExit], WorkerProcess]
"""Starts a worker of that number, and says whom to tell once it has ended."""


class CannotStartError(Exception):
    """A worker could not start as asked; it has said why itself."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(f"a worker ended at its start with exit code {exit_code}")
        self.exit_code = exit_code


class _Place:
    """A place for a worker. Whoever changes the worker in it holds the lock."""

    def __init__(self, worker: WorkerProcess) -> None:
        self.worker = worker
        self.lock = asyncio.Lock()
        self.since_s = time.monotonic()
        self.pause_s = FIRST_PAUSE_S

    def fill(self, worker: WorkerProcess) -> None:
        self.worker = worker
        self.since_s = time.monotonic()

    def next_pause_s(self) -> float:
        """The pause before the next start; longer from time to time while starts are in vain."""
        if time.monotonic() - self.since_s > STABLE_S:
            self.pause_s = FIRST_PAUSE_S
        pause_s, self.pause_s = self.pause_s, min(2 * self.pause_s, LONGEST_PAUSE_S)
        return pause_s


class Supervisor:
    """Keeps the workers. Used by one event loop."""

    def __init__(
        self,
        start_worker: StartWorker,
        metrics: WorkerMetrics,
        directory: Path,
        *,
        stop_within_s: float,
    ) -> None:
        """A supervisor without workers.

        Args:
            start_worker: starts one.
            metrics: where they are counted.
            directory: where they keep their metrics.
            stop_within_s: how long one may take to stop before it is killed.
        """
        self._start_worker = start_worker
        self._metrics = metrics
        self._directory = directory
        self._stop_within_s = stop_within_s
        self._alive: dict[int, WorkerProcess] = {}
        self._places: list[_Place] = []

    async def start(self, count: int) -> str:
        """Starts the workers. Returns the version of the model they answer with.

        The first starts alone: what keeps it from starting is said once, and not by each of them.
        Raises CannotStartError.
        """
        self._metrics.wanted.set(count)
        first = await self._started()
        others = await _together(self._started() for _ in range(count - 1))
        self._places = [_Place(worker) for worker in (first, *others)]
        return "" if first.ready is None else first.ready.model_version

    async def keep(self) -> None:
        """Starts dead workers again, for ever.

        Raises CannotStartError once no worker serves and none can start as asked.
        """
        await _together(self._keep(place) for place in self._places)

    async def replace_all(self) -> None:
        """Replaces the workers one by one; the old ones stay if a new one does not start."""
        for place in self._places:
            async with place.lock:
                successor = self._start()
                if await successor.started() is None:
                    logger.error("a new worker does not start: the old ones stay")
                    return
                old = place.worker
                place.fill(successor)
                self._count()
                await self._retire(old)
        logger.info("workers replaced", workers=len(self._places))

    async def stop(self, hurry: asyncio.Event) -> None:
        """Lets all workers finish what they do, less of it once `hurry` is set; none is left."""
        impatience = asyncio.create_task(self._hurry(hurry))
        await asyncio.gather(*(self._retire(worker) for worker in tuple(self._alive.values())))
        impatience.cancel()

    async def _keep(self, place: _Place) -> None:
        while True:
            worker = place.worker
            await worker.exited.wait()
            async with place.lock:
                if place.worker is worker:
                    await self._restart(place)

    async def _restart(self, place: _Place) -> None:
        dead = place.worker
        while not dead.serves:
            none_serves = not any(worker.serves for worker in self._alive.values())
            if dead.ready is None and dead.exit_code == EXIT_CANNOT_START and none_serves:
                raise CannotStartError(EXIT_CANNOT_START)
            pause_s = place.next_pause_s()
            logger.warning(
                "worker ended", worker=dead.number, exit_code=dead.exit_code, restart_in_s=pause_s
            )
            await asyncio.sleep(pause_s)
            self._metrics.restarts.inc()
            dead = self._start()
            await dead.started()
        place.fill(dead)
        self._count()

    async def _started(self) -> WorkerProcess:
        worker = self._start()
        if await worker.started() is None:
            raise CannotStartError(worker.exit_code or EXIT_FAILURE)
        self._count()
        return worker

    def _start(self) -> WorkerProcess:
        number = next(n for n in range(len(self._alive) + 1) if n not in self._alive)
        worker = self._start_worker(number, self._ended)
        self._alive[number] = worker
        return worker

    def _ended(self, worker: WorkerProcess) -> None:
        del self._alive[worker.number]
        forget_worker(self._directory, worker.number)
        self._count()

    async def _retire(self, worker: WorkerProcess) -> None:
        worker.terminate()
        try:
            async with asyncio.timeout(self._stop_within_s):
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


async def supervise(
    settings: Settings, predictor_factory: "PredictorFactory", shadow: ShadowPlace | None = None
) -> int:
    """Serves from `server.max_workers` processes until SIGTERM or SIGINT. Returns an exit code.

    Raises StartupError where the port or the metrics port cannot be used.
    """
    options = settings.server
    hangup = asyncio.Event()
    with ExitStack() as stack:
        stop = stack.enter_context(stop_signals(hangup=hangup.set))
        reserved = stack.enter_context(reserve_port(options.host, options.port))
        port: int = reserved.getsockname()[1]
        directory = Path(
            stack.enter_context(
                tempfile.TemporaryDirectory(prefix="rt-predictor-", ignore_cleanup_errors=True)
            )
        )
        registry = CollectorRegistry()
        add_shared_metrics(registry, directory)
        if shadow is not None:
            # Costs a supervisor that has no candidate time and memory.
            from rt_predictor.observability.shadow_metrics import ShadowMetrics

            registry.register(ShadowMetrics(shadow.latest))
        metrics = WorkerMetrics(registry)
        page = open_metrics_page(options, registry) if options.metrics_enabled else None
        if page is not None:
            stack.callback(page.close)

        def start_worker(number: int, on_exit: OnExit) -> WorkerProcess:
            task = WorkerTask(settings, predictor_factory, number, port, directory, shadow)
            return WorkerProcess(task, on_exit)

        supervisor = Supervisor(
            start_worker,
            metrics,
            directory,
            stop_within_s=options.drain_timeout_s + STOP_MARGIN_S,
        )

        try:
            stopped = asyncio.create_task(stop.asked.wait())
            await _until(stopped, _live(settings, port, page, supervisor, hangup))
            logger.info("shutting down", drain_timeout_s=options.drain_timeout_s)
        except CannotStartError as error:
            # The worker has said why, and one line is enough; a crash says nothing.
            if error.exit_code != EXIT_CANNOT_START:
                logger.error(str(error))
            return EXIT_CANNOT_START if error.exit_code == EXIT_CANNOT_START else EXIT_FAILURE
        finally:
            await supervisor.stop(stop.insisted)
    logger.info("stopped")
    return EXIT_OK


async def _live(
    settings: Settings,
    port: int,
    page: MetricsPage | None,
    supervisor: Supervisor,
    hangup: asyncio.Event,
) -> None:
    version = await supervisor.start(settings.server.max_workers)
    log_serving(settings, port, page, version)
    await _together((supervisor.keep(), _replace_on(hangup, supervisor)))


async def _replace_on(hangup: asyncio.Event, supervisor: Supervisor) -> None:
    while True:
        await hangup.wait()
        hangup.clear()
        await supervisor.replace_all()


async def _until(end: asyncio.Task[bool], work: Coroutine[None, None, None]) -> None:
    """Works until the end comes. Raises what the work raises before."""
    working = asyncio.create_task(work)
    try:
        await asyncio.wait((end, working), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
    finally:
        for task in (end, working):
            task.cancel()
        await asyncio.gather(end, working, return_exceptions=True)


async def _together(works: Iterable[Coroutine[None, None, _T]]) -> list[_T]:
    """Works on all at once; when one fails, ends the others and raises its error."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
