"""Circuit breaker: after failures in a row the service is not asked for a while.

No submission finds out whether a service is back: that is the heartbeat's work.
"""

from enum import StrEnum


class Circuit:
    """Counts failures in a row; says when to look at the service next.

    Args:
        failures: failures in a row that open the circuit.
        heartbeat_s: time between two looks while it is closed.
        backoff_max_s: longest time between two looks while it is open; they double up to it.
    """

    def __init__(self, failures: int, heartbeat_s: float, backoff_max_s: float) -> None:
        self._limit = failures
        self._heartbeat_s = heartbeat_s
        self._backoff_max_s = max(backoff_max_s, heartbeat_s)
        self._in_a_row = 0
        self._looks = 0
        self.state = CircuitState.CLOSED

    @property
    def is_open(self) -> bool:
        """Return whether requests are answered without asking."""
        return self.state is CircuitState.OPEN

    def succeeded(self) -> None:
        """The service has answered."""
        self._in_a_row = self._looks = 0
        self.state = CircuitState.CLOSED

    def failed(self) -> None:
        """A call to the service has failed."""
        self._in_a_row += 1
        if self._in_a_row >= self._limit:
            self.state = CircuitState.OPEN

    def absent(self) -> None:
        """A look at the service says that it cannot predict: opens at once."""
        self._looks += 1
        self.state = CircuitState.OPEN

    @property
    def next_look_s(self) -> float:
        """Time until the next look."""
        if not self.is_open:
            return self._heartbeat_s
        return float(min(self._heartbeat_s * 2.0 ** min(self._looks, 30), self._backoff_max_s))


class CircuitState(StrEnum):
    """`CLOSED`: the service is asked; `OPEN`: it is left alone."""

    CLOSED = "closed"
    OPEN = "open"
