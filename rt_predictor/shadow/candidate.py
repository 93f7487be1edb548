"""The candidate's process: it folds the same outcome log, and repeats some of the calls.

The figures come from the very same code with the candidate in the place of the model that serves
(`History` with a learner), so they are those it would have there, to the last bit. The process runs
when nobody else wants the processor. It stops with SIGTERM, or when its parent is gone.
"""

import multiprocessing
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from loguru import logger

from rt_predictor.errors import (
    EXIT_CANNOT_START,
    EXIT_FAILURE,
    EXIT_OK,
    InvalidRequestError,
    StartupError,
    traceback_text,
)
from rt_predictor.observability.logging import configure_logging
from rt_predictor.observability.memory import keep_memory_small, resident_memory_bytes
from rt_predictor.settings import Settings

if TYPE_CHECKING:
    from rt_predictor.history.history import History
    from rt_predictor.predict.predictor import Predictor
    from rt_predictor.shadow.folder import ShadowFolder

REPORT_S = 1.0
"""Time between two reports."""
SNAPSHOT = "shadow"
"""Name of the snapshot of what the candidate has learned of the log."""
_LOOK_S = 0.2
"""How long a stop may go unnoticed."""
_LEAST_PRIORITY = 19
_MESSAGE_BYTES = 1 << 20
_GATHERED = 64
"""Messages that are answered together at most."""


@dataclass(frozen=True)
class CandidateTask:
    """What the process is to do."""

    settings: Settings
    """Of the service; `model.shadow_path` is set"""
    folder: "ShadowFolder"


def candidate_main(task: CandidateTask) -> None:
    """Runs a candidate in a process of its own, to the end of that process."""
    _give_way()
    configure_logging(task.settings.logging)
    logger.configure(extra={"process": "shadow"})
    keep_memory_small()
    stopping = _stop_asked()
    try:
        _run(task, stopping)
    except StartupError as error:
        _say_problem(task, str(error))
        sys.exit(EXIT_CANNOT_START)
    except Exception as error:
        logger.error("the shadow model has an unforeseen error", traceback=traceback_text(error))
        sys.exit(EXIT_FAILURE)
    sys.exit(EXIT_OK)


def _give_way() -> None:
    """Has the system run this process when nothing else wants to run; before it has threads."""
    os.nice(_LEAST_PRIORITY)
    if hasattr(os, "SCHED_IDLE"):
        with suppress(OSError):  # some sandboxes forbid it; the nice value is nearly as good
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    os.environ["POLARS_MAX_THREADS"] = "1"  # read when Polars is imported


class _Stopping:
    asked = False


def _stop_asked() -> _Stopping:
    """Ctrl-C reaches this process too, and it is its parent that tells it what to do."""
    stopping = _Stopping()

    def ask(number: int, frame: object) -> None:
        del number, frame
        stopping.asked = True

    signal.signal(signal.SIGTERM, ask)
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    return stopping


def _run(task: CandidateTask, stopping: _Stopping) -> None:
    from rt_predictor.history.history import History
    from rt_predictor.predict.checks import self_test
    from rt_predictor.predict.predictor import Predictor

    settings = task.settings.with_overrides(
        {"model.path": task.settings.model.shadow_path, "features.optimization.n_jobs": 1}
    )
    history = History(settings.history, SNAPSHOT)
    try:
        predictor = Predictor.load(settings, history)
    except StartupError:
        raise
    except Exception as error:
        logger.error("the shadow model cannot be loaded", traceback=traceback_text(error))
        raise StartupError(f"the bundle cannot be loaded ({type(error).__name__})") from error
    self_test(predictor, time.time())
    logger.info("shadow model loaded", model_version=predictor.model_version)
    history.start()
    try:
        with _listening(task.folder) as calls:
            Candidate(predictor, history, task.folder).live(calls, stopping)
    finally:
        history.stop()


@contextmanager
def _listening(folder: "ShadowFolder") -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as calls:
        try:
            folder.socket.unlink(missing_ok=True)
            calls.bind(str(folder.socket))
        except OSError as error:  # a path may have about a hundred characters
            raise StartupError(
                f"cannot listen on {folder.socket} ({error}): set TMPDIR to a shorter path"
            ) from error
        yield calls


def _say_problem(task: CandidateTask, problem: str) -> None:
    from rt_predictor.shadow.report import ShadowReport

    logger.error("the shadow model cannot be used", reason=problem)
    task.folder.publish(ShadowReport(at_s=time.time(), problem=problem))


class Candidate:
    """A model that is judged and answers nobody. Used by one thread."""

    def __init__(self, predictor: "Predictor", history: "History", folder: "ShadowFolder") -> None:
        from rt_predictor.shadow.report import ShadowReport

        self._predictor = predictor
        self._history = history
        self._folder = folder
        self._report = ShadowReport(0.0, predictor.model_version)

    def live(self, calls: socket.socket, stopping: _Stopping) -> None:
        """Repeats calls and reports, until it is to stop or its parent is gone."""
        parent = multiprocessing.parent_process()
        next_report_s = 0.0
        while not stopping.asked and (parent is None or parent.is_alive()):
            for message in _gathered(calls):
                self.compare(message)
            if time.monotonic() >= next_report_s:
                self.publish()
                next_report_s = time.monotonic() + REPORT_S

    def compare(self, message: bytes) -> None:
        """Repeats the calls of a message; none before the outcome log has been read."""
        from rt_predictor.shadow.sampler import unpack_sample

        if not self._history.read:
            return
        compared = self._report.compared
        try:
            jobs, served_s = unpack_sample(message)
        except InvalidRequestError as error:
            logger.error("a call is not repeated", reason=str(error))
            return
        try:
            found_s = self._predictor.predict(jobs).runtime_s
        except Exception as error:
            if not compared.failed:
                logger.error("the shadow model fails on a call", traceback=traceback_text(error))
            compared = compared.after_failures(len(jobs))
        else:
            compared = compared.after(found_s, served_s)
        self._report = replace(self._report, compared=compared)

    def publish(self) -> None:
        """Says how the candidate is now."""
        state = self._history.state()
        self._report = replace(
            self._report,
            at_s=time.time(),
            problem="; ".join(state.problems),
            behind=state.behind,
            live=self._predictor.live(),
            memory_bytes=resident_memory_bytes(),
        )
        try:
            self._folder.publish(self._report)
        except OSError as error:
            logger.error("the shadow model cannot report", reason=str(error))


def _gathered(calls: socket.socket) -> Iterator[bytes]:
    """What has come, waiting for the first for a moment."""
    calls.settimeout(_LOOK_S)
    for _ in range(_GATHERED):
        try:
            yield calls.recv(_MESSAGE_BYTES)
        except (TimeoutError, BlockingIOError):
            return
        calls.settimeout(0)
