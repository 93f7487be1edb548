"""Series of a worker in files that its supervisor reads, each looked up in its file once.

A call counts some fifteen things. The library's own values look up where they are, ask which
process this is and pack a time beside each number, every time: two thirds of what they cost.
"""

import os
from pathlib import Path
from threading import Lock
from typing import Any

from prometheus_client import values


def share_between_processes(directory: Path, worker: int) -> None:
    """Make series created from now on live in files of `directory`.

    `worker` names the files: a number that no other process alive uses. A worker that takes the
    number of a dead one carries its counters on, so that files do not pile up.
    """
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(directory)
    values.ValueClass = _quick(
        values.MultiProcessValue(  # type: ignore[no-untyped-call]
            process_identifier=lambda: worker
        )
    )


def _quick(library: Any) -> Any:
    """Return the library's class of values with a quicker `inc`; workers are never forked.

    A file that grows is mapped anew; what is written to the mapping before is in the file too.
    """
    lock = Lock()

    class QuickValue(library):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self._doubles = memoryview(self._file._m).cast("B").cast("d")
            self._index = self._file._positions[self._key] // self._doubles.itemsize

        def inc(self, amount: float) -> None:
            with lock:
                self._value: float = self._value + amount
                self._doubles[self._index] = self._value

    return QuickValue
