"""A worker: one of several processes that serve the same port.

Its supervisor spawns it (never forks: gRPC, Polars and ONNX Runtime do not survive that), is told
once it is ready, and stops it with SIGTERM. A worker whose supervisor dies stops by itself.
"""

import asyncio
import multiprocessing
import sys
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

from loguru import logger

from rt_predictor.errors import EXIT_OK, BundleError, StartupError
from rt_predictor.observability.logging import configure_logging
from rt_predictor.observability.memory import keep_memory_small
from rt_predictor.processes.event_loop import exit_code_of
from rt_predictor.processes.messages import CannotStart, ReadingHistory, Ready
from rt_predictor.processes.served_model import ServedModel
from rt_predictor.processes.signals import leave_traceback
from rt_predictor.settings import Settings
from rt_predictor.shadow.folder import ShadowFolder

if TYPE_CHECKING:  # costs a supervisor time and memory
    from rt_predictor.history.history import History
    from rt_predictor.predict.port import PredictorFactory, PredictorPort
    from rt_predictor.processes.supervisor_line import SupervisorLine

PROGRESS_S = 1.0
"""Time between two words on how far history is read."""
_NEVER_S = 1e9
RETAKE_S = 0.2
"""Pause before a bundle that could not be loaded is copied again."""


@dataclass(frozen=True)
class Start:
    """How a worker is started."""

    model: ServedModel
    takes: bool = False
    """Whether it makes the model's copy: the first one that loads it"""
    relieves: bool = False
    """Whether another one serves in its place until it is ready"""
    note: str = ""
    """What the health of the service says of the last reload"""


@dataclass(frozen=True)
class WorkerTask:
    """What a worker is to do."""

    settings: Settings
    predictor_factory: "PredictorFactory"
    number: int
    """Which of the workers it is; none alive has the same."""
    port: int
    """The port to share, never 0."""
    metrics_directory: Path
    """Where its series go."""
    start: Start
    shadow: ShadowFolder | None = None
    """Where a candidate is, if there is one."""


def worker_main(task: WorkerTask, to_supervisor: Connection) -> None:
    """Runs a worker in a process of its own, to the end of that process."""
    configure_logging(task.settings.logging, worker=task.number)
    keep_memory_small()
    leave_traceback(task.metrics_directory, task.number)
    sys.exit(exit_code_of(_tell_of_failure(task, to_supervisor)))


async def _tell_of_failure(task: WorkerTask, to_supervisor: Connection) -> int:
    try:
        return await _serve(task, to_supervisor)
    except StartupError as error:
        to_supervisor.send(CannotStart(str(error)))
        raise


async def _serve(task: WorkerTask, to_supervisor: Connection) -> int:
    from prometheus_client import CollectorRegistry

    from rt_predictor.api.server import Server, settle_process
    from rt_predictor.history.history import History
    from rt_predictor.observability.health import Health, State
    from rt_predictor.observability.metrics import Metrics, share_between_processes
    from rt_predictor.observability.spans import tracer_of
    from rt_predictor.predict.checks import coverage_check
    from rt_predictor.processes.signals import stop_signals
    from rt_predictor.processes.supervisor_line import SupervisorLine, reload_check
    from rt_predictor.security.security import Security

    options = task.settings.server
    with ExitStack() as stack:
        stop = stack.enter_context(stop_signals(hangup=lambda: None, interrupt=False))
        parent = multiprocessing.parent_process()
        if parent is not None:
            asyncio.get_running_loop().add_reader(parent.sentinel, stop.ask)
        security = Security.open(task.start.model.security)
        share_between_processes(task.metrics_directory, task.number)
        tracer = tracer_of(task.settings.tracing, worker=task.number)
        if tracer is not None:
            stack.callback(tracer.close)
        enforced = task.settings.prediction.limits_enforced
        history = History(_patient(task).history, limits_enforced=enforced)
        predictor = _load(task, history)
        line = SupervisorLine(to_supervisor, task.start.note)
        metrics = Metrics(CollectorRegistry(), worker=task.number)
        metrics.live.watched(predictor.views.level, task.settings.watching)
        server = Server(
            options,
            predictor,
            history,
            metrics,
            {
                "metrics": lambda: Health(State.SERVING, "served by the supervisor"),
                "coverage": coverage_check(predictor, task.settings.watching),
                "reload": reload_check(line),
            },
            shares_port=True,
            folder=task.metrics_directory,
            reload=line.reload,
            shadow=task.shadow,
            tracer=tracer,
            security=security,
        )
        telling = asyncio.create_task(_tell_progress(history, line))
        try:
            await server.start(task.port)
        finally:
            telling.cancel()
        settle_process()
        logger.debug("worker ready", port=task.port, model_version=predictor.model_version)
        line.listen()
        line.say(Ready(predictor.model_version))
        await stop.asked.wait()
        await server.stop(stop.insisted)
        line.hang_up()
    return EXIT_OK


async def _tell_progress(history: "History", line: "SupervisorLine") -> None:
    """Tells the supervisor how far history is read, as long as that goes on."""
    told = 0
    while True:
        await asyncio.sleep(PROGRESS_S)
        state = history.state()
        if state.folded > told:
            told = state.folded
            with suppress(OSError):  # it is gone
                line.say(ReadingHistory(state.folded, state.behind))


def _patient(task: WorkerTask) -> Settings:
    """The settings; while another worker serves in its place, this one waits for all of history."""
    if not task.start.relieves:
        return task.settings
    return task.settings.with_overrides(
        {"history.catch_up_timeout_s": _NEVER_S}  # the supervisor ends one that does not get on
    )


def _load(task: WorkerTask, history: "History") -> "PredictorPort":
    """The predictor over the model's copy, which the first worker makes. Raises StartupError."""
    model = task.start.model
    settings = task.settings.with_overrides({"model.path": model.copy})
    if not task.start.takes:
        return task.predictor_factory(settings, history)
    try:
        model.take()
        return task.predictor_factory(settings, history)
    except (BundleError, OSError):
        # It may have been replaced while it was copied: once more.
        time.sleep(RETAKE_S)
    try:
        model.take()
        return task.predictor_factory(settings, history)
    except BundleError as error:
        raise BundleError(str(error).replace(str(model.copy), str(model.source))) from None
    except OSError as error:
        raise BundleError(f"{model.source} cannot be copied: {error}") from error
