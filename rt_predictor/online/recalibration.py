"""What outcomes teach of levels: how often jobs really end within a level that a model names.

For every knot of `level_maps`, a moving mean of whether outcomes lay below that level of the
distribution they were told: the empirical distribution of probability integral transforms, which is
the map that recalibrates (Kuleshov, Fenner, Ermon 2018), kept up to date. It looks at distributions
before recalibration, as of each job's submit. So there is no feedback from the map to itself, and
late outcomes do not make it swing, as they do with adaptive conformal inference.

Each group of jobs (`shape_groups`) has a mean of its own, which counts by the side of the mean of
all: a group of which little is known follows all others.

Intervals are closed, and distributions have atoms. An outcome that equals a point lies inside of
intervals that end there; so it counts as high as that point for lower ends, and as low for upper
ends. Only jobs that reached their limit are randomised, as the chance of a timeout needs it.

The state is a fold of the outcomes in their order: it does not depend on the pieces in which they
came. It is kept for earlier times too, at every `PUBLISHED_OUTCOMES`-th outcome.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rt_predictor.model.distribution import Distribution
from rt_predictor.model.documents import RecalibrationDocument
from rt_predictor.model.level_maps import KNOTS, LevelMaps
from rt_predictor.online.arrays import named_parts, part_of
from rt_predictor.online.groups import SHAPES, Groups, shape_groups
from rt_predictor.online.influence import Shares, Siblings
from rt_predictor.online.outcome_weights import Trusted

Float64 = NDArray[np.float64]
Ids = NDArray[np.uint64]

WINDOW_OUTCOMES: Final = 1000.0
"""Outcomes that a moving mean is made of."""

LEARNED_OUTCOMES: Final = 200.0
"""Weight of what was learned in training, at most; and of no recalibration where nothing was."""

FIRST_OUTCOMES: Final = 20.0
"""The same for each group where nothing was learned: it bounds the first steps."""

SHRINKAGE_OUTCOMES: Final = 50.0
"""Weight of the mean of all in that of a group."""

PUBLISHED_OUTCOMES: Final = 16
"""A state may be asked for after each of this many outcomes; after each of the first `_FIRST`."""

_FIRST = 256
_KEPT_ROWS = 1024
_LOWER = KNOTS < 0.5 - 1e-9
_UPPER = KNOTS > 0.5 + 1e-9
_ALL = 0


@dataclass(frozen=True)
class Outcomes:
    """n finished jobs, in the order of the log."""

    groups: Groups
    """[n] as `shape_groups` gives them, as of submit"""
    lower_level: Float64
    """[n] level of the outcome as lower ends see it"""
    upper_level: Float64
    """[n] the same as upper ends see it, at most `lower_level`"""
    users: Ids
    """[n]"""
    untrusted_clients: Ids
    """[n] client that told of each; 0 where it is trusted"""
    submit_s: Float64
    """[n]"""
    end_s: Float64
    """[n]"""

    def __len__(self) -> int:
        return len(self.groups)

    @classmethod
    def of(
        cls,
        raw: Distribution,
        runtime_s: Float64,
        idents: Ids,
        *,
        users: Ids,
        untrusted_clients: Ids,
        submit_s: Float64,
        end_s: Float64,
    ) -> "Outcomes":
        """Return what is learned from n finished jobs.

        Args:
            raw: their distributions before recalibration, as of their submit.
            runtime_s: [n] what they took.
            idents: [n] ids of the jobs: they decide where in an atom an outcome lies.
            users, untrusted_clients, submit_s, end_s: as the fields.
        """
        below, upto = raw.levels_around(runtime_s)
        at_limit = runtime_s >= raw.limit_s
        drawn = below + uniform(idents) * (upto - below)
        lower, upper = (np.where(at_limit, drawn, level) for level in (upto, below))
        groups = shape_groups(raw)
        return cls(groups, lower, upper, users, untrusted_clients, submit_s, end_s)


def uniform(idents: Ids) -> Float64:
    """Return a number in [0, 1) for each of n ids, the same one each time (SplitMix64)."""
    mixed = idents + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed = (mixed ^ (mixed >> np.uint64(31))) >> np.uint64(11)
    return mixed.astype(np.float64) * 2.0**-53


@dataclass(frozen=True)
class LearnedLevels:
    """What was learned in training: first of all jobs, then of each group."""

    values: Float64
    """[1 + SHAPES, K] moving means at each knot"""
    weights: Float64
    """[1 + SHAPES] outcomes they are made of: `FIRST_OUTCOMES` to `LEARNED_OUTCOMES`"""

    def __post_init__(self) -> None:
        """Raise ValueError for what is no state of a recalibration."""
        if self.values.shape != (1 + SHAPES, len(KNOTS)) or self.weights.shape != (1 + SHAPES,):
            raise ValueError(f"need levels of {1 + SHAPES} groups at {len(KNOTS)} knots")
        if not (self.weights >= FIRST_OUTCOMES).all():
            raise ValueError(f"what was learned needs a weight of at least {FIRST_OUTCOMES:g}")
        LevelMaps(self.values)

    @classmethod
    def of(cls, document: RecalibrationDocument) -> "LearnedLevels | None":
        """Return where a bundle's recalibration starts from; None where it has learned nothing."""
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
    """Maps of levels for every group: one thread folds, any number of threads ask."""

    def __init__(self, learned: LearnedLevels | None = None, kept_rows: int = _KEPT_ROWS) -> None:
        """Start from what was learned in training.

        Args:
            learned: that; None for nothing.
            kept_rows: states of earlier times that are kept; the oldest go.
        """
        learned = LearnedLevels.nothing() if learned is None else learned
        self._values = learned.values.copy()
        self._shares = [Shares(weight, WINDOW_OUTCOMES) for weight in learned.weights.tolist()]
        self._siblings = Siblings()
        self._trusted = Trusted()
        self._folded = 0
        self._latest_s = -np.inf
        self._kept_rows = kept_rows
        self._rows = 0
        self._visible_s = np.empty(2 * kept_rows)
        self._maps = np.empty((2 * kept_rows, SHAPES, len(KNOTS)))
        self._first_row = 0
        self._shown = self._first_row, self._visible_s[:0], self._maps[:0]
        self._last_used: tuple[int, LevelMaps] | None = None
        self._publish()

    def __len__(self) -> int:
        """Outcomes that were ever folded."""
        return self._folded

    def learned(self) -> LearnedLevels:
        """Return what stands after the last outcome, for a later one to start from."""
        weights = [min(shares.weight, LEARNED_OUTCOMES) for shares in self._shares]
        return LearnedLevels(self._values.copy(), np.array(weights))

    def fold(self, outcomes: Outcomes) -> None:
        """Take finished jobs in, in the order given. Raises ValueError for levels that are NaN."""
        levels = np.column_stack([outcomes.lower_level, outcomes.upper_level])
        if np.isnan(levels).any():
            raise ValueError("outcomes without a level teach nothing: leave them out")
        below = np.where(_LOWER, levels[:, :1] < KNOTS, levels[:, 1:] < KNOTS).astype(np.float64)
        middle = ~(_LOWER | _UPPER)
        below[:, middle] = (levels < 0.5).mean(axis=1, keepdims=True)
        below[:, 0], below[:, -1] = 0, 1
        columns = (
            outcomes.groups,
            outcomes.users,
            outcomes.untrusted_clients,
            outcomes.submit_s,
            outcomes.end_s,
        )
        rows = zip(*(column.tolist() for column in columns), below, strict=True)
        for group, user, client, submit_s, end_s, seen in rows:
            weight = self._siblings.weight(user, submit_s, end_s)
            self._folded += 1
            self._latest_s = max(self._latest_s, end_s)
            beside_trusted = self._trusted.is_near(told_by_it=not client, now_s=self._latest_s)
            # What counts in a group counts among all: few are active in one, and nobody owns it.
            for scope in (_ALL, 1 + group):
                shares = self._shares[scope]
                weight = shares.count(
                    weight, user, client or None, self._latest_s, beside_trusted=beside_trusted
                )
                if not weight:
                    break
                mean = self._values[scope]
                mean += weight / shares.weight * (seen - mean)
            if self._folded < _FIRST or self._folded % PUBLISHED_OUTCOMES == 0:
                self._publish()

    def maps_at(self, groups: Groups, at_s: Float64) -> tuple[LevelMaps, NDArray[np.intp]]:
        """Return what was known at each of n times: maps, and which of them each job has.

        As `Distribution.recalibrated` takes them. Of a whole log, ask for some thousand jobs in the
        order of submission at a time: every state that is met needs memory.

        Args:
            groups: [n] as `shape_groups` gives them.
            at_s: [n] Unix s.
        """
        first_row, visible_s, maps = self._shown
        if len(at_s) == 1:
            first = max(visible_s.searchsorted(at_s.item(), side="right").item() - 1, 0)
            return self._one_state(first_row + first, maps[first]), groups
        rows = np.maximum(visible_s.searchsorted(at_s, side="right") - 1, 0)
        first = int(rows[0]) if len(rows) else 0
        if (rows == first).all():
            return self._one_state(first_row + first, maps[first]), groups
        met, which = np.unique(rows, return_inverse=True)
        return LevelMaps(maps[met].reshape(-1, len(KNOTS))), which * SHAPES + groups

    def _one_state(self, number: int, values: Float64) -> LevelMaps:
        """Return the maps of the state of that number: the latest is asked for most of the time."""
        last = self._last_used
        if last is None or last[0] != number:
            self._last_used = last = number, LevelMaps(values)
        return last[1]

    def _publish(self) -> None:
        """Let the state be asked for from the time on at which all that it knows had ended."""
        if self._rows == len(self._visible_s):
            kept = slice(self._rows - self._kept_rows, self._rows)
            visible_s, maps = np.empty_like(self._visible_s), np.empty_like(self._maps)
            visible_s[: self._kept_rows], maps[: self._kept_rows] = (
                self._visible_s[kept],
                self._maps[kept],
            )
            self._first_row += kept.start
            self._visible_s, self._maps, self._rows = visible_s, maps, self._kept_rows
        own = np.array([shares.weight for shares in self._shares[1:]])[:, np.newaxis]
        mixed = own * self._values[1:] + SHRINKAGE_OUTCOMES * self._values[_ALL]
        mixed /= own + SHRINKAGE_OUTCOMES
        mixed = np.maximum.accumulate(np.clip(mixed, 0, 1), axis=1)  # the last bits may fall
        mixed[:, 0], mixed[:, -1] = 0, 1
        self._visible_s[self._rows], self._maps[self._rows] = self._latest_s, mixed
        self._rows += 1
        self._show()

    def _show(self) -> None:
        """Let readers see the rows as they are now: no later change touches them."""
        shown = slice(self._rows)
        self._shown = self._first_row, self._visible_s[shown], self._maps[shown]

    def state(self) -> dict[str, NDArray[Any]]:
        """Return all of the state as named arrays, for a snapshot. On the writer's thread."""
        named: dict[str, NDArray[Any]] = {
            "values": self._values.copy(),
            "visible_s": self._visible_s[: self._rows].copy(),
            "maps": self._maps[: self._rows].copy(),
            "folded": np.array([self._folded]),
            "latest_s": np.array([self._latest_s]),
            "trusted_s": np.array([self._trusted.last_s]),
            **named_parts("siblings.", self._siblings.arrays()),
        }
        for scope, shares in enumerate(self._shares):
            named |= named_parts(f"shares{scope}.", shares.arrays())
        return named

    @classmethod
    def restored(
        cls, state: Mapping[str, NDArray[Any]], kept_rows: int = _KEPT_ROWS
    ) -> "Recalibration":
        """Return one that goes on where another's `state` was taken."""
        found = cls(kept_rows=kept_rows)
        found._values = state["values"].copy()
        found._folded, found._latest_s = int(state["folded"][0]), float(state["latest_s"][0])
        found._trusted = Trusted(float(state["trusted_s"][0]))
        found._rows = rows = min(len(state["visible_s"]), 2 * kept_rows)
        found._visible_s[:rows] = state["visible_s"][-rows:]
        found._maps[:rows] = state["maps"][-rows:]
        found._show()
        for scope, shares in enumerate(found._shares):
            shares.restore(part_of(f"shares{scope}.", state))
        found._siblings = Siblings.of(part_of("siblings.", state))
        return found
