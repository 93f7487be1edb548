"""The agent as a process, and how a hook asks it."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.waiting import PATIENCE_S

from .conftest import Service, started

LONG_S = 60
"""A deadline that no answer misses, where speed is not what is tested."""


@contextmanager
def agent(path: Path, target: str, *arguments: object, **settings: str) -> Iterator[Service]:
    """An agent that listens; it is gone afterwards."""
    patient = {
        "RT_PREDICTOR_AGENT__DEADLINE_MS": str(LONG_S * 1000),
        "RT_PREDICTOR_AGENT__CALL_TIMEOUT_S": str(LONG_S),
    }
    given = {**patient, **settings}
    with started("agent", "--socket", path, "--target", target, *arguments, **given) as process:
        process.wait_for("listening")
        yield process


def ask(path: Path, line: dict[str, object]) -> dict[str, Any]:
    """One line to the agent, and its answer."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE_S)
        client.connect(str(path))
        client.sendall(json.dumps(line).encode() + b"\n")
        with client.makefile("rb") as answers:
            return dict(json.loads(answers.readline()))
