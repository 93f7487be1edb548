"""What outcomes have taught of intervals: how far each end must move to miss as often as promised.

Each tail of each group of jobs has an offset, which grows when a job lies outside of the end that
it was given and shrinks a little when not: online conformal prediction by gradient steps on the
quantile loss (adaptive conformal inference, Gibbs and Candes 2021; its quantile tracker,
Angelopoulos, Candes, Tibshirani 2023). Three things are of note:

- An outcome counts mostly by what the job was told when it was submitted, not by what it would be
  told now. So the misses that are counted are those that users see, and their share comes out as
  promised also where feedback is late. The rest counts by what stands when the job ends, which
  knows the latest steps already and so damps swings.
- Hundreds of jobs of one user that were told the same before any of them had ended share one fate:
  they are weighed (`siblings`), or one such burst would move the ends as if as many users had
  spoken, and all others would pay for it. Weighing those less that took long would cover the short
  ones: runtimes do not matter.
- Steps get smaller with the number of outcomes (Angelopoulos, Barber, Bates 2024), down to a floor
  that follows drift.
- A controller whose feedback is late swings, unless its gain falls with the lateness (so do steps
  in online learning with delayed feedback, Joulani, Gyorgy, Szepesvari 2013). Lateness is the mean
  number of outcomes of the group that came in while a job waited and ran.

The state is a fold of the outcome log: it depends on the log alone, not on the pieces in which it
was read, and what stood at an earlier time can be asked for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from rt_predictor.history.eviction import is_eviction_due, pieces_between_evictions, room
from rt_predictor.history.growth import FIRST_ROWS, FOLDED_EVENTS, GROWTH, grown
from rt_predictor.history.sorted_runs import Times

Array = NDArray[np.float64]
Groups = NDArray[np.int64]

_FIRST_STEP = 0.05
_STEP_POWER = 0.6
_STEP_DELAY_JOBS = 5
"""Outcomes for which the first step is held about as it is."""

_LEAST_STEP = 0.0035
"""Floor of the steps, on the cube-root scale. This, `_LATENESS_JOBS` and `_TOLD_WEIGHT` were chosen
on replays of the six logs of `make accuracy`: where feedback is prompt they hardly matter."""

_LATENESS_JOBS = 1000.0
"""Lateness at which the step is half of what it is without."""

_TOLD_WEIGHT = 0.85
"""Weight of what a job was told; the rest looks at what stands when it ends."""

_LATENESS_MEMORY = 0.002
"""Weight of the latest job in the mean lateness, once there are many."""

BYTES_AN_OFFSET = 8 * 9
"""Memory of one event: six tails, count, lateness, and the time from which they count."""


@dataclass(frozen=True)
class OffsetState:
    """What is known before the first row: one row a group."""

    offsets: Array
    """[groups, tails] on the cube-root scale"""
    counts: Array
    """[groups] outcomes that they are made of"""
    lateness: Array
    """[groups] mean number of outcomes that came in between a job's submit and its end"""

    def __post_init__(self) -> None:
        """Refuses what is not finite or does not fit: it would stay for ever."""
        groups = len(self.offsets)
        if self.counts.shape != (groups,) or self.lateness.shape != (groups,):
            raise ValueError("counts and lateness need one number for each group of offsets")
        if not np.isfinite(self.table()).all():
            raise ValueError("offsets, counts and lateness must be finite")

    def table(self) -> Array:
        """[groups, tails + 2] offsets, then counts, then lateness."""
        return np.column_stack([self.offsets, self.counts, self.lateness])

    @classmethod
    def from_table(cls, table: Array) -> "OffsetState":
        """The inverse of `table`."""
        return cls(table[:, :-2].copy(), table[:, -2].copy(), table[:, -1].copy())


