"""Names of partitions and QoS that known jobs have had, as codes: to tell one that is new.

A name is known from the time of the first event that told it, so that a question about the past is
answered by what was known then.
"""

from collections.abc import Mapping
from math import inf

import numpy as np
from numpy.typing import NDArray

from rt_predictor.history.columns import COLUMN, Float, JobColumns, Times, Told
from rt_predictor.history.value_ids import NO_CODE

WATCHED = ("partition_id", "qos_id")
"""Columns whose values are remembered."""

MAX_NAMES = 1 << 14
"""Names of one column that are remembered; a site has some tens."""

_SINCE = ".since_s"
"""Ends the name of the array of times beside one of codes."""


class SeenNames:
    """Codes that were seen. One thread adds, all ask: what they see is replaced, never changed."""

    def __init__(self, arrays: Mapping[str, NDArray[np.floating]] | None = None) -> None:
        """Nothing is seen yet, or what `arrays` of another gave."""
        self._since_s = {name: _times_by_code(name, arrays) for name in WATCHED}
        """Column -> code -> the time from which on it is known, Unix s"""
        self._first_s = {name: min(times.values(), default=inf) for name, times in self._known()}
        """Column -> the time from which on any is"""

    def add(self, jobs: JobColumns) -> None:
        """Remember the names of n jobs, from the time on at which what is told of each happened."""
        told_s = _told_s(jobs)
        for name, known in self._known():
            found, index = np.unique(jobs.columns[:, COLUMN[name]], return_inverse=True)
            since_s = np.full(len(found), inf)
            np.minimum.at(since_s, index, told_s)
            earlier = {
                code: time_s
                for code, time_s in zip(found.tolist(), since_s.tolist(), strict=True)
                if code != NO_CODE
                and time_s < known.get(code, inf)
                and (code in known or len(known) < MAX_NAMES)
            }
            if earlier:
                self._since_s[name] = known | earlier
                self._first_s[name] = min(self._first_s[name], *earlier.values())

    def arrays(self) -> dict[str, NDArray[np.floating]]:
        """Return what is seen: for each of `WATCHED` an ascending array of codes, and times."""
        found: dict[str, NDArray[np.floating]] = {}
        for name, known in self._known():
            codes = sorted(known)
            found[name] = np.array(codes, np.float32)
            found[name + _SINCE] = np.array([known[code] for code in codes], np.float64)
        return found

    def unseen(self, name: str, codes: Float, at_s: Times) -> NDArray[np.bool_]:
        """Return which of n codes are of names that no job had had by then.

        Where no job had had any name by then, none is new. Nor is that of a job without one.

        Args:
            name: of the column, one of `WATCHED`.
            codes: [n] what its value is.
            at_s: [n] the time that is asked about, Unix s.
        """
        distinct, which = np.unique(codes, return_inverse=True)
        known, first_s = self._since_s[name], self._first_s[name]
        since_s = np.array([known.get(code, inf) for code in distinct.tolist()])
        since_s[distinct == NO_CODE] = -inf
        unseen: NDArray[np.bool_] = (at_s >= first_s) & (at_s < since_s.take(which))
        return unseen & (first_s < inf)

    def is_unseen(self, name: str, code: float, at_s: float) -> bool:
        """Return the same for one code."""
        if code == NO_CODE or at_s < self._first_s[name]:
            return False
        return at_s < self._since_s[name].get(code, inf) and self._first_s[name] < inf

    def _known(self) -> list[tuple[str, dict[float, float]]]:
        return list(self._since_s.items())


def _times_by_code(
    name: str, arrays: Mapping[str, NDArray[np.floating]] | None
) -> dict[float, float]:
    if arrays is None:
        return {}
    return dict(zip(arrays[name].tolist(), arrays[name + _SINCE].tolist(), strict=True))


def _told_s(jobs: JobColumns) -> Times:
    """When the first of what is told of each of n jobs became known: [n] Unix s.

    A submit is seen by what is submitted later, a start and an end also in their very second.
    """
    told_s = np.full(len(jobs.told), inf)
    for kind, time_s in (
        (Told.ENDED, jobs.end_s),
        (Told.STARTED, jobs.start_s),
        (Told.SUBMITTED, np.nextafter(jobs.submit_s, inf)),
    ):
        told_s = np.where((jobs.told & kind) > 0, np.fmin(told_s, time_s), told_s)
    return told_s
