"""How much outcomes may move a shared state: less for bursts, and bounded for users and clients.

A state is a moving mean: each outcome has a weight, and the sum of all weights does not grow beyond
a window, so that old ones fade. A user may have at most `LEAST_SHARE` of that sum, or one part in
the number of active users where that is more. So may a client, whoever it claims to speak for; but
where a trusted client has told of any job lately, one that is not trusted has `LEAST_SHARE` at
most. What would exceed that weighs less, or nothing.

Weights fade only as others come in, so that a flood does not wash away what others taught. Those
who are equally active would so hold each other fast once each has his part; therefore nobody is cut
below what all others offer (`greatest_count`), and what one has is also forgotten with time. Only
beside a trusted client, what the others have is not.
"""

import math
from bisect import bisect_right
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rt_predictor.history.known_jobs import Arrays
from rt_predictor.online.arrays import named_parts, part_of
from rt_predictor.online.outcome_weights import LEAST_SHARE, equal_share, greatest_count

HALF_SIBLINGS: Final = 30.0
"""Siblings with which a job counts half."""

HALF_LIFE_S: Final = 7 * 86400.0
"""Time after which what a user or a client has counts half against it."""

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

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what a snapshot holds."""
        ends_s = self.ends_s.values()
        return {
            "users": np.array(list(self.ends_s), np.uint64),
            "counts": np.array([len(ends) for ends in ends_s], np.int64),
            "ends_s": np.array([end_s for ends in ends_s for end_s in ends], np.float64),
        }

    @classmethod
    def of(cls, arrays: Arrays) -> "Siblings":
        """Return what `arrays` of another gave."""
        found = cls()
        ends_s = np.split(arrays["ends_s"], np.cumsum(arrays["counts"])[:-1])
        for user, ends in zip(arrays["users"].tolist(), ends_s, strict=False):
            found.ends_s[user] = ends.tolist()
        return found


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
        self.users, self.clients = Bound(), Bound()
        self.held = Faded()
        """What each client that is not trusted has of the weight."""
        self.seen_s = -math.inf
        """Time up to which what users and clients have has faded."""
        self._window = window

    def count(
        self,
        weight: float,
        user: int,
        untrusted_client: int | None,
        now_s: float,
        *,
        beside_trusted: bool,
    ) -> float:
        """Take an outcome in, and return how much it counts: 0 to `weight`.

        The mean moves towards it by that over `self.weight`.

        Args:
            weight: of the outcome, at most 1.
            user: id of its user.
            untrusted_client: id of the client that told it; None where that is trusted.
            now_s: latest end of a job, Unix s.
            beside_trusted: whether a trusted client has told of any job lately.
        """
        self.outcomes += 1
        if self.outcomes % _RECOUNT_OUTCOMES == 1:
            self._recount(now_s)
        self.users.offered.add(user, weight)
        room = self.users.room(user, self.weight)
        if untrusted_client is not None:
            self.clients.offered.add(untrusted_client, weight)
            if beside_trusted:
                room = min(room, LEAST_SHARE * self.weight - self.held.get(untrusted_client))
            else:
                room = min(room, self.clients.room(untrusted_client, self.weight))
        weight = min(weight, room)
        if weight <= 0:
            return 0.0
        if self.weight + weight > self._window:
            kept = (self._window - weight) / self.weight
            for known in self.faded:
                known.scale *= kept
            self.weight = self._window - weight
        self.weight += weight
        self.users.used.add(user, weight)
        if untrusted_client is not None:
            self.clients.used.add(untrusted_client, weight)
            self.held.add(untrusted_client, weight)
        return weight

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what a snapshot holds."""
        numbers = [self.weight, self.outcomes, self.seen_s]
        for bound in (self.users, self.clients):
            numbers += [bound.share, bound.most]
        found: dict[str, NDArray[Any]] = {"numbers": np.array(numbers)}
        for number, known in enumerate(self.faded):
            found |= named_parts(f"faded{number}.", known.arrays())
        return found

    def restore(self, arrays: Arrays) -> None:
        """Go on where another's `arrays` were taken."""
        self.weight, outcomes, self.seen_s, *limits = arrays["numbers"].tolist()
        self.outcomes = int(outcomes)
        self.users.share, self.users.most, self.clients.share, self.clients.most = limits
        found = (Faded.of(part_of(f"faded{number}.", arrays)) for number in range(len(self.faded)))
        self.users.used, self.users.offered, self.clients.used, self.clients.offered, self.held = (
            found
        )

    @property
    def faded(self) -> "tuple[Faded, ...]":
        """Return all that fades as the mean moves on."""
        users, clients = self.users, self.clients
        return users.used, users.offered, clients.used, clients.offered, self.held

    def _recount(self, now_s: float) -> None:
        """Find how much each may have now, and forget those whose weight has faded."""
        fades = now_s > self.seen_s > -math.inf
        kept = 0.5 ** ((now_s - self.seen_s) / HALF_LIFE_S) if fades else 1.0
        self.seen_s = max(now_s, self.seen_s)
        self.held.forget(_FORGOTTEN_WEIGHT)
        for bound in (self.users, self.clients):
            bound.recount(self.weight, kept)


