"""Runs the service in this process or in several, and turns how it went into an exit code."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from loguru import logger

from rt_predictor.api.sockets import shares_ports
from rt_predictor.observability.logging import configure_logging
from rt_predictor.observability.memory import keep_memory_small
from rt_predictor.processes.event_loop import exit_code_of
from rt_predictor.settings import Settings
from rt_predictor.shadow.folder import ShadowFolder
from rt_predictor.shadow.keeper import shadow_beside

if TYPE_CHECKING:  # costs a supervisor time and memory
    from rt_predictor.history.history import History
    from rt_predictor.predict.port import PredictorFactory, PredictorPort


def load_predictor(settings: Settings, history: "History") -> "PredictorPort":
    """The predictor that the settings name. Raises BundleError."""
    from rt_predictor.predict.predictor import Predictor

    return Predictor.load(settings, history)


def run(
    settings: Settings,
    predictor_factory: "PredictorFactory" = load_predictor,
    reread: Callable[[], Settings] | None = None,
) -> int:
    """Serves until SIGTERM or SIGINT. Returns the process's exit code.

    Where processes can share a port, even one worker has a supervisor, so that it can be replaced
    without a stop; `predictor_factory` must then be importable from other processes. `reread` reads
    the settings anew, for who may ask after SIGHUP; it raises SettingsError.
    """
    configure_logging(settings.logging)
    keep_memory_small()
    with shadow_beside(settings) as shadow:
        return _run(settings, predictor_factory, shadow, reread)


def _run(
    settings: Settings,
    predictor_factory: "PredictorFactory",
    shadow: ShadowFolder | None,
    reread: Callable[[], Settings] | None,
) -> int:
    if shares_ports():
        from rt_predictor.processes.supervise import supervise

        return exit_code_of(supervise(settings, predictor_factory, shadow, reread))
    if settings.server.max_workers > 1:
        logger.warning("this system cannot share a port between processes: serving from one")
    from rt_predictor.processes.single_process import serve

    return exit_code_of(serve(settings, predictor_factory, shadow))
