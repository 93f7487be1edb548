"""Influence of outcomes on a shared state: less for bursts, and limited for users and clients.

A state is a moving mean: each outcome has a weight, and the sum of all weights does not grow beyond
a window, so that old ones fade. One user may have at most a share of that sum, and so may one
client. An outcome that would exceed the share weighs less, or nothing.

One user has at most a twentieth of the weight, or an equal share where fewer than twenty are
active. So has one client, whoever it claims to speak for; but where a trusted client has reported
any job lately, a client that is not trusted has a twentieth at most.

Weights fade only as others come in, so that a flood does not wash away what others taught. Users
who are equally active would so block each other once each has a full share; therefore nobody is
limited to less than what all others offer (`greatest_count`), and what one has fades with time too.
Only where a client reports beside a trusted one, what it has does not fade with time.

`outcome_weights.OutcomeWeights` limits shares of sums that fade with every job; here an outcome
that weighs nothing fades nothing, so the weight that each user and client holds has to be kept.
"""

import math
from bisect import bisect_right
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rt_predictor.history.known_jobs import Arrays
from rt_predictor.online.arrays import named_parts, part_of

Array = NDArray[np.float64]

LEAST_SHARE = 0.05
"""Share of the weight that one user, or one client that is not trusted, may have in any case."""

TRUSTED_S = 14 * 86400.0
"""Time for which a trusted client that has reported a job limits those that are not trusted."""

HALF_CONCURRENT_JOBS: Final = 30.0
"""Concurrent jobs with which an outcome counts half."""

HALF_LIFE_S: Final = 7 * 86400.0
"""Time after which what a user or a client has counts half against it."""

_KEPT_ENDS = 256
"""Ends of each user that are kept: with more concurrent jobs an outcome does not count less."""

_RECOUNT_OUTCOMES = 64
_ACTIVE_WEIGHT = 0.5
_FORGOTTEN_WEIGHT = 0.01
_LEAST_SCALE = 1e-100


class TrustedReports:
    """The time at which a trusted client last reported a job."""

    def __init__(self, last_s: float = -np.inf) -> None:
        self.last_s = last_s

    def any_lately(self, *, from_trusted: bool, now_s: float) -> bool:
        """Note one more report; return whether a trusted client has reported any job lately.

        Args:
            from_trusted: whether this report is from a trusted client: then it counts itself.
            now_s: latest end of a job, Unix s.
        """
        if from_trusted:
            self.last_s = now_s
        return now_s - self.last_s <= TRUSTED_S


def equal_share(active: int) -> float:
    """Return the share that each of so many active users or clients may have."""
    return max(LEAST_SHARE, 1 / max(active, 1))


def greatest_count(counts: Array, share: float, others: float) -> float:
    """Return how many outcomes of one may count, so that none has more than a share of all.

    The greatest m with m <= share * (others + the sum over counts of min(count, m)); infinite where
    no count is above it.

    Args:
        counts: [n] outcomes of each user, or of each client.
        share: 0 to 1.
        others: outcomes that belong to none of these.
    """
    ordered = np.sort(counts)
    below = np.concatenate(([0.0], np.cumsum(ordered)))
    for full in range(len(ordered), -1, -1):
        # The `full` smallest count in full, all others as m.
        bounded = len(ordered) - full
        if bounded == 0:
            if not len(ordered) or ordered[-1] <= share * (others + below[-1]):
                return np.inf
            continue
        left = 1 - share * bounded
        least = ordered[full - 1] if full else 0.0
        if left <= 0:
            return float(ordered[full])
        m = share * (others + below[full]) / left
        if least <= m:
            return float(min(m, ordered[full]))
    return 0.0