class Bound:
    """How much of a moving weight each of some may have: of the users, or of the clients."""

    def __init__(self) -> None:
        self.share = 1.0
        """Of the weight that one may have."""
        self.most = math.inf
        """Weight that one may have in any case: what each has where all are equally active."""
        self.used, self.offered = Faded(), Faded()

    def room(self, name: int, weight: float) -> float:
        """Return how much more of a weight one may have; at most 0 for nothing."""
        return max(self.share * weight, self.most) - self.used.get(name)

    def recount(self, weight: float, kept: float) -> None:
        """Find how much of a weight one may have now.

        Args:
            weight: the moving weight, all together.
            kept: what time has left of what was used and offered, 0 to 1.
        """
        for known in (self.used, self.offered):
            known.scale *= kept
            known.forget(_FORGOTTEN_WEIGHT)
        offered = self.offered.values()
        active = int((offered >= _ACTIVE_WEIGHT).sum())
        self.share = equal_share(active)
        others = max(weight - float(self.used.values().sum()), 0.0)
        self.most = greatest_count(offered, self.share, others)
        if active > 1 and math.isinf(self.most):
            self.most = self.share * (others + float(offered.sum()))


class Faded:
    """Weights by id that fade together."""

    def __init__(self, known: dict[int, float] | None = None, scale: float = 1.0) -> None:
        self.known = {} if known is None else known
        """Weights divided by `scale`, so that all fade by one product."""
        self.scale = scale

    def get(self, name: int) -> float:
        """Return the weight of one; 0 where there is none."""
        return self.known.get(name, 0.0) * self.scale

    def add(self, name: int, weight: float) -> None:
        """Let one have more."""
        self.known[name] = self.known.get(name, 0.0) + weight / self.scale

    def values(self) -> NDArray[np.float64]:
        """Return all weights."""
        return np.fromiter(self.known.values(), np.float64, len(self.known)) * self.scale

    def forget(self, least: float) -> None:
        """Forget those with less."""
        if self.scale < _LEAST_SCALE:
            self.known = {name: weight * self.scale for name, weight in self.known.items()}
            self.scale = 1.0
        least /= self.scale
        self.known = {name: weight for name, weight in self.known.items() if weight >= least}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what a snapshot holds."""
        return {
            "ids": np.array(list(self.known), np.uint64),
            "weights": np.array(list(self.known.values()), np.float64),
            "scale": np.array([self.scale]),
        }

    @classmethod
    def of(cls, arrays: Arrays) -> "Faded":
        """Return what `arrays` of another gave."""
        known = zip(arrays["ids"].tolist(), arrays["weights"].tolist(), strict=True)
        return cls(dict(known), float(arrays["scale"][0]))
