"""Recalibration of single users: maps of levels that a user's own outcomes teach.

The jobs of one user end higher or lower in their distributions than those of others, or within a
narrower range, and go on to do so. Each user's map is applied to the levels that the map of the
group gives. It is a moving mean of whether the user's last outcomes lay below each level, mixed
with the map that changes nothing: the fewer outcomes, the less it changes. It changes the answers
of no other user.

Of jobs that start together, the short ones end first. If they counted at once, they would stand for
all, and predictions would fall just before the longer ones end. So an outcome waits until the job
would have had as much time as the user's recent longest jobs took, or as its limit allows.

The state is a fold of outcomes in their order. States of earlier times are kept too.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from typing import Any, Final, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from rt_predictor.history.token_keys import NO_KEY
from rt_predictor.model.level_maps import KNOTS, LevelMaps, knot_above, mixed_values
from rt_predictor.online.outcomes import Float64, Ids, below_knots

WINDOW_OUTCOMES: Final = 200.0
"""Outcomes that a user's moving mean is made from."""

SHRINKAGE_OUTCOMES: Final = 100.0
"""Weight of the map that changes nothing, in the mix with a user's moving mean."""

LONGEST_KEPT: Final = 0.99
"""Share of a user's longest runtime that is left after each shorter job."""

MOST_USERS: Final = 8192
"""Users that are kept, at most; of more, the half with the least weight is forgotten."""

KEPT_MAPS: Final = 1 << 14
"""Maps of earlier times that are kept; the latest map of each user is kept besides. An outcome
makes one at most, so they reach as far back as the kept states of the levels of all."""

MOST_WAITING: Final = 1 << 16
"""Outcomes that wait, at most; of more, those that are due first count early."""

_USER_BYTES, _MAP_BYTES, _WAITING_BYTES = 700, 1000, 250
"""Memory of each, about."""

Image = Callable[[int, float], float]
"""Returns the image of a level under the current map of a group: (group, level) -> level."""

_BELOW: Final = np.array(
    [
        below_knots(np.full(len(KNOTS), lower), KNOTS - np.spacing(KNOTS))
        for lower in KNOTS - np.spacing(KNOTS)
    ]
)
"""[K, K, K] `below_knots` of levels just below each knot, by lower level, then by upper level."""


class _Waiting(NamedTuple):
    """An outcome that does not count yet; ordered by the time at which it will."""

    due_s: float
    number: int
    user: int
    group: int
    weight: float
    lower_level: float
    upper_level: float


@dataclass
class _User:
    """State of one user."""

    values: Float64 = field(default_factory=KNOTS.copy)
    """[K] moving means at each knot"""
    weight: float = 0.0
    """Outcomes they are made from"""
    longest_s: float = 0.0
    """Longest recent runtime: it shrinks by `LONGEST_KEPT` with each shorter job"""

    def learn(self, below: Float64, weight: float) -> None:
        """Count an outcome. below: [K] whether it lies below each knot, 0 or 1."""
        kept = min(self.weight, WINDOW_OUTCOMES - weight)
        self.weight = kept + weight
        # A new array: readers may still look at the old one.
        self.values = self.values + (below - self.values) * (weight / self.weight)


class _PublishedMap:
    """The map of a user from some time on."""

    __slots__ = ("_maps", "since_s", "values", "weight")

    def __init__(self, since_s: float, values: Float64, weight: float) -> None:
        self.since_s, self.values, self.weight = since_s, values, weight
        self._maps: LevelMaps | None = None

    @property
    def maps(self) -> LevelMaps:
        """The map; computed when it is first read."""
        if self._maps is None:
            mixed = mixed_values(self.values, self.weight, KNOTS, SHRINKAGE_OUTCOMES)
            self._maps = LevelMaps(mixed[np.newaxis], expanded=False)
        return self._maps


