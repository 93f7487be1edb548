"""How much outcomes may move a shared state: less for bursts, and bounded for users and clients.

A state is a moving mean: each outcome has a weight, and the sum of all weights does not grow beyond
a window, so that old ones fade. A user may have at most `LEAST_SHARE` of that sum, or as much as
`EQUAL_SHARES` says where few are active; a client that is not trusted at most `LEAST_SHARE`,
whoever it claims to speak for. What would exceed that weighs less, or nothing.
"""

from bisect import bisect_right
from typing import Final

LEAST_SHARE: Final = 0.05
"""Share of the moving weight that any user, and any client, may have."""

EQUAL_SHARES: Final = 1.1
"""Of equal shares, what one of few users may have. More than one, for else equally active users
would all stand at their bounds, where nothing new is learned from any of them."""

HALF_SIBLINGS: Final = 30.0
"""Siblings with which a job counts half."""

_KEPT_ENDS = 256
"""Ends of each user that are remembered: with more siblings a job does not count less."""

_RECOUNT_OUTCOMES = 64
_ACTIVE_WEIGHT = 0.5
_FORGOTTEN_WEIGHT = 0.01
_LEAST_SCALE = 1e-100


class Siblings:
    """Jobs of one user that were under way together: they mostly share one fate.

    The siblings of a job are those of its user that ended between its submit and its end.
    """

    def __init__(self) -> None:
        self.ends_s: dict[int, list[float]] = {}

    def weight(self, user: int, submit_s: float, end_s: float) -> float:
        """Return how much an outcome counts, above 0 and at most 1, and remember it."""
        ends_s = self.ends_s.setdefault(user, [])
        siblings = len(ends_s) - bisect_right(ends_s, submit_s)
        ends_s.append(max(end_s, ends_s[-1]) if ends_s else end_s)
        if len(ends_s) > _KEPT_ENDS:
            del ends_s[0]
        return 1 / (1 + siblings / HALF_SIBLINGS)


class Shares:
    """The moving weight of one state, and what each user and client has of it."""

    def __init__(self, weight: float, window: float) -> None:
        """Start from what was learned before.

        Args:
            weight: of that, above zero and fading with the rest.
            window: most that all outcomes weigh together.
        """
        self.weight = weight
        self.outcomes = 0
        self.active_users = 0
        self.users: dict[int, float] = {}
        self.clients: dict[int, float] = {}
        self.scale = 1.0
        """Users' and clients' weights are kept divided by this, so that all fade by one product."""
        self._window = window

    def step(self, weight: float, user: int, untrusted_client: int | None) -> float:
        """Take an outcome in, and return how far the mean moves towards it: 0 to 1.

        Args:
            weight: of the outcome, at most 1.
            user: id of its user.
            untrusted_client: id of the client that told it; None where that is trusted.
        """
        self.outcomes += 1
        if self.outcomes % _RECOUNT_OUTCOMES == 1:
            self._recount()
        user_share = max(LEAST_SHARE, min(EQUAL_SHARES / max(self.active_users, 1), 1.0))
        weight = min(weight, user_share * self.weight - self.users.get(user, 0.0) * self.scale)
        if untrusted_client is not None:
            used = self.clients.get(untrusted_client, 0.0) * self.scale
            weight = min(weight, LEAST_SHARE * self.weight - used)
        if weight <= 0:
            return 0.0
        if self.weight + weight > self._window:
            self.scale *= (self._window - weight) / self.weight
            self.weight = self._window - weight
        self.weight += weight
        self.users[user] = self.users.get(user, 0.0) + weight / self.scale
        if untrusted_client is not None:
            told = self.clients.get(untrusted_client, 0.0)
            self.clients[untrusted_client] = told + weight / self.scale
        return weight / self.weight

    def _recount(self) -> None:
        """Count the active users, and forget those whose weight has faded."""
        if self.scale < _LEAST_SCALE:
            self.users = {name: weight * self.scale for name, weight in self.users.items()}
            self.clients = {name: weight * self.scale for name, weight in self.clients.items()}
            self.scale = 1.0
        forgotten = _FORGOTTEN_WEIGHT / self.scale
        self.users = {name: weight for name, weight in self.users.items() if weight >= forgotten}
        self.clients = {
            name: weight for name, weight in self.clients.items() if weight >= forgotten
        }
        active = _ACTIVE_WEIGHT / self.scale
        self.active_users = sum(weight >= active for weight in self.users.values())
