"""A worker: one of several processes that serve the same port.

Its supervisor spawns it (never forks: gRPC, Polars and ONNX Runtime do not survive that), is told
once it is ready, and stops it with SIGTERM. A worker whose supervisor dies stops by itself.
"""

import asyncio
import multiprocessing
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

from loguru import logger

from rt_predictor.errors import EXIT_OK
from rt_predictor.observability.logging import configure_logging
from rt_predictor.observability.memory import keep_memory_small
from rt_predictor.serving.run import exit_code_of
from rt_predictor.serving.shadow.place import ShadowPlace
from rt_predictor.settings import Settings

if TYPE_CHECKING:  # costs a supervisor time and memory
    from rt_predictor.serving.port import PredictorFactory


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
    shadow: ShadowPlace | None = None
    """Where a candidate is, if there is one."""


@dataclass(frozen=True)
class Ready:
    """What a worker says once it serves."""

    model_version: str


def worker_main(task: WorkerTask, to_supervisor: Connection) -> None:
    """Runs a worker in a process of its own, to the end of that process."""
    configure_logging(task.settings.logging, worker=task.number)
    keep_memory_small()
    sys.exit(exit_code_of(_serve(task, to_supervisor)))


async def _serve(task: WorkerTask, to_supervisor: Connection) -> int:
    from prometheus_client import CollectorRegistry

    from rt_predictor.history.history import History
    from rt_predictor.observability.metrics import Metrics, share_between_processes
    from rt_predictor.observability.spans import tracer_of
    from rt_predictor.serving.health import Health, State, coverage_check
    from rt_predictor.serving.server import Server, settle_process
    from rt_predictor.serving.signals import stop_signals

    options = task.settings.server
    with ExitStack() as stack:
        stop = stack.enter_context(stop_signals(hangup=lambda: None, interrupt=False))
        parent = multiprocessing.parent_process()
        if parent is not None:
            asyncio.get_running_loop().add_reader(parent.sentinel, stop.ask)
        share_between_processes(task.metrics_directory, task.number)
        tracer = tracer_of(task.settings.tracing, worker=task.number)
        if tracer is not None:
            stack.callback(tracer.close)
        history = History(task.settings.history)
        predictor = task.predictor_factory(task.settings, history)
        metrics = Metrics(CollectorRegistry(), worker=task.number)
        metrics.live.watched(predictor.confidence_level, task.settings.watching)
        server = Server(
            options,
            predictor,
            history,
            metrics,
            {
                "metrics": lambda: Health(State.SERVING, "served by the supervisor"),
                "coverage": coverage_check(
                    history, predictor.confidence_level, task.settings.watching
                ),
            },
            shares_port=True,
            shadow=task.shadow,
            tracer=tracer,
        )
        await server.start(task.port)
        settle_process()
        logger.debug("worker ready", port=task.port, model_version=predictor.model_version)
        to_supervisor.send(Ready(predictor.model_version))
        await stop.asked.wait()
        await server.stop(stop.insisted)
    return EXIT_OK