class UserLevels:
    """Maps of levels for users; one thread learns, any number of threads read."""

    def __init__(self, kept_maps: int = KEPT_MAPS) -> None:
        """Start without users. kept_maps: maps of earlier times to keep; the oldest are dropped."""
        self._kept_maps = kept_maps
        self._users: dict[int, _User] = {}
        self._waiting: list[_Waiting] = []
        self._number = 0
        self._published: dict[int, list[_PublishedMap]] = {}
        """Maps of each user, by ascending time. Threads read these lists: they are only appended
        to, and a map is dropped by putting a shorter list in place."""
        self._earlier: deque[int] = deque()
        """The user of each map that is not the latest of its user, oldest map first"""

    @property
    def size_bytes(self) -> int:
        """Memory taken, about."""
        maps = len(self._published) + len(self._earlier)
        users = len(self._users) * _USER_BYTES
        return users + maps * _MAP_BYTES + len(self._waiting) * _WAITING_BYTES

    def wait(
        self,
        user: int,
        group: int,
        weight: float,
        levels: tuple[float, float],
        *,
        end_s: float,
        runtime_s: float,
        limit_s: float,
    ) -> None:
        """Keep an outcome until it is due.

        Args:
            user: id of its user.
            group: of the job.
            weight: of the outcome, above 0 and at most 1.
            levels: its levels before recalibration, for lower and for upper ends (`Outcomes`).
            end_s: when the job ended, Unix s.
            runtime_s: its runtime, s.
            limit_s: its time limit, s; NaN for none.
        """
        if user == NO_KEY:
            return
        state = self._users.get(user)
        if state is None:
            state = self._users[user] = _User()
        state.longest_s = longest_s = max(runtime_s, state.longest_s * LONGEST_KEPT)
        if limit_s < longest_s:
            longest_s = max(limit_s, runtime_s)
        due_s = end_s - runtime_s + longest_s
        heappush(self._waiting, _Waiting(due_s, self._number, user, group, weight, *levels))
        self._number += 1

    def learn(self, now_s: float, image_of: Image) -> None:
        """Count all outcomes that are due.

        Args:
            now_s: latest end of a job that is known, Unix s.
            image_of: the current map of each group.
        """
        waiting: list[_Waiting] = self._waiting
        learned: dict[int, _User] = {}
        while waiting and (waiting[0].due_s <= now_s or len(waiting) > MOST_WAITING):
            due = heappop(waiting)
            user = self._users.get(due.user)
            if user is None:  # forgotten meanwhile
                continue
            levels = due.lower_level, due.upper_level
            above = [knot_above(image_of(due.group, level)) for level in levels]
            user.learn(_BELOW[above[0], above[1]], due.weight)
            learned[due.user] = user
        for number, user in learned.items():
            self._publish(number, _PublishedMap(now_s, user.values, user.weight))
        if len(self._users) > MOST_USERS:
            self._forget_half()

    def _publish(self, user: int, latest: _PublishedMap) -> None:
        """Let readers see the latest map of a user."""
        published = self._published.setdefault(user, [])
        published.append(latest)
        if len(published) > 1:
            self._earlier.append(user)
            if len(self._earlier) > self._kept_maps:
                oldest = self._earlier.popleft()
                self._published[oldest] = self._published[oldest][1:]

    def _forget_half(self) -> None:
        """Forget the half of the users with the least weight; of equal ones the first to come."""
        ordered = sorted(self._users, key=lambda user: self._users[user].weight)
        for user in ordered[: len(ordered) // 2]:
            del self._users[user]
            self._published.pop(user, None)
        self._earlier = deque(user for user in self._earlier if user in self._published)

    def maps_at(self, users: Ids, at_s: Float64) -> tuple[LevelMaps, NDArray[np.intp]] | None:
        """Return maps, and the index [n] of the map of each job, -1 for none.

        None where no job has one.

        Args:
            users: [n] ids of the jobs' users.
            at_s: [n] times as of which maps are known, Unix s.
        """
        maps: list[LevelMaps] = []
        index_of: dict[_PublishedMap | None, int] = {None: -1}
        indices: list[int] = []
        for user, time_s in zip(users.tolist(), at_s.tolist(), strict=True):
            published = self._known_at(user, time_s)
            index = index_of.get(published)
            if index is None:
                index = index_of[published] = len(maps)
                maps.append(cast("_PublishedMap", published).maps)
            indices.append(index)
        if not maps:
            return None
        return LevelMaps.joined(maps), np.array(indices, dtype=np.intp)

    def map_at(self, user: int, at_s: float) -> LevelMaps | None:
        """Return the map of one user as known at a time, Unix s; None for none."""
        known = self._known_at(user, at_s)
        return None if known is None else known.maps

    def _known_at(self, user: int, time_s: float) -> "_PublishedMap | None":
        """Return what was known of a user at a time; None for nothing."""
        history = self._published.get(user)
        if history is None:
            return None
        latest = history[-1]
        if latest.since_s <= time_s:
            return latest
        earlier = (known for known in reversed(history) if known.since_s <= time_s)
        return next(earlier, None)

    def state(self) -> dict[str, NDArray[Any]]:
        """Return the state as named arrays, for a snapshot. Call on the learning thread."""
        users, waiting = self._users.values(), sorted(self._waiting)
        published = [(user, each) for user, maps in self._published.items() for each in maps]
        return {
            "users": np.array(list(self._users), np.uint64),
            "values": np.array([user.values for user in users]).reshape(-1, len(KNOTS)),
            "weights": np.array([user.weight for user in users]),
            "longest_s": np.array([user.longest_s for user in users]),
            "waiting_users": np.array([outcome.user for outcome in waiting], np.uint64),
            "waiting": np.array(
                [(*outcome[:2], *outcome[3:]) for outcome in waiting], np.float64
            ).reshape(-1, len(_Waiting._fields) - 1),
            "number": np.array([self._number]),
            "published_users": np.array([user for user, _ in published], np.uint64),
            "published_s": np.array([each.since_s for _, each in published]),
            "published_weights": np.array([each.weight for _, each in published]),
            "published": np.array([each.values for _, each in published]).reshape(-1, len(KNOTS)),
            "earlier": np.array(self._earlier, np.uint64),
        }

    @classmethod
    def restored(
        cls, state: Mapping[str, NDArray[Any]], kept_maps: int = KEPT_MAPS
    ) -> "UserLevels":
        """Return levels that continue from the state that `state` gave."""
        levels = cls(kept_maps)
        columns = (state[name].tolist() for name in ("users", "weights", "longest_s"))
        for user, values, weight, longest_s in zip(
            next(columns), state["values"], *columns, strict=True
        ):
            levels._users[user] = _User(values.copy(), weight, longest_s)
        waiting = zip(state["waiting_users"].tolist(), state["waiting"].tolist(), strict=True)
        for user, (due_s, number, group, *rest) in waiting:
            levels._waiting.append(_Waiting(due_s, int(number), user, int(group), *rest))
        heapify(levels._waiting)
        levels._number = int(state["number"][0])
        names = ("published_users", "published_s", "published_weights")
        published = (state[name].tolist() for name in names)
        for user, since_s, weight, values in zip(*published, state["published"], strict=True):
            latest = _PublishedMap(since_s, values.copy(), weight)
            levels._published.setdefault(user, []).append(latest)
        levels._earlier = deque(state["earlier"].tolist())
        return levels
