"""How far off each of several experts was of late: for all jobs, and for each user's.

Prediction with expert advice needs each expert's recent loss. When a job ends, every sum of losses
decays and the expert's loss on that job is added; the same is done with ones, and the quotient is
the exponentially weighted mean. The loss over all jobs is the absolute error, in seconds; that over
one user's is relative and at most 1, so that one bad answer does not outweigh many good ones and
users of short jobs are heard too. What was known at an earlier time can be asked for, so that a job
is scored with what stood when it was submitted.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from rt_predictor.history.eviction import is_eviction_due, pieces_between_evictions, room
from rt_predictor.history.growth import FIRST_ROWS, FOLDED_EVENTS, GROWTH, grown
from rt_predictor.history.key_ids import NO_KEY, Ids
from rt_predictor.history.sorted_runs import Times
from rt_predictor.history.user_rows import NO_ROW, Numbers, UserRows, each_user
from rt_predictor.history.windows import Float

GLOBAL, USER = 0, 1
"""Places of the two scopes: all jobs, and those of one user."""

SCOPES = 2

_FEW_JOBS = 64
"""Jobs that are looked up one by one."""


@dataclass(frozen=True)
class Decays:
    """What is left of a sum after one more job."""

    overall: float = 0.9995
    user: float = 0.9


DECAYS = Decays()


@dataclass(frozen=True)
class LossRows:
    """n rows in the order of arrival, one an event."""

    users: Ids
    """[n] uint64, `NO_KEY` where the job had no user"""
    visible_s: Times
    """[n] time from which the row counts for all jobs"""
    user_visible_s: Times
    """[n] and for the user's"""
    sums: Float
    """[n, SCOPES, m + 1] decayed sums of each expert's losses, and of ones: the weight; NaN for the
    user of jobs that had none"""

    def __len__(self) -> int:
        return len(self.users)


def bytes_a_row(experts: int) -> int:
    """Memory of one event: sums in two scopes, two times, its number; and room to grow."""
    return int(GROWTH * (2 * 4 * (experts + 1) + 8 + 8 + 8))