@dataclass(frozen=True)
class Scored:
    """n finished jobs, and how far outside of their raw quantiles they lay."""

    groups: Groups
    """[n] group of each, as of its submit"""
    submit_s: Times
    """[n] when they were submitted"""
    end_s: Times
    """[n] when they ended"""
    scores: Array
    """[n, tails] the offsets that would just have held them"""
    weights: Array
    """[n] how much each counts, 0 to 1"""

    def __post_init__(self) -> None:
        """Raises ValueError where a score is not finite: it would never count as held."""
        if not np.isfinite(self.scores).all():
            raise ValueError("scores hold a value that is not finite: leave such jobs out")

    def __len__(self) -> int:
        return len(self.groups)

    def take(self, places: NDArray[np.int64] | slice) -> "Scored":
        """Those at some places."""
        return Scored(
            self.groups[places],
            self.submit_s[places],
            self.end_s[places],
            self.scores[places],
            self.weights[places],
        )


@dataclass(frozen=True)
class OffsetRows:
    """n rows, by group and in each in the order of arrival; one an event."""

    groups: Groups
    """[n]"""
    visible_s: Times
    """[n] time from which the row counts"""
    states: Array
    """[n, tails + 2] as in `OffsetState.table`"""

    def __len__(self) -> int:
        return len(self.groups)


class _GroupRows:
    """The rows of one group. They are only ever added to, or replaced by a copy."""

    def __init__(self, start: Array) -> None:
        self.visible_s = np.empty(FIRST_ROWS)
        self.states = np.empty((FIRST_ROWS, len(start)))
        self.visible_s[0], self.states[0] = -np.inf, start
        self.count = 1

    def at(self, at_s: float) -> int:
        """Place of the latest row that counts; the earliest that is kept where all are later."""
        known = self.visible_s[: self.count].searchsorted(at_s, side="right")
        return max(int(known) - 1, 0)

    def append(self, visible_s: float, state: Array) -> None:
        if self.count == len(self.visible_s):
            rows = int(self.count * GROWTH) + FIRST_ROWS
            self.visible_s = grown(self.visible_s, rows)
            self.states = grown(self.states, rows)
        self.visible_s[self.count], self.states[self.count] = visible_s, state
        self.count += 1

    def keep_last(self, rows: int) -> None:
        first = self.count - rows
        self.visible_s = self.visible_s[first : self.count].copy()
        self.states = self.states[first : self.count].copy()
        self.count = rows


