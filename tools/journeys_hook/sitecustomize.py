"""Count calls between files of the package, in a Python that has this folder on its path.

The interpreter imports this module by itself. A thread listens on the Unix socket JOURNEYS/PID: on
`start` counting begins anew, on `stop` what was counted is sent as JSON, [caller's file, caller,
file, function, calls] for each pair of functions; the caller is null where nothing of the package
called.
"""

import json
import os
import socket
import sys
import threading
from collections import Counter
from pathlib import Path
from types import CodeType, FrameType

_PACKAGE = str(Path(os.environ["JOURNEYS_PACKAGE"])) + os.sep
_GENERATED = str(Path("api", "v1")) + os.sep
_EVENT_LOOP = f"{os.sep}asyncio{os.sep}"
_RESUME_AT_START = 0
"""Argument of RESUME where a function starts; after `yield` and `await` it is another."""

Edge = tuple[str | None, str | None, str, str]


class Counting:
    """Calls by who called whom, of all threads, while counting is on."""

    def __init__(self) -> None:
        self.on = False
        self.edges: Counter[Edge] = Counter()

    def __call__(self, frame: FrameType, event: str, _arg: object) -> None:
        """Count a call; the interpreter's profile function."""
        if not self.on or event != "call":
            return
        code = frame.f_code
        file = _file_of(code)
        if file is None or _goes_on(frame):
            return
        caller = _caller_of(frame)
        known = (None, None) if caller is None else (_file_of(caller), caller.co_qualname)
        self.edges[(*known, file, code.co_qualname)] += 1


def _caller_of(frame: FrameType) -> CodeType | None:
    """Return the nearest function of the package that called; None where the event loop did."""
    caller = frame.f_back
    while caller is not None and _EVENT_LOOP not in caller.f_code.co_filename:
        if _file_of(caller.f_code) is not None:
            return caller.f_code
        caller = caller.f_back
    return None


def _file_of(code: CodeType) -> str | None:
    """Return a function's file within the package, None elsewhere and for generated code."""
    name = code.co_filename
    if not name.startswith(_PACKAGE) or name.startswith(_PACKAGE + _GENERATED):
        return None
    return name[len(_PACKAGE) :]


def _goes_on(frame: FrameType) -> bool:
    """Return whether a coroutine or generator goes on after a pause, which is no call."""
    at = frame.f_lasti
    return at >= 0 and frame.f_code.co_code[at + 1] != _RESUME_AT_START


def _listen(counting: Counting, path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        while True:
            connection, _ = server.accept()
            with connection:
                if connection.recv(16) == b"start":
                    counting.edges.clear()
                    counting.on = True
                    connection.sendall(b"{}")
                else:
                    counting.on = False
                    found = [[*edge, count] for edge, count in list(counting.edges.items())]
                    connection.sendall(json.dumps(found).encode())


if "JOURNEYS" in os.environ:
    _counting = Counting()
    _path = Path(os.environ["JOURNEYS"]) / str(os.getpid())
    threading.Thread(target=_listen, args=(_counting, _path), daemon=True).start()
    threading.setprofile(_counting)
    sys.setprofile(_counting)
