"""Recalibration: maps from the levels that a model states to those at which jobs really end.

For every knot of `level_maps` there is a moving mean of whether outcomes lay below that level of
their distributions. These means are the empirical distribution of probability integral transforms,
which is the map that recalibrates (Kuleshov, Fenner, Ermon 2018), kept up to date. They are taken
of distributions before recalibration, at each job's submit. So the map has no feedback to itself,
and late outcomes do not make it oscillate, as they do with adaptive conformal inference.

Each group of jobs (`shape_groups`) has a mean of its own, which is mixed with the mean of all jobs:
the fewer outcomes a group has, the closer it stays to all jobs. Maps of single users are applied
after those of groups (`user_levels`).

The state is a fold of the outcomes in their order: it does not depend on the pieces in which they
came. States of earlier times are kept too, one for every `PUBLISHED_OUTCOMES` outcomes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rt_predictor.model.distribution import Distribution
from rt_predictor.model.documents import RecalibrationDocument
from rt_predictor.model.level_maps import KNOTS, LevelMaps, knot_above, mixed_values
from rt_predictor.model.lone_distribution import LoneDistribution
from rt_predictor.online.arrays import named_parts, part_of
from rt_predictor.online.groups import SHAPES, Groups, shape_group
from rt_predictor.online.influence import ConcurrentJobs, Shares, TrustedReports
from rt_predictor.online.outcomes import Float64, Ids, Outcomes, below_knots
from rt_predictor.online.user_levels import KEPT_MAPS, UserLevels

WINDOW_OUTCOMES: Final = 1000.0
"""Outcomes that a moving mean is made from."""

LEARNED_OUTCOMES: Final = 200.0
"""Most weight of what was learned in training; where nothing was, the weight of no change."""

FIRST_OUTCOMES: Final = 20.0
"""Weight of no change in each group where nothing was learned: it bounds the first steps."""

SHRINKAGE_OUTCOMES: Final = 50.0
"""Weight of the mean of all jobs in the mix with that of a group."""

PUBLISHED_OUTCOMES: Final = 16
"""Outcomes after which a state is published; each of the first `_FIRST` publishes one."""

_FIRST = 256
_KEPT_ROWS = 1024
_ALL = 0


@dataclass(frozen=True)
class LearnedLevels:
    """State that was learned in training: in row 0 of all jobs, then of each group."""

    values: Float64
    """[1 + SHAPES, K] moving means at each knot"""
    weights: Float64
    """[1 + SHAPES] outcomes they are made from: `FIRST_OUTCOMES` to `LEARNED_OUTCOMES`"""

    def __post_init__(self) -> None:
        """Raise ValueError where this is no state of a recalibration."""
        if self.values.shape != (1 + SHAPES, len(KNOTS)) or self.weights.shape != (1 + SHAPES,):
            raise ValueError(f"need levels of {1 + SHAPES} groups at {len(KNOTS)} knots")
        if not (self.weights >= FIRST_OUTCOMES).all():
            raise ValueError(f"what was learned needs a weight of at least {FIRST_OUTCOMES:g}")
        LevelMaps(self.values)

    @classmethod
    def of(cls, document: RecalibrationDocument) -> "LearnedLevels | None":
        """Return the state of a bundle's recalibration; None where it has learned nothing."""
        if not document.arrays:
            return None
        return cls(*(np.array(document.arrays[name]) for name in ("values", "weights")))

    @classmethod
    def nothing(cls) -> "LearnedLevels":
        """Return the state that changes no level."""
        weights = np.full(1 + SHAPES, FIRST_OUTCOMES)
        weights[_ALL] = LEARNED_OUTCOMES
        return cls(np.tile(KNOTS, (1 + SHAPES, 1)), weights)


