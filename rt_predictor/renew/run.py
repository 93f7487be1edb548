"""Runs a renewer: once, or again and again until the process is told to stop."""

import logging
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import FrameType

from loguru import logger

from rt_predictor.errors import RTPredictorError, StartupError
from rt_predictor.eventlog.files import try_lock
from rt_predictor.observability.logging import configure_logging
from rt_predictor.renew.folders import Folders
from rt_predictor.renew.renewer import Renewer
from rt_predictor.settings import Settings

LOOK_S = 3600.0
"""Time between two looks at most: a round that is due may lack jobs, or have failed."""

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class _Stopped(BaseException):
    """The process was told to stop; rounds are safe to be left anywhere."""


@dataclass
class _Stop:
    """Flag: whether the process was told to stop."""

    asked: bool = False

    def ask(self, _number: int, _frame: FrameType | None) -> None:
        """Handle a signal."""
        self.asked = True
        raise _Stopped


def run(
    renewer: Renewer,
    settings: Settings,
    *,
    once: bool,
    sleep: Callable[[float], None] = time.sleep,
) -> bool:
    """Renew until SIGTERM or SIGINT, or do what is due and return if `once`.

    Returns whether it was told to stop. What was cut off may still compute in threads of libraries
    then, so that the process should end without waiting for them.

    Raises StartupError where renewal cannot be done as asked or another process does it; if `once`
    also every error of a round, which else is logged and the round tried again.
    """
    configure_logging(settings.logging)
    # JAX tells at INFO of every accelerator that is not there.
    logging.getLogger("jax").setLevel(logging.WARNING)
    if not settings.model.watch:
        logger.warning(
            "model.watch is off: a bundle that is promoted is served once the service is told to "
            "reload"
        )
    with _until_stopped() as stop, _exclusive(renewer.folders):
        renewer.check()
        if once:
            renewer.round()
        while not once:
            if renewer.wait_s() <= 0:
                _try_round(renewer)
            sleep(_pause_s(renewer.wait_s()))
    return stop.asked


def _try_round(renewer: Renewer) -> None:
    """Do a round, and log one that fails."""
    try:
        renewer.round()
    except RTPredictorError as error:
        logger.warning("the renewal will be tried again", reason=str(error), retry_in_s=LOOK_S)


def _pause_s(wait_s: float) -> float:
    """Return the time until the next look: clocks may be set meanwhile."""
    return min(wait_s, LOOK_S) if wait_s > 0 else LOOK_S


@contextmanager
def _exclusive(folders: Folders) -> Iterator[None]:
    """Hold the lock of the renewal. Raises StartupError where another process does."""
    with ExitStack() as stack:
        try:
            folders.own.mkdir(parents=True, exist_ok=True)
            held = stack.enter_context(try_lock(folders.lock))
        except OSError as error:
            raise StartupError(f"{folders.own} cannot be written: {error.strerror}") from error
        if not held:
            raise StartupError(
                f"another process renews {folders.served} already: it holds {folders.lock}"
            )
        yield


@contextmanager
def _until_stopped() -> Iterator[_Stop]:
    """Leave the context at once when the process is told to stop, wherever it is."""
    stop = _Stop()
    before = {number: signal.signal(number, stop.ask) for number in _SIGNALS}
    try:
        yield stop
    except BaseException:
        if not stop.asked:
            raise
        # Whatever a library made of it: the next round begins where this one was cut off.
        logger.info("stopped")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
