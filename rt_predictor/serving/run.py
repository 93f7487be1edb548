"""Runs the service in this process or in several, and turns how it went into an exit code."""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING

from loguru import logger

from rt_predictor.errors import RTPredictorError, outcome_of, traceback_text
from rt_predictor.observability.logging import configure_logging, log_loop_error
from rt_predictor.observability.memory import keep_memory_small
from rt_predictor.serving.shadow.keeper import shadow_beside
from rt_predictor.serving.shadow.place import ShadowPlace
from rt_predictor.serving.sockets import shares_ports
from rt_predictor.settings import Settings

if TYPE_CHECKING:  # costs a supervisor time and memory
    from rt_predictor.history.history import History
    from rt_predictor.serving.port import PredictorFactory, PredictorPort


def load_predictor(settings: Settings, history: "History") -> "PredictorPort":
    """The predictor that the settings name. Raises BundleError."""
    from rt_predictor.serving.predictor import Predictor

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
    shadow: ShadowPlace | None,
    reread: Callable[[], Settings] | None,
) -> int:
    if shares_ports():
        from rt_predictor.serving.supervise import supervise

        return exit_code_of(supervise(settings, predictor_factory, shadow, reread))
    if settings.server.max_workers > 1:
        logger.warning("this system cannot share a port between processes: serving from one")
    from rt_predictor.serving.alone import serve

    return exit_code_of(serve(settings, predictor_factory, shadow))


def exit_code_of(main: Coroutine[None, None, int]) -> int:
    """Runs a program to its end on the fastest event loop there is; errors become a log line."""
    try:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.get_loop().set_exception_handler(log_loop_error)
            return runner.run(main)
    except RTPredictorError as error:
        logger.error(str(error))
        return outcome_of(error).exit_code
    except Exception as error:
        logger.error("unforeseen error", traceback=traceback_text(error))
        return outcome_of(error).exit_code


def new_event_loop() -> asyncio.AbstractEventLoop:
    """uvloop's; asyncio's own on Windows, for which there is no uvloop."""
    if sys.platform == "win32":
        return asyncio.new_event_loop()
    import uvloop

    return uvloop.new_event_loop()
