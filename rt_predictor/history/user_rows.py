"""Which of many rows are each user's, and from when they count."""

from array import array
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from rt_predictor.history.key_ids import Ids
from rt_predictor.history.sorted_runs import Times

Numbers = NDArray[np.int64]

NO_ROW = -1


@dataclass
class UserRows:
    """The rows of one user's jobs, in the order of arrival."""

    visible_s: "array[float]" = field(default_factory=lambda: array("d"))
    """From when each counts"""
    numbers: "array[int]" = field(default_factory=lambda: array("q"))
    """Its number among all rows"""

    @classmethod
    def of(cls, visible_s: Times, numbers: Numbers) -> "UserRows":
        """Rows that are known already."""
        return cls(array("d", visible_s.tobytes()), array("q", numbers.tobytes()))

    def append(self, visible_s: float, number: int) -> None:
        """Adds the latest row."""
        self.visible_s.append(visible_s)
        self.numbers.append(number)

    def last_at(self, at_s: float) -> int:
        """Number of the last row that counts at a time, or `NO_ROW`."""
        place = bisect_right(self.visible_s, at_s)
        return self.numbers[place - 1] if place else NO_ROW

    def last_at_each(self, at_s: Times) -> Numbers:
        """The same for each of several times.

        No view of the arrays may outlive this: while there is one they cannot grow.
        """
        places = np.frombuffer(self.visible_s).searchsorted(at_s, side="right")
        numbers = np.frombuffer(self.numbers, dtype=np.int64)[places - 1]
        return np.where(places > 0, numbers, NO_ROW)

    def between(self, at_s: Times, before: Numbers) -> Numbers:
        """How many rows there are after those that counted at each time, and before each number."""
        known = np.frombuffer(self.visible_s).searchsorted(at_s, side="right")
        return np.frombuffer(self.numbers, dtype=np.int64).searchsorted(before) - known


def each_user(users: Ids) -> Iterator[tuple[int, NDArray[np.intp]]]:
    """Each of [n] users once, and the places where it stands, ascending."""
    order = np.argsort(users, kind="stable")
    owners = users[order]
    starts = np.flatnonzero(np.append(True, owners[1:] != owners[:-1])[: len(owners)])
    for start, stop in pairwise([*starts.tolist(), len(owners)]):
        yield int(owners[start]), order[start:stop]
