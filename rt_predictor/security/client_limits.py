"""Limits of one client: calls a second (a token bucket), calls at once, and of one stream."""

import math
from collections import OrderedDict
from dataclasses import dataclass

from rt_predictor.errors import ClientLimitError

_BUSY_RETRY_S = 1.0
"""Pause that a client with too many calls in progress is told to make."""


@dataclass(frozen=True)
class StreamLimits:
    """Limits of one stream; 0 sets none."""

    messages: int = 0
    idle_timeout_s: float = 0.0

    def __bool__(self) -> bool:
        return bool(self.messages or self.idle_timeout_s)


NO_STREAM_LIMITS = StreamLimits()


@dataclass
class _Client:
    credit: float
    """Calls that it may make at once"""
    since_s: float
    in_progress: int = 0


class ClientLimits:
    """Counts the calls of each client. Used by one event loop.

    Known are at most `max_clients`, those seen last, and as many as had calls in progress at once;
    a client that was forgotten begins anew with a full bucket.
    """

    def __init__(self, *, calls_per_s: float, burst: int, max_calls: int, max_clients: int) -> None:
        """`calls_per_s` and `max_calls` of 0 set no limit."""
        self._calls_per_s = calls_per_s
        self._burst = float(burst)
        self._max_calls = max_calls or math.inf
        self._max_clients = max_clients
        self._clients: OrderedDict[str, _Client] = OrderedDict()

    def __len__(self) -> int:
        return len(self._clients)

    def enter(self, key: str, now_s: float) -> None:
        """Take on one call of a client; `leave` must follow. `now_s` is of a steady clock.

        Raises ClientLimitError; `leave` must then not follow.
        """
        client = self._clients.get(key)
        if client is None:
            self._make_room()
            client = self._clients[key] = _Client(self._burst, now_s)
        self._clients.move_to_end(key)
        if client.in_progress >= self._max_calls:
            raise ClientLimitError(
                _BUSY_RETRY_S, f"has {client.in_progress} calls in progress, as many as it may"
            )
        if self._calls_per_s:
            self._pay(client, now_s)
        client.in_progress += 1

    def leave(self, key: str) -> None:
        """End one call of a client."""
        self._clients[key].in_progress -= 1

    def _pay(self, client: _Client, now_s: float) -> None:
        gained = (now_s - client.since_s) * self._calls_per_s
        client.credit = min(client.credit + gained, self._burst)
        client.since_s = now_s
        if client.credit < 1:
            raise ClientLimitError(
                (1 - client.credit) / self._calls_per_s,
                f"makes more than {self._calls_per_s:g} calls a second",
            )
        client.credit -= 1

    def _make_room(self) -> None:
        """Drop the clients idle longest that have no call in progress."""
        excess = len(self._clients) + 1 - self._max_clients
        if excess > 0:
            idle = (key for key, client in self._clients.items() if not client.in_progress)
            for key in [key for key, _ in zip(idle, range(excess), strict=False)]:
                del self._clients[key]
