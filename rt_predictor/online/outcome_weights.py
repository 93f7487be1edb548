"""How much an outcome may count in what all are told, so that nobody has too much say.

In every state that is shared, one user has at most a twentieth of the weight, or an equal share
where fewer than twenty are active, and so has one client; but where a trusted client has told of
any job lately, one that is not trusted has a twentieth at most. Outcomes are counted as they fade:
one counts half after so many others. Who has too many of them has each count less, just as much as
keeps his share; the factor is found anew at set places of the log, so that it does not depend on
the pieces in which the log was read. Of a client that is not trusted, also what has counted is
kept, so that beside a trusted one it stays within its share however suddenly it tells of many.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rt_predictor.history.columns import Times
from rt_predictor.history.token_keys import NO_KEY
from rt_predictor.history.value_ids import NULL_ID, Ids

Array = NDArray[np.float64]

LEAST_SHARE = 0.05
"""Of the weight that one user, or one client that is not trusted, may have in any case."""

TRUSTED_S = 14 * 86400.0
"""Time for which a trusted client that has told of a job bounds those that are not trusted."""

HALF_LIFE_JOBS = 2000
"""Outcomes after which one counts half."""

START_JOBS = 200.0
"""Outcomes that are taken as those of trusted clients where there are fewer."""

_BLOCK_JOBS = 256
"""Outcomes between two looks at who has too many; those of one block count alike."""

_KEPT = 0.5 ** (_BLOCK_JOBS / HALF_LIFE_JOBS)
_FORGOTTEN = 1e-2
"""Faded outcomes with fewer of which nobody is remembered."""


class Trusted:
    """When a trusted client last told of a job."""

    def __init__(self, last_s: float = -np.inf) -> None:
        self.last_s = last_s

    def is_near(self, *, told_by_it: bool, now_s: float) -> bool:
        """Return whether one has told of any job lately, that of this call included.

        Args:
            told_by_it: whether a trusted client tells of a job now.
            now_s: latest end of a job, Unix s.
        """
        if told_by_it:
            self.last_s = now_s
        return now_s - self.last_s <= TRUSTED_S


class OutcomeWeights:
    """Faded counts of outcomes by user and by client. One thread counts."""

    def __init__(self, trusts: Callable[[int], bool]) -> None:
        """Nobody has had a say yet; `trusts` says which client ids are trusted."""
        self._trusts = trusts
        self._jobs = 0
        self._trusted = 0.0
        self._users: dict[int, float] = {}
        self._clients: dict[int, float] = {}
        self._counted: dict[int, float] = {}
        """By client: what its outcomes have counted together."""
        self._most = {"user": np.inf, "client": np.inf, "beside": LEAST_SHARE * START_JOBS}
        """Beside: that one client may have where a trusted one told of any job lately."""
        self._latest_s = -np.inf
        """Latest end of a job."""
        self._near = Trusted()

    def weigh(self, users: Ids, clients: Ids, end_s: Times) -> Array:
        """Return how much n more outcomes count, one after the other: [n], 0 to 1.

        Args:
            users: [n] ids of the key "own"; `NO_KEY` for no user.
            clients: [n] ids of who told of them; `NULL_ID` where that is not known.
            end_s: [n] when they ended, Unix s.
        """
        each = map(self._weigh, users.tolist(), clients.tolist(), end_s.tolist())
        return np.fromiter(each, np.float64, len(users))

    def _weigh(self, user: int, client: int, end_s: float) -> float:
        weight = 1.0
        self._latest_s = max(self._latest_s, end_s)
        if user != NO_KEY:
            count = self._users[user] = self._users.get(user, 0.0) + 1
            weight = min(weight, self._most["user"] / count)
        trusted = client == NULL_ID or self._trusts(client)
        beside_trusted = self._near.is_near(told_by_it=trusted, now_s=self._latest_s)
        if trusted:
            self._trusted += 1
        else:
            count = self._clients[client] = self._clients.get(client, 0.0) + 1
            counted = self._counted.get(client, 0.0)
            if beside_trusted:
                most = self._most["beside"]
                weight = min(weight, most / count, max(most - counted, 0.0))
            else:
                weight = min(weight, self._most["client"] / count)
            self._counted[client] = counted + weight
        self._jobs += 1
        if self._jobs % _BLOCK_JOBS == 0:
            self._look()
        return weight

    def _look(self) -> None:
        """Fade all counts, and find how many of one user, and of one client, count at most."""
        for known in (self._users, self._clients, self._counted):
            faded = {one: count * _KEPT for one, count in known.items()}
            known.clear()
            known.update((one, count) for one, count in faded.items() if count >= _FORGOTTEN)
        self._trusted *= _KEPT
        users = np.array([*self._users.values()])
        clients = np.array([*self._clients.values()])
        others = max(START_JOBS, self._trusted)
        most = greatest_count(clients, LEAST_SHARE, others)
        self._most = {
            "user": greatest_count(users, equal_share(len(users)), 0.0),
            "client": greatest_count(clients, equal_share(len(clients)), 0.0),
            "beside": min(most, LEAST_SHARE * (others + float(clients.sum()))),
        }

    @property
    def size_bytes(self) -> int:
        """Memory that is taken, about."""
        return 100 * (len(self._users) + 2 * len(self._clients))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what a snapshot holds."""
        known = {"user": self._users, "client": self._clients, "counted": self._counted}
        return {
            "numbers": np.array(
                [
                    self._jobs,
                    self._trusted,
                    self._latest_s,
                    self._near.last_s,
                    *self._most.values(),
                ]
            ),
            **{f"{name}_ids": np.array([*counts], np.uint64) for name, counts in known.items()},
            **{f"{name}_counts": np.array([*counts.values()]) for name, counts in known.items()},
        }

    @classmethod
    def of(
        cls, arrays: Mapping[str, NDArray[Any]], trusts: Callable[[int], bool]
    ) -> "OutcomeWeights":
        """Return what `arrays` of another gave."""
        found = cls(trusts)
        jobs, found._trusted, found._latest_s, near_s, *most = arrays["numbers"].tolist()
        found._jobs, found._near = int(jobs), Trusted(near_s)
        found._most = dict(zip(found._most, most, strict=True))
        all_known = {"user": found._users, "client": found._clients, "counted": found._counted}
        for name, known in all_known.items():
            ids, counts = arrays[f"{name}_ids"].tolist(), arrays[f"{name}_counts"].tolist()
            known.update(zip(ids, counts, strict=True))
        return found


def equal_share(active: int) -> float:
    """Return the share that each of so many active ones may have."""
    return max(LEAST_SHARE, 1 / max(active, 1))


def greatest_count(counts: Array, share: float, others: float) -> float:
    """Return how many outcomes of one may count, so that none has more than a share of all.

    The greatest m with m <= share * (others + the sum over counts of min(count, m)); infinite where
    no count is above it.

    Args:
        counts: [n] outcomes of each.
        share: 0 to 1.
        others: outcomes that are nobody's of these.
    """
    ordered = np.sort(counts)
    below = np.concatenate(([0.0], np.cumsum(ordered)))
    for place in range(len(ordered), -1, -1):
        # The `place` smallest count in full, all others as m.
        bound = len(ordered) - place
        if bound == 0:
            if not len(ordered) or ordered[-1] <= share * (others + below[-1]):
                return np.inf
            continue
        left = 1 - share * bound
        least = ordered[place - 1] if place else 0.0
        if left <= 0:
            return float(ordered[place])
        m = share * (others + below[place]) / left
        if least <= m:
            return float(min(m, ordered[place]))
    return 0.0
