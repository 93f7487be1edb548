"""The service and the echo, each in a process of its own, on free ports of this machine."""

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import IO

from rt_predictor.errors import ServiceError

_STOP_S = 30.0
_READY = "serving"
"""The log line that says so."""


@dataclass(frozen=True)
class Running:
    """A process that answers."""

    target: str
    ready_s: float
    """From the start of its process until it served."""


@dataclass(frozen=True)
class Program:
    """Another version of this program."""

    source: Path
    """Folder that holds its package."""
    python: Path
    """Interpreter with its libraries."""


@contextmanager
def service(
    bundle: Path,
    *,
    workers: int = 1,
    history: Path | None = None,
    environment: Mapping[str, str] | None = None,
    program: Program | None = None,
) -> Iterator[Running]:
    """A service of its own, ready; gone afterwards. Raises ServiceError if it does not start.

    `history` is its outcome log; without one it has a log that is gone afterwards too.
    `environment` is what it has beside the one of this process; `program` another one than this.
    """
    python = sys.executable if program is None else str(program.python)
    command = [python, "-m", "rt_predictor", "serve", "--bundle", str(bundle)]
    command += ["--port", "0", "--metrics-port", "0", "--workers", str(workers)]
    started = perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        settings = {
            "RT_PREDICTOR_LOGGING__FORMAT": "json",
            "RT_PREDICTOR_SERVER__HOST": "127.0.0.1",
            # Never the history of a service that is in use.
            "RT_PREDICTOR_HISTORY__PATH": str(history or Path(folder) / "history.sqlite"),
        }
        process = subprocess.Popen(
            command,
            env=_environment() | settings | dict(environment or {}),
            cwd=None if program is None else program.source,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        with ended(process):
            assert process.stderr is not None
            port = _port(process.stderr)
            yield Running(f"127.0.0.1:{port}", perf_counter() - started)


def _environment() -> dict[str, str]:
    """Return this environment, with bytecode kept: an installed program's has been compiled."""
    return {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}


def _port(log: IO[str]) -> int:
    message = "it said nothing"
    for line in log:
        entry = json.loads(line)
        if entry["message"] == _READY:
            return int(entry["port"])
        message = entry["message"]
    raise ServiceError(f"the service did not start: {message}")


@contextmanager
def echo() -> Iterator[Running]:
    """The bare echo, ready; gone afterwards."""
    started = perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "rt_predictor.bench.echo"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with ended(process):
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        if not port:
            raise ServiceError("the echo did not start")
        yield Running(f"127.0.0.1:{port}", perf_counter() - started)


def free_ports(count: int) -> list[int]:
    """Ports of this machine that nobody listens on now."""
    with ExitStack() as stack:
        taken = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [listener.getsockname()[1] for listener in taken]


@contextmanager
def ended(process: subprocess.Popen[str]) -> Iterator[None]:
    """End a process with the context."""
    try:
        yield
    finally:
        process.terminate()
        try:
            process.communicate(timeout=_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
