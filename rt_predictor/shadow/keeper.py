"""Keeps a candidate's process running beside the service, from a thread of its own.

Whatever becomes of the candidate, the service starts, serves and stops as without it. A process
that dies is started again after a pause that grows; one whose bundle cannot be used stays away. In
either case another bundle in the same folder is taken up as soon as it is whole.
"""

import multiprocessing
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path

from loguru import logger

from rt_predictor.errors import EXIT_CANNOT_START
from rt_predictor.settings import Settings
from rt_predictor.shadow.candidate import CandidateTask, candidate_main
from rt_predictor.shadow.folder import ShadowFolder

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
STABLE_S = 60.0
"""A process that lived this long does not lengthen the pause after its end."""
LOOK_S = 2.0
"""Time between two looks at the bundle; one that is the same at two of them is whole."""
STOP_WITHIN_S = 10.0
"""What it gets to store what it knows before it is killed."""

_SPAWN = multiprocessing.get_context("spawn")
StartProcess = Callable[[], BaseProcess]
Look = Callable[[], object]
"""Gives another value once a bundle is another."""


@contextmanager
def shadow_beside(settings: Settings) -> Iterator[ShadowFolder | None]:
    """A candidate beside the service for as long as the context lasts; None where none is set."""
    folder_of_bundle = settings.model.shadow_path
    if folder_of_bundle is None:
        yield None
        return
    with tempfile.TemporaryDirectory(
        prefix="rt-predictor-shadow-", ignore_cleanup_errors=True
    ) as folder:
        shared = ShadowFolder(Path(folder), settings.model.shadow_share)
        task = CandidateTask(settings, shared)

        def start() -> BaseProcess:
            process = _SPAWN.Process(
                target=candidate_main, args=(task,), name="rt-predictor-shadow", daemon=True
            )
            process.start()
            return process

        keeper = ShadowKeeper(start, lambda: _files(folder_of_bundle))
        keeper.start()
        try:
            yield shared
        finally:
            keeper.stop()


class ShadowKeeper:
    """Owns the process, and the thread that watches it."""

    def __init__(self, start_process: StartProcess, look: Look) -> None:
        """A keeper of nothing yet.

        Args:
            start_process: starts a process.
            look: looks at the bundle.
        """
        self._start_process = start_process
        self._look = look
        self._thread = threading.Thread(target=self._run, name="rt-predictor-shadow", daemon=True)
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._process: BaseProcess | None = None

    def start(self) -> None:
        """Starts the process, and keeps it running from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the process; it is gone afterwards."""
        with self._lock:
            self._stopping.set()
            process = self._process
        if process is not None:
            _end(process)
        self._thread.join()

    def _run(self) -> None:
        pause_s = FIRST_PAUSE_S
        seen = self._look()
        while (process := self._started()) is not None:
            since_s = time.monotonic()
            changed = self._changed(seen, process.join, process.is_alive)
            if not changed and process.exitcode == EXIT_CANNOT_START:  # it has said why
                changed = self._changed(seen, self._stopping.wait, lambda: True)
            if self._stopping.is_set():
                return
            if changed:
                _end(process)
                logger.info("another shadow model is loaded: its folder has changed")
                seen, pause_s = self._look(), FIRST_PAUSE_S
                continue
            if time.monotonic() - since_s > STABLE_S:
                pause_s = FIRST_PAUSE_S
            logger.warning("shadow model ended", exit_code=process.exitcode, restart_in_s=pause_s)
            self._stopping.wait(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _changed(
        self, seen: object, wait: Callable[[float], object], going_on: Callable[[], bool]
    ) -> bool:
        """Waits until the bundle is another, and whole: whether it is, or something has ended."""
        last = seen
        while not self._stopping.is_set() and going_on():
            wait(LOOK_S)
            before, last = last, self._look()
            if before == last != seen:
                return True
        return False

    def _started(self) -> BaseProcess | None:
        """A new process; None once there is to be none, or none can be had."""
        with self._lock:
            if self._stopping.is_set():
                return None
            try:
                self._process = self._start_process()
            except OSError as error:
                logger.error("the shadow model's process cannot be started", reason=str(error))
                return None
            return self._process


def _end(process: BaseProcess) -> None:
    process.terminate()
    process.join(STOP_WITHIN_S)
    if process.is_alive():
        logger.warning("the shadow model does not stop: killed")
        process.kill()
        process.join()


def _files(folder: Path) -> object:
    """The files of a folder, and when each was changed."""
    try:
        found = [(file.name, file.stat()) for file in sorted(folder.iterdir())]
    except OSError:
        return None
    return [(name, status.st_size, status.st_mtime_ns, status.st_ino) for name, status in found]
