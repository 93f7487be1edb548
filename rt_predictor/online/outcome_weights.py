"""Weights of outcomes in the live figures, so that no user and no client decides them.

Outcomes are counted by user and by client, and counts fade: an outcome counts half after so many
others. Where one user or client has more than its share (`influence`), each of its outcomes
weighs less, just enough to keep the share. The factor is computed anew at fixed rows of the log, so
that it does not depend on the pieces in which the log was read. Of a client that is not trusted the
sum of its weights is kept too: beside a trusted client it stays within its share however suddenly
it reports many jobs.

`influence.Shares` limits shares of moving means, whose old weight fades only as new weight comes
in; the sums of the live figures fade with every job, and so do the counts here.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rt_predictor.history.columns import Times
from rt_predictor.history.token_keys import NO_KEY
from rt_predictor.history.value_ids import NULL_ID, Ids
from rt_predictor.online.influence import (
    LEAST_SHARE,
    Array,
    TrustedReports,
    equal_share,
    greatest_count,
)

HALF_LIFE_JOBS = 2000
"""Outcomes after which one counts half."""

START_JOBS = 200.0
"""Outcomes of trusted clients that are assumed where there are fewer."""

_BLOCK_JOBS = 256
"""Outcomes after which limits are computed anew; those of one block count alike."""

_KEPT = 0.5 ** (_BLOCK_JOBS / HALF_LIFE_JOBS)
_FORGOTTEN = 1e-2
"""Faded count below which a user or a client is forgotten."""


class OutcomeWeights:
    """Faded counts of outcomes by user and by client. One thread counts."""

    def __init__(self, trusts: Callable[[int], bool]) -> None:
        """Start without any outcome; `trusts` returns whether a client id is trusted."""
        self._trusts = trusts
        self._jobs = 0
        self._trusted = 0.0
        self._users: dict[int, float] = {}
        self._clients: dict[int, float] = {}
        self._counted: dict[int, float] = {}
        """By client: the sum of the weights of its outcomes."""
        self._most = {"user": np.inf, "client": np.inf, "beside": LEAST_SHARE * START_JOBS}
        """Outcomes of one that count in full; beside: of a client beside a trusted one."""
        self._latest_s = -np.inf
        """Latest end of a job."""
        self._trusted_reports = TrustedReports()

    def weigh(self, users: Ids, clients: Ids, end_s: Times) -> Array:
        """Return the weights of n more outcomes, in their order: [n], 0 to 1.

        Args:
            users: [n] ids of the key "own"; `NO_KEY` for no user.
            clients: [n] ids of the clients that reported them; `NULL_ID` where that is not known.
            end_s: [n] when they ended, Unix s.
        """
        weights = map(self._weigh, users.tolist(), clients.tolist(), end_s.tolist())
        return np.fromiter(weights, np.float64, len(users))

    def _weigh(self, user: int, client: int, end_s: float) -> float:
        weight = 1.0
        self._latest_s = max(self._latest_s, end_s)
        if user != NO_KEY:
            count = self._users[user] = self._users.get(user, 0.0) + 1
            weight = min(weight, self._most["user"] / count)
        trusted = client == NULL_ID or self._trusts(client)
        beside_trusted = self._trusted_reports.any_lately(
            from_trusted=trusted, now_s=self._latest_s
        )
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
            self._close_block()
        return weight

    def _close_block(self) -> None:
        """Fade all counts, and compute how many outcomes of one user or client count in full."""
        for counts in (self._users, self._clients, self._counted):
            faded = {name: count * _KEPT for name, count in counts.items()}
            counts.clear()
            counts.update((name, count) for name, count in faded.items() if count >= _FORGOTTEN)
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
        """Memory taken, about."""
        return 100 * (len(self._users) + 2 * len(self._clients))

    @property
    def _counts(self) -> dict[str, dict[int, float]]:
        """All faded counts by their names in a snapshot."""
        return {"user": self._users, "client": self._clients, "counted": self._counted}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the state as named arrays, for a snapshot."""
        numbers = [self._jobs, self._trusted, self._latest_s, self._trusted_reports.last_s]
        counts = self._counts
        return {
            "numbers": np.array([*numbers, *self._most.values()]),
            **{f"{name}_ids": np.array([*by_id], np.uint64) for name, by_id in counts.items()},
            **{f"{name}_counts": np.array([*by_id.values()]) for name, by_id in counts.items()},
        }

    @classmethod
    def of(
        cls, arrays: Mapping[str, NDArray[Any]], trusts: Callable[[int], bool]
    ) -> "OutcomeWeights":
        """Return the state that `arrays` gave."""
        weights = cls(trusts)
        jobs, weights._trusted, weights._latest_s, last_s, *most = arrays["numbers"].tolist()
        weights._jobs, weights._trusted_reports = int(jobs), TrustedReports(last_s)
        weights._most = dict(zip(weights._most, most, strict=True))
        for name, counts in weights._counts.items():
            ids, values = arrays[f"{name}_ids"].tolist(), arrays[f"{name}_counts"].tolist()
            counts.update(zip(ids, values, strict=True))
        return weights
