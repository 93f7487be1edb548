"""Signals to a process that serves: to stop, as events of its loop, and to say where it hangs.

A process writes its traceback down by itself, even while all of its threads hang. It names files,
lines and functions, and nothing that a client sent.
"""

import asyncio
import faulthandler
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

SIGNAL = signal.SIGUSR2
"""Has a worker write down what each of its threads does."""


class StopRequest:
    """Whether this process was asked to stop, and whether it was asked again."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.insisted = asyncio.Event()

    def ask(self) -> None:
        """Asks to finish what is in progress and stop; a second time, to stop at once."""
        if self.asked.is_set():
            self.insisted.set()
        self.asked.set()


@contextmanager
def stop_signals(*, hangup: Callable[[], None], interrupt: bool = True) -> Iterator[StopRequest]:
    """SIGTERM, and SIGINT if `interrupt`, ask to stop; SIGHUP calls `hangup`.

    Without `interrupt` SIGINT is ignored: Ctrl-C reaches a supervisor's workers too, and it is
    the supervisor that tells them what to do.
    """
    loop = asyncio.get_running_loop()
    request = StopRequest()
    actions = {
        signal.SIGTERM: request.ask,
        signal.SIGINT: request.ask if interrupt else _nothing,
        signal.SIGHUP: hangup,
    }
    for number, action in actions.items():
        loop.add_signal_handler(number, action)
    try:
        yield request
    finally:
        for number in actions:
            loop.remove_signal_handler(number)


def _nothing() -> None:
    pass


def leave_traceback(directory: Path, worker: int) -> None:
    """Has this worker's process write a file in `directory` on `SIGNAL`."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    faulthandler.register(SIGNAL, os.open(_file(directory, worker), flags, 0o600))


def traceback_left(directory: Path, worker: int) -> str:
    """What a worker has written there; "" where it has written nothing."""
    try:
        return _file(directory, worker).read_text(errors="replace").strip()
    except OSError:
        return ""


def _file(directory: Path, worker: int) -> Path:
    return directory / f"traceback-{worker}.txt"
