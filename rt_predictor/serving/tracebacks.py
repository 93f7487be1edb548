"""Where a process hangs, written down by itself on a signal, even while all of its threads hang.

A traceback names files, lines and functions, and nothing that a client sent.
"""

import faulthandler
import os
import signal
from pathlib import Path

SIGNAL = signal.SIGUSR2
"""Has a worker write down what each of its threads does."""


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