class TailOffsets:
    """Offsets of every tail and group: one thread folds, any number of threads ask.

    Events are folded in the order of the log. A row counts from the latest end among the events of
    its group so far, so that nothing that had not ended is ever looked at.
    """

    def __init__(self, start: OffsetState, miss_shares: Sequence[float], max_rows: int) -> None:
        """What is known before the first event.

        Args:
            start: from calibration.
            miss_shares: [tails] share of jobs that may lie outside of each.
            max_rows: rows that each group keeps at most; those that arrived first go.
        """
        if start.offsets.shape[1] != len(miss_shares):
            raise ValueError(
                f"{start.offsets.shape[1]} offsets a group, but {len(miss_shares)} tails"
            )
        self._shares = np.array(miss_shares)
        self._max_rows = max_rows
        self._arrived = 0
        self._lock = Lock()
        self._groups = [_GroupRows(row) for row in start.table()]
        self._shown = self._view()

    @classmethod
    def restored(
        cls, rows: OffsetRows, arrived: int, miss_shares: Sequence[float], max_rows: int
    ) -> "TailOffsets":
        """Offsets that go on where another's `rows` ended, after `arrived` events."""
        groups = int(rows.groups[-1]) + 1
        last = np.searchsorted(rows.groups, np.arange(groups), side="right") - 1
        offsets = cls(OffsetState.from_table(rows.states[last]), miss_shares, max_rows)
        offsets._arrived = arrived
        for group, mine in enumerate(offsets._groups):
            own = rows.groups == group
            mine.visible_s, mine.states = rows.visible_s[own], rows.states[own]
            mine.count = len(mine.visible_s)
        offsets._shown = offsets._view()
        return offsets

    def __len__(self) -> int:
        """Rows that are kept."""
        return sum(mine.count for mine in self._groups)

    @property
    def arrived(self) -> int:
        """Events that were ever folded."""
        return self._arrived

    @property
    def state(self) -> OffsetState:
        """What stands after the last event."""
        return OffsetState.from_table(
            np.array([rows.states[rows.count - 1] for rows in self._groups])
        )

    def fold(self, jobs: Scored) -> None:
        """Takes finished jobs in, in the order given."""
        for piece in pieces_between_evictions(self._arrived, len(jobs), FOLDED_EVENTS):
            if is_eviction_due(self._arrived):
                self._evict()
            part = jobs.take(piece)
            numbers = (part.groups, part.submit_s, part.end_s, part.weights)
            for group, submit, end, weight, score in zip(
                *(column.tolist() for column in numbers), part.scores, strict=True
            ):
                self._take(self._groups[group], submit, end, weight, score)
            self._arrived += len(part)
            self._show()

    def as_of(self, groups: Groups, submit_s: Times) -> NDArray[np.float32]:
        """[n, tails] float32: the offsets that stood at each time, for jobs of these groups."""
        with self._lock:
            shown = self._shown
        if len(groups) == 1:  # a mask costs more than all that one job needs here
            visible_s, states = shown[groups[0]]
            row = max(int(visible_s.searchsorted(submit_s[0], side="right")) - 1, 0)
            return np.asarray(states[row : row + 1, :-2], dtype=np.float32)
        found = np.empty((len(groups), len(self._shares)), dtype=np.float32)
        for group in set(groups.tolist()):
            visible_s, states = shown[group]
            own = groups == group
            rows = np.maximum(visible_s.searchsorted(submit_s[own], side="right") - 1, 0)
            found[own] = states[rows, :-2]
        return found

    def rows(self) -> OffsetRows:
        """A copy of all rows that are kept, for storing. On the writer's thread."""
        counts = [mine.count for mine in self._groups]
        return OffsetRows(
            np.repeat(np.arange(len(counts)), counts),
            np.concatenate([mine.visible_s[: mine.count] for mine in self._groups]),
            np.concatenate([mine.states[: mine.count] for mine in self._groups]),
        )

    def _take(
        self, mine: _GroupRows, submit_s: float, end_s: float, weight: float, score: Array
    ) -> None:
        told = mine.states[mine.at(submit_s)]
        last = mine.states[mine.count - 1]
        state = np.empty_like(last)
        state[-2] = count = last[-2] + 1
        waited = last[-2] - told[-2]
        state[-1] = last[-1] + max(1 / count, _LATENESS_MEMORY) * (waited - last[-1])
        step = max(_LEAST_STEP, _FIRST_STEP / (_STEP_DELAY_JOBS + count) ** _STEP_POWER)
        step *= weight / (1 + state[-1] / _LATENESS_JOBS)
        missed = _TOLD_WEIGHT * (score > told[:-2]) + (1 - _TOLD_WEIGHT) * (score > last[:-2])
        state[:-2] = last[:-2] + step * (missed - self._shares)
        mine.append(max(mine.visible_s[mine.count - 1], end_s), state)

    def _evict(self) -> None:
        for mine in self._groups:
            if mine.count > self._max_rows:
                mine.keep_last(room(mine.count, self._max_rows))

    def _view(self) -> list[tuple[Times, Array]]:
        """The rows as they are now; no later change touches them."""
        return [(rows.visible_s[: rows.count], rows.states[: rows.count]) for rows in self._groups]

    def _show(self) -> None:
        shown = self._view()
        with self._lock:
            self._shown = shown


def replay_offsets(
    jobs: Scored, start: OffsetState, miss_shares: Sequence[float]
) -> tuple[NDArray[np.float32], OffsetState]:
    """What stood at each submit of a whole log, [n, tails] float32, and what stands after it.

    Takes the jobs in any order; those that end in the same second are folded in the order given.
    """
    offsets = TailOffsets(start, miss_shares, len(jobs) + 1)
    offsets.fold(jobs.take(np.argsort(jobs.end_s, kind="stable")))
    return offsets.as_of(jobs.groups, jobs.submit_s), offsets.state