class ExpertLosses:
    """Decayed absolute errors of m experts: one thread folds, any number of threads ask.

    Events are folded in the order of arrival. A row counts from the latest end among the events it
    is made of. For events that arrive in the order of their end that is its own end; one that
    arrives late counts from when those folded before it had ended, so that nothing that had not
    ended is ever looked at.
    """

    def __init__(self, experts: int, max_events: int, decays: Decays = DECAYS) -> None:
        """No events yet. Beyond `max_events` the rows that arrived first go (`eviction`)."""
        self.decays = decays
        self._experts = experts
        self._max_events = max_events
        self._lock = Lock()
        self._first = 0
        self._count = 0
        self._visible_s = np.empty(FIRST_ROWS)
        self._sums = np.empty((FIRST_ROWS, 2, experts + 1), dtype=np.float32)
        self._users: dict[int, UserRows] = {}

    @classmethod
    def restored(
        cls, rows: LossRows, arrived: int, max_events: int, decays: Decays = DECAYS
    ) -> "ExpertLosses":
        """Losses that go on where another's `rows` ended, of `arrived` events in all."""
        losses = cls(rows.sums.shape[2] - 1, max_events, decays)
        losses._first = arrived - len(rows)
        losses._replace(rows, 0)
        return losses

    def __len__(self) -> int:
        """Rows that are kept."""
        return self._count

    @property
    def arrived(self) -> int:
        """Events that were ever folded."""
        return self._first + self._count

    def fold(self, users: Ids, end_s: Times, losses: Float) -> LossRows:
        """Takes n finished jobs in, in the order given, and gives their rows.

        Args:
            users: [n] ids of their users (column `USER_KEY` of `key_ids`).
            end_s: [n] when they ended.
            losses: [n, SCOPES, m] as `losses_of` gives them.

        Raises ValueError where a loss is not finite: it would stay for ever.
        """
        if not np.isfinite(losses).all():
            raise ValueError("losses hold a value that is not finite: give each expert an answer")
        pieces = [self._fold(users[:0], end_s[:0], losses[:0])]
        arrived = self.arrived
        for piece in pieces_between_evictions(arrived, len(users), FOLDED_EVENTS):
            if is_eviction_due(arrived + piece.start):
                self.evict()
            pieces.append(self._fold(users[piece], end_s[piece], losses[piece]))
        columns = ("users", "visible_s", "user_visible_s", "sums")
        return LossRows(
            *(np.concatenate([getattr(rows, name) for rows in pieces]) for name in columns)
        )

    def as_of(self, users: Ids, submit_s: Times, room: Float | None = None) -> Float:
        """[n, SCOPES, m + 1] float32: the sums that were known at each time, as `LossRows.sums`.

        `users` are ids as for `fold`. Zeros where nothing was known. It is put into `room` where
        that is given.
        """
        with self._lock:
            sums, visible_s, first = self._sums, self._visible_s[: self._count], self._first
            find = self._few_own_rows if len(users) <= _FEW_JOBS else self._many_own_rows
            own = find(users, submit_s) - first
        shape = (len(users), SCOPES, self._experts + 1)
        found = np.empty(shape, dtype=np.float32) if room is None else room
        found[:] = 0
        overall = visible_s.searchsorted(submit_s, side="right") - 1
        for scope, rows in ((GLOBAL, overall), (USER, own)):
            if len(rows) == 1:  # a mask costs as much as all else that one job needs here
                if rows[0] >= 0:
                    found[0, scope] = sums[rows[0], scope]
                continue
            known = rows >= 0
            found[known, scope] = sums[rows[known], scope]
        return found

    def _few_own_rows(self, users: Ids, submit_s: Times) -> Numbers:
        """[n] number of the last row of each user that counts at the time, or `NO_ROW`."""
        numbers = [
            self._users[user].last_at(at_s) if user in self._users else NO_ROW
            for user, at_s in zip(users.tolist(), submit_s.tolist(), strict=True)
        ]
        return np.array(numbers, dtype=np.int64)

    def _many_own_rows(self, users: Ids, submit_s: Times) -> Numbers:
        """The same, user by user."""
        numbers = np.full(len(users), NO_ROW)
        for mine, places in self._each_user(users):
            numbers[places] = mine.last_at_each(submit_s[places])
        return numbers

    def siblings(self, users: Ids, submit_s: Times) -> Numbers:
        """[n] of the n events that were folded last: how many others of the user came before each
        that had not ended at its submit. On the writer's thread."""
        found = np.zeros(len(users), dtype=np.int64)
        numbers = np.arange(self.arrived - len(users), self.arrived)
        for mine, places in self._each_user(users):
            found[places] = mine.between(submit_s[places], numbers[places])
        return found

    def _each_user(self, users: Ids) -> Iterator[tuple[UserRows, NDArray[np.intp]]]:
        """The rows of each user of whom there are any, and places of the user in `users`."""
        for user, places in each_user(users):
            if user in self._users:
                yield self._users[user], places

    def evict(self) -> None:
        """Drops the rows beyond the limit. On the writer's thread."""
        kept = room(self._count, self._max_events)
        if kept < self._count:
            self._replace(self.rows(), self._count - kept)

    def rows(self) -> LossRows:
        """A copy of all rows that are kept, for storing. On the writer's thread."""
        count = self._count
        users = np.full(count, NO_KEY)
        user_visible_s = np.full(count, np.nan)
        for user, mine in self._users.items():
            places = np.array(mine.numbers) - self._first
            users[places] = user
            user_visible_s[places] = mine.visible_s
        return LossRows(
            users, self._visible_s[:count].copy(), user_visible_s, self._sums[:count].copy()
        )

    def _fold(self, users: Ids, end_s: Times, losses: Float) -> LossRows:
        rows = self._rows_after(users, end_s, losses)
        self._append(rows)
        return rows

    def _rows_after(self, users: Ids, end_s: Times, losses: Float) -> LossRows:
        errors = np.ones((len(users), SCOPES, self._experts + 1), dtype=np.float32)
        errors[:, :, :-1] = losses
        sums = np.empty_like(errors)
        user_visible_s = np.empty(len(users))
        decay, user_decay = np.float32(self.decays.overall), np.float32(self.decays.user)
        last, latest_s = self._last_row(self._count - 1, GLOBAL), -np.inf
        if self._count:
            latest_s = self._visible_s[self._count - 1]
        names = users.tolist()
        own = {user: self._last_of(user) for user in names}
        for place, (user, error, end) in enumerate(zip(names, errors, end_s.tolist(), strict=True)):
            sums[place, GLOBAL] = last = last * decay + error[GLOBAL]
            before, before_s = own[user]
            own[user] = now, now_s = before * user_decay + error[USER], max(before_s, end)
            sums[place, USER] = now
            user_visible_s[place] = now_s
        visible_s = np.maximum.accumulate(np.append(latest_s, end_s))[1:]
        return LossRows(users, visible_s, user_visible_s, sums)

    def _last_row(self, place: int, scope: int) -> Float:
        """Sums to start from: those of a row, or zeros where there is none."""
        if place < 0:
            return np.zeros(self._experts + 1, dtype=np.float32)
        row: Float = self._sums[place, scope]
        return row

    def _last_of(self, user: int) -> tuple[Float, float]:
        """The user's sums, and when they count from; NaN stays NaN for jobs that have no user."""
        if user == NO_KEY:
            return np.full(self._experts + 1, np.nan, dtype=np.float32), np.nan
        mine = self._users.get(user)
        if mine is None:
            return self._last_row(NO_ROW, USER), -np.inf
        return self._last_row(mine.numbers[-1] - self._first, USER), mine.visible_s[-1]

    def _append(self, rows: LossRows) -> None:
        start, stop = self._count, self._count + len(rows)
        visible_s, sums = self._visible_s, self._sums
        if stop > len(visible_s):
            room = max(stop, int(len(visible_s) * GROWTH))
            visible_s, sums = grown(visible_s, room), grown(sums, room)
        visible_s[start:stop] = rows.visible_s  # readers do not look past the count
        sums[start:stop] = rows.sums
        with self._lock:
            self._visible_s, self._sums, self._count = visible_s, sums, stop
            numbers = range(self._first + start, self._first + stop)
            of_rows = zip(rows.users.tolist(), rows.user_visible_s.tolist(), numbers, strict=True)
            for user, at_s, number in of_rows:
                if user != NO_KEY:
                    self._users.setdefault(user, UserRows()).append(at_s, number)

    def _replace(self, rows: LossRows, dropped: int) -> None:
        """Makes rows all there are, without the first of them."""
        first = self._first + dropped
        users = {
            user: UserRows.of(rows.user_visible_s[dropped:][places], places + first)
            for user, places in each_user(rows.users[dropped:])
            if user != NO_KEY
        }
        visible_s, sums = rows.visible_s[dropped:].copy(), rows.sums[dropped:].copy()
        with self._lock:
            self._users, self._visible_s, self._sums = users, visible_s, sums
            self._first, self._count = first, len(visible_s)


def replay_losses(
    users: Ids, submit_s: Times, end_s: Times, losses: Float, decays: Decays = DECAYS
) -> Float:
    """What was known at each submit of a whole log: [n, SCOPES, m + 1], as `ExpertLosses.as_of`.

    Takes the jobs in any order; those that end in the same second are folded in the order given.
    """
    by_end = np.argsort(end_s, kind="stable")
    folded = ExpertLosses(losses.shape[2], len(users), decays)
    folded.fold(users[by_end], end_s[by_end], losses[by_end])
    return folded.as_of(users, submit_s)


def losses_of(experts_s: Float, runtime_s: Float) -> Float:
    """[n, SCOPES, m] losses of [n, m] answers against [n] runtimes, both above zero.

    For all jobs: |answer - runtime|, in s. For the user: 1 - min / max of the two, 0 to 1.
    """
    runtime_s = runtime_s[:, None]
    error_s = np.abs(experts_s - runtime_s)
    return np.stack((error_s, error_s / np.maximum(experts_s, runtime_s)), axis=1)