class Recalibration:
    """Maps of levels for every group; one thread folds, any number of threads read."""

    def __init__(
        self,
        learned: LearnedLevels | None = None,
        kept_rows: int = _KEPT_ROWS,
        kept_user_maps: int = KEPT_MAPS,
    ) -> None:
        """Start from what was learned in training.

        Args:
            learned: the state after training; None for nothing.
            kept_rows: states of earlier times to keep; the oldest are dropped.
            kept_user_maps: maps of users of earlier times to keep.
        """
        learned = LearnedLevels.nothing() if learned is None else learned
        self._values = learned.values.copy()
        self._shares = [Shares(weight, WINDOW_OUTCOMES) for weight in learned.weights.tolist()]
        self._concurrent = ConcurrentJobs()
        self._user_levels = UserLevels(kept_user_maps)
        self._trusted_reports = TrustedReports()
        self._folded = 0
        self._latest_s = -np.inf
        self._kept_rows = kept_rows
        self._rows = 0
        self._visible_s = np.empty(2 * kept_rows)
        self._maps = np.empty((2 * kept_rows, SHAPES, len(KNOTS)))
        self._first_row = 0
        self._published = self._first_row, self._visible_s[:0], self._maps[:0]
        self._last_state: tuple[int, LevelMaps] | None = None
        self._publish()

    def __len__(self) -> int:
        """Return how many outcomes were ever folded."""
        return self._folded

    @property
    def size_bytes(self) -> int:
        """Memory of the states of earlier times and the maps of users, about."""
        return self._maps.nbytes + self._user_levels.size_bytes

    def learned(self) -> LearnedLevels:
        """Return the state after the last outcome, for another recalibration to start from."""
        weights = [min(shares.weight, LEARNED_OUTCOMES) for shares in self._shares]
        return LearnedLevels(self._values.copy(), np.array(weights))

    def fold(self, outcomes: Outcomes) -> None:
        """Learn from finished jobs in their order. Raises ValueError for levels that are NaN."""
        if np.isnan(outcomes.lower_level).any() or np.isnan(outcomes.upper_level).any():
            raise ValueError("outcomes without a level teach nothing: leave them out")
        below = below_knots(outcomes.lower_level, outcomes.upper_level)
        columns = (
            outcomes.groups,
            outcomes.users,
            outcomes.untrusted_clients,
            outcomes.submit_s,
            outcomes.end_s,
            outcomes.lower_level,
            outcomes.upper_level,
            outcomes.runtime_s,
            outcomes.limit_s,
        )
        rows = zip(*(column.tolist() for column in columns), below, strict=True)
        for group, user, client, submit_s, end_s, *levels, runtime_s, limit_s, is_below in rows:
            weight = self._concurrent.weight(user, submit_s, end_s)
            self._user_levels.wait(
                user,
                group,
                weight,
                (levels[0], levels[1]),
                end_s=end_s,
                runtime_s=runtime_s,
                limit_s=limit_s,
            )
            self._folded += 1
            self._latest_s = max(self._latest_s, end_s)
            beside_trusted = self._trusted_reports.any_lately(
                from_trusted=not client, now_s=self._latest_s
            )
            # The weight among all jobs limits that in the group: few users are active in one group.
            for scope in (_ALL, 1 + group):
                shares = self._shares[scope]
                weight = shares.count(
                    weight, user, client or None, self._latest_s, beside_trusted=beside_trusted
                )
                if not weight:
                    break
                mean = self._values[scope]
                mean += weight / shares.weight * (is_below - mean)
            self._user_levels.learn(self._latest_s, self._image_of)
            if self._folded < _FIRST or self._folded % PUBLISHED_OUTCOMES == 0:
                self._publish()

    def recalibrated(
        self, raw: Distribution, groups: Groups, users: Ids, at_s: Float64
    ) -> Distribution:
        """Return the distributions to serve, by what was known at their times.

        Args:
            raw: of n jobs, before recalibration.
            groups: [n] of `shape_groups`.
            users: [n] their users, `NO_KEY` for none.
            at_s: [n] when each is asked about, Unix s.
        """
        by_group = raw.recalibrated(*self.maps_at(groups, at_s))
        user_maps = self.user_maps_at(users, at_s)
        return by_group if user_maps is None else by_group.recalibrated(*user_maps)

    def recalibrated_one(self, raw: LoneDistribution, user: int, at_s: float) -> LoneDistribution:
        """Return the same for one job."""
        first_row, visible_s, maps = self._published
        last = len(visible_s) - 1
        if at_s < visible_s.item(last):
            last = max(visible_s.searchsorted(at_s, side="right").item() - 1, 0)
        by_group = raw.recalibrated(self._one_state(first_row + last, maps[last]), shape_group(raw))
        user_map = self._user_levels.map_at(user, at_s)
        return by_group if user_map is None else by_group.recalibrated(user_map, 0)

    def user_maps_at(self, users: Ids, at_s: Float64) -> tuple[LevelMaps, NDArray[np.intp]] | None:
        """Return the users' own maps at n times: see `UserLevels.maps_at`."""
        return self._user_levels.maps_at(users, at_s)

    def maps_at(self, groups: Groups, at_s: Float64) -> tuple[LevelMaps, NDArray[np.intp]]:
        """Return maps, and the index [n] of the map of each job, as known at its time.

        `Distribution.recalibrated` takes them so. For a whole log, ask for some thousand jobs in
        the order of submission at a time: every state that is needed takes memory.

        Args:
            groups: [n] of `shape_groups`.
            at_s: [n] Unix s.
        """
        first_row, visible_s, maps = self._published
        rows = np.maximum(visible_s.searchsorted(at_s, side="right") - 1, 0)
        first = int(rows[0]) if len(rows) else 0
        if (rows == first).all():
            return self._one_state(first_row + first, maps[first]), groups
        states, state_of = np.unique(rows, return_inverse=True)
        return LevelMaps(maps[states].reshape(-1, len(KNOTS))), state_of * SHAPES + groups

    def _one_state(self, number: int, values: Float64) -> LevelMaps:
        """Return the maps of a state by its number; the last one is kept, as most calls need it."""
        last = self._last_state
        if last is None or last[0] != number:
            self._last_state = last = number, LevelMaps(values)
        return last[1]

    def _publish(self) -> None:
        """Publish the state for times from the latest end of its jobs on."""
        if self._rows == len(self._visible_s):
            kept = slice(self._rows - self._kept_rows, self._rows)
            visible_s, maps = np.empty_like(self._visible_s), np.empty_like(self._maps)
            visible_s[: self._kept_rows], maps[: self._kept_rows] = (
                self._visible_s[kept],
                self._maps[kept],
            )
            self._first_row += kept.start
            self._visible_s, self._maps, self._rows = visible_s, maps, self._kept_rows
        weights = np.array([shares.weight for shares in self._shares[1:]])[:, np.newaxis]
        of_all = self._values[_ALL]
        mixed = mixed_values(self._values[1:], weights, of_all, SHRINKAGE_OUTCOMES)
        self._visible_s[self._rows], self._maps[self._rows] = self._latest_s, mixed
        self._rows += 1
        self._publish_rows()

    def _image_of(self, group: int, level: float) -> float:
        """Return the image of a level under the current map of a group.

        Computed in Python numbers, which is fastest for a single level: the map changes with each
        outcome.
        """
        knot = knot_above(level) - 1
        own, weight = self._values[1 + group], self._shares[1 + group].weight
        of_all, total = self._values[_ALL], weight + SHRINKAGE_OUTCOMES
        start_level, end_level = KNOTS.item(knot), KNOTS.item(knot + 1)
        start = (weight * own.item(knot) + SHRINKAGE_OUTCOMES * of_all.item(knot)) / total
        end = (weight * own.item(knot + 1) + SHRINKAGE_OUTCOMES * of_all.item(knot + 1)) / total
        image: float = start + (end - start) * (level - start_level) / (end_level - start_level)
        return image

    def _publish_rows(self) -> None:
        """Show readers the current rows, which no later change touches."""
        rows = slice(self._rows)
        self._published = self._first_row, self._visible_s[rows], self._maps[rows]

    def state(self) -> dict[str, NDArray[Any]]:
        """Return the state as named arrays, for a snapshot. Call on the folding thread."""
        named: dict[str, NDArray[Any]] = {
            "values": self._values.copy(),
            "visible_s": self._visible_s[: self._rows].copy(),
            "maps": self._maps[: self._rows].copy(),
            "folded": np.array([self._folded]),
            "latest_s": np.array([self._latest_s]),
            "trusted_s": np.array([self._trusted_reports.last_s]),
            **named_parts("concurrent_jobs.", self._concurrent.arrays()),
            **named_parts("users.", self._user_levels.state()),
        }
        for scope, shares in enumerate(self._shares):
            named |= named_parts(f"shares{scope}.", shares.arrays())
        return named

    @classmethod
    def restored(
        cls,
        state: Mapping[str, NDArray[Any]],
        kept_rows: int = _KEPT_ROWS,
        kept_user_maps: int = KEPT_MAPS,
    ) -> "Recalibration":
        """Return a recalibration that continues from the state that `state` gave."""
        recalibration = cls(kept_rows=kept_rows)
        recalibration._values = state["values"].copy()
        recalibration._folded = int(state["folded"][0])
        recalibration._latest_s = float(state["latest_s"][0])
        recalibration._trusted_reports = TrustedReports(float(state["trusted_s"][0]))
        recalibration._rows = rows = min(len(state["visible_s"]), 2 * kept_rows)
        recalibration._visible_s[:rows] = state["visible_s"][-rows:]
        recalibration._maps[:rows] = state["maps"][-rows:]
        recalibration._publish_rows()
        for scope, shares in enumerate(recalibration._shares):
            shares.restore(part_of(f"shares{scope}.", state))
        recalibration._concurrent = ConcurrentJobs.of(part_of("concurrent_jobs.", state))
        recalibration._user_levels = UserLevels.restored(part_of("users.", state), kept_user_maps)
        return recalibration
