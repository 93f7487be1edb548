"""What every scene of the demo uses: where the service listens, how commands and answers look."""

import shlex
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from rt_predictor.cli import main as rt_predictor
from rt_predictor.cli.words import duration, percent
from rt_predictor.client import Answer, Rejection
from rt_predictor.errors import EXIT_OK, ServiceError


@dataclass(frozen=True)
class Stage:
    """Where the service listens, and what it takes."""

    grpc: int
    metrics: int
    """0 where the metrics page is switched off."""
    takes_outcomes: bool
    """Whether history is switched on."""
    model: Path | None
    """Folder of the model that is served, which the service watches; None leaves tuning out."""

    @property
    def target(self) -> str:
        """What a client on this machine is given."""
        return f"localhost:{self.grpc}"


def in_words(answer: Answer) -> str:
    """An answer on one line."""
    if isinstance(answer, Rejection):
        return f"not predicted: {answer.message}"
    interval = f"{duration(answer.confidence_lower)} to {duration(answer.confidence_upper)}"
    return f"{duration(answer.predicted_runtime)} ({percent(answer.confidence_level)}: {interval})"


def run_command(words: list[str]) -> None:
    """Shows a command as a user would type it, and runs it.

    Raises ServiceError where it fails.
    """
    print(f"$ rt-predictor {shlex.join(words)}", flush=True)
    code = rt_predictor(words)
    sys.stdout.flush()
    if code == 128 + signal.SIGINT:
        raise KeyboardInterrupt
    if code != EXIT_OK:
        raise ServiceError(f"the command above failed with exit code {code}")


def say(text: str) -> None:
    """One line to the user, apart from what programs print."""
    print(f"\n{text}", flush=True)