class ConcurrentJobs:
    """Jobs of one user that were in the system at the same time: they mostly share one fate.

    The concurrent jobs of a job are those of its user that ended between its submit and its end.
    """

    def __init__(self) -> None:
        self.ends_s: dict[int, list[float]] = {}

    def weight(self, user: int, submit_s: float, end_s: float) -> float:
        """Return the weight of an outcome, above 0 and at most 1, and keep its end."""
        ends_s = self.ends_s.setdefault(user, [])
        concurrent = len(ends_s) - bisect_right(ends_s, submit_s)
        ends_s.append(max(end_s, ends_s[-1]) if ends_s else end_s)
        if len(ends_s) > _KEPT_ENDS:
            del ends_s[0]
        return 1 / (1 + concurrent / HALF_CONCURRENT_JOBS)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the state as named arrays, for a snapshot."""
        ends_s = self.ends_s.values()
        return {
            "users": np.array(list(self.ends_s), np.uint64),
            "counts": np.array([len(ends) for ends in ends_s], np.int64),
            "ends_s": np.array([end_s for ends in ends_s for end_s in ends], np.float64),
        }

    @classmethod
    def of(cls, arrays: Arrays) -> "ConcurrentJobs":
        """Return the state that `arrays` gave."""
        jobs = cls()
        ends_s = np.split(arrays["ends_s"], np.cumsum(arrays["counts"])[:-1])
        for user, ends in zip(arrays["users"].tolist(), ends_s, strict=False):
            jobs.ends_s[user] = ends.tolist()
        return jobs


class Shares:
    """The moving weight of one state, and the part of it that each user and client has."""

    def __init__(self, weight: float, window: float) -> None:
        """Start from a state that was learned before.

        Args:
            weight: of that state, above zero; it fades with the rest.
            window: the most that all outcomes weigh together.
        """
        self.weight = weight
        self.outcomes = 0
        self.users, self.clients = Bound(), Bound()
        self.held = FadingWeights()
        """Part of the weight that each client has that is not trusted."""
        self.faded_until_s = -math.inf
        """Time up to which the parts of users and clients have faded."""
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
        """Add an outcome, and return how much of its weight counts: 0 to `weight`.

        The mean moves towards the outcome by that over `self.weight`.

        Args:
            weight: of the outcome, at most 1.
            user: id of its user.
            untrusted_client: id of the client that reported it; None where that is trusted.
            now_s: latest end of a job, Unix s.
            beside_trusted: whether a trusted client has reported any job lately.
        """
        self.outcomes += 1
        if self.outcomes % _RECOUNT_OUTCOMES == 1:
            self._recount(now_s)
        self.users.offered.add(user, weight)
        capacity = self.users.capacity(user, self.weight)
        if untrusted_client is not None:
            self.clients.offered.add(untrusted_client, weight)
            if beside_trusted:
                left = LEAST_SHARE * self.weight - self.held.get(untrusted_client)
            else:
                left = self.clients.capacity(untrusted_client, self.weight)
            capacity = min(capacity, left)
        weight = min(weight, capacity)
        if weight <= 0:
            return 0.0
        if self.weight + weight > self._window:
            kept = (self._window - weight) / self.weight
            for weights in self.fading:
                weights.scale *= kept
            self.weight = self._window - weight
        self.weight += weight
        self.users.used.add(user, weight)
        if untrusted_client is not None:
            self.clients.used.add(untrusted_client, weight)
            self.held.add(untrusted_client, weight)
        return weight

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the state as named arrays, for a snapshot."""
        numbers = [self.weight, self.outcomes, self.faded_until_s]
        for bound in (self.users, self.clients):
            numbers += [bound.share, bound.most]
        arrays: dict[str, NDArray[Any]] = {"numbers": np.array(numbers)}
        for number, weights in enumerate(self.fading):
            arrays |= named_parts(f"fading{number}.", weights.arrays())
        return arrays

    def restore(self, arrays: Arrays) -> None:
        """Continue from the state that `arrays` gave."""
        self.weight, outcomes, self.faded_until_s, *limits = arrays["numbers"].tolist()
        self.outcomes = int(outcomes)
        self.users.share, self.users.most, self.clients.share, self.clients.most = limits
        for number, weights in enumerate(self.fading):
            weights.restore(part_of(f"fading{number}.", arrays))

    @property
    def fading(self) -> "tuple[FadingWeights, ...]":
        """All weights that fade as the mean moves on."""
        users, clients = self.users, self.clients
        return users.used, users.offered, clients.used, clients.offered, self.held

    def _recount(self, now_s: float) -> None:
        """Compute how much each may have now, and forget those whose weight has faded."""
        fades = now_s > self.faded_until_s > -math.inf
        kept = 0.5 ** ((now_s - self.faded_until_s) / HALF_LIFE_S) if fades else 1.0
        self.faded_until_s = max(now_s, self.faded_until_s)
        self.held.forget(_FORGOTTEN_WEIGHT)
        for bound in (self.users, self.clients):
            bound.recount(self.weight, kept)


class Bound:
    """The part of a moving weight that each user may have, or each client."""

    def __init__(self) -> None:
        self.share = 1.0
        """Share of the weight that each may have."""
        self.most = math.inf
        """Weight that each may have in any case: its part where all are equally active."""
        self.used, self.offered = FadingWeights(), FadingWeights()

    def capacity(self, name: int, weight: float) -> float:
        """Return how much more of a weight a user or client may have; at most 0 for nothing."""
        return max(self.share * weight, self.most) - self.used.get(name)

    def recount(self, weight: float, kept: float) -> None:
        """Compute how much of a weight each may have now.

        Args:
            weight: the whole moving weight.
            kept: share of the used and offered weights that time has left, 0 to 1.
        """
        for weights in (self.used, self.offered):
            weights.scale *= kept
            weights.forget(_FORGOTTEN_WEIGHT)
        offered = self.offered.values()
        active = int((offered >= _ACTIVE_WEIGHT).sum())
        self.share = equal_share(active)
        others = max(weight - float(self.used.values().sum()), 0.0)
        self.most = greatest_count(offered, self.share, others)
        if active > 1 and math.isinf(self.most):
            self.most = self.share * (others + float(offered.sum()))


class FadingWeights:
    """Weights by id that fade together."""

    def __init__(self) -> None:
        self._scaled: dict[int, float] = {}
        """Weights divided by `scale`, so that one product fades all."""
        self.scale = 1.0

    def get(self, name: int) -> float:
        """Return the weight of an id; 0 where it has none."""
        return self._scaled.get(name, 0.0) * self.scale

    def add(self, name: int, weight: float) -> None:
        """Add to the weight of an id."""
        self._scaled[name] = self._scaled.get(name, 0.0) + weight / self.scale

    def values(self) -> NDArray[np.float64]:
        """Return all weights."""
        return np.fromiter(self._scaled.values(), np.float64, len(self._scaled)) * self.scale

    def forget(self, least: float) -> None:
        """Forget ids with less than the least weight."""
        if self.scale < _LEAST_SCALE:
            self._scaled = {name: weight * self.scale for name, weight in self._scaled.items()}
            self.scale = 1.0
        least /= self.scale
        self._scaled = {name: weight for name, weight in self._scaled.items() if weight >= least}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the state as named arrays, for a snapshot."""
        return {
            "ids": np.array(list(self._scaled), np.uint64),
            "weights": np.array(list(self._scaled.values()), np.float64),
            "scale": np.array([self.scale]),
        }

    def restore(self, arrays: Arrays) -> None:
        """Continue from the state that `arrays` gave."""
        weights = zip(arrays["ids"].tolist(), arrays["weights"].tolist(), strict=True)
        self._scaled, self.scale = dict(weights), float(arrays["scale"][0])
