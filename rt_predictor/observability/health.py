"""Health: what the parts of the service say of themselves, and what that adds up to."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

from rt_predictor.observability.memory import resident_memory_bytes

if TYPE_CHECKING:  # costs a supervisor time and memory
    from rt_predictor.history.history import History

MODEL = "model"
_MIB = 1024 * 1024


class State(Enum):
    """How a part of the service is, or the whole."""

    SERVING = auto()
    DEGRADED = auto()
    NOT_SERVING = auto()


@dataclass(frozen=True)
class Health:
    """A state, and one line for people."""

    state: State
    message: str


Check = Callable[[], Health]
"""Looks at one part of the service; quick, and never raises."""


class HealthReport:
    """The parts of the service and how each is. Starts out not ready."""

    def __init__(self, checks: Mapping[str, Check]) -> None:
        self._checks = dict(checks)
        self._not_ready = "starting"

    def ready(self) -> None:
        """The service answers from now on."""
        self._not_ready = ""

    def draining(self) -> None:
        """The service takes on no more calls."""
        self._not_ready = "shutting down"

    def parts(self) -> dict[str, Health]:
        """How each part is."""
        return {name: check() for name, check in self._checks.items()}

    def whole(self, parts: Mapping[str, Health]) -> Health:
        """What the parts add up to: without the model nothing is served, without another part less.

        `parts` is an answer of `parts()`.
        """
        if self._not_ready:
            return Health(State.NOT_SERVING, self._not_ready)
        worst = [name for name, part in parts.items() if part.state is not State.SERVING]
        if not worst:
            return Health(State.SERVING, "all parts serve")
        message = "; ".join(f"{name}: {parts[name].message}" for name in worst)
        if MODEL in parts and parts[MODEL].state is State.NOT_SERVING:
            return Health(State.NOT_SERVING, message)
        return Health(State.DEGRADED, message)


def history_check(history: "History") -> Check:
    """Whether outcomes are recorded, and memory holds them."""

    def check() -> Health:
        state = history.state()
        if not state.enabled:
            return Health(State.SERVING, "switched off (history.enabled)")
        troubles = list(state.problems)
        if not troubles and not state.in_step:
            troubles.append(f"{state.behind} events of the log are not read yet")
        if state.set_aside:
            troubles.append(
                f"a damaged log was set aside as {state.set_aside[-1]}: import what it held anew, "
                "then delete it"
            )
        if troubles:
            return Health(State.DEGRADED, "; ".join(troubles))
        return Health(State.SERVING, f"{state.events} jobs under {state.keys} keys")

    return check


def memory_check() -> Health:
    """How much memory this process holds."""
    return Health(State.SERVING, f"{resident_memory_bytes() / _MIB:.0f} MiB resident")
