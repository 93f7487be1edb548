"""State of a renewal, in one small file that survives any death of the process."""

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from rt_predictor.durable_files import replace_file
from rt_predictor.errors import RenewalError, StartupError
from rt_predictor.model.documents import Document

KEPT_DECISIONS = 50
"""Decisions that are remembered at most, the latest."""

Outcome = Literal["promoted", "dropped", "lost"]


class Candidate(Document):
    """The bundle that was trained last."""

    model_version: str
    digest: str = Field(description="of its manifest; what tells it from other bundles")
    trained_at_s: float = Field(description="Unix s by our clock")
    learned_until_s: float = Field(description="end of the last job that it learned from, Unix s")
    jobs: int = Field(ge=0, description="that it learned from")
    waits: bool = Field(description="whether it is still to be judged")


class Decision(Document):
    """Result of a candidate."""

    at_s: float
    model_version: str
    outcome: Outcome
    reason: str


class State(Document):
    """All that one round leaves to the next."""

    format: Literal[1] = 1
    candidate: Candidate | None = None
    decisions: tuple[Decision, ...] = ()

    def decided(self, outcome: Outcome, reason: str, at_s: float) -> "State":
        """Return the state once the candidate that waits does so no more."""
        if self.candidate is None:
            raise ValueError("there is no candidate to decide on")
        decision = Decision(
            at_s=at_s,
            model_version=self.candidate.model_version,
            outcome=outcome,
            reason=reason,
        )
        return State(
            candidate=self.candidate.model_copy(update={"waits": False}),
            decisions=(*self.decisions, decision)[-KEPT_DECISIONS:],
        )


def read_state(path: Path) -> State:
    """Read the state; that of no renewal yet where there is no file.

    Raises StartupError where the file cannot be read.
    """
    try:
        return State.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return State()
    except (OSError, ValidationError) as error:
        first = str(error).splitlines()[0]
        raise StartupError(
            f"cannot read {path} ({first}): delete it; a candidate that waits is then trained anew"
        ) from error


def write_state(path: Path, state: State) -> None:
    """Write the state: all of the file, or nothing. Raises RenewalError where it cannot."""
    try:
        replace_file(path, f"{state.model_dump_json(indent=1)}\n".encode())
    except OSError as error:
        raise RenewalError(f"cannot write {path}: {error.strerror or error}") from error
