"""What of a user's last submitted jobs runs and waits as of a time: one rule for all who ask.

A job counts as of t where it is told of (`known_since`) before t: jobs that are submitted in the
very second of the question do not, and so no order among them matters. It is over by t where its
end is at or before t, or where there has been no news of it for too long. It runs where its start
is at or before t, else it waits.

A question may be about a job that was submitted before: it is not among the others then.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rt_predictor.history.columns import PATIENCE_S, Float, Times, Told
from rt_predictor.history.token_keys import RUNNING_SLOTS

IN_FLIGHT: tuple[tuple[str, str, str], ...] = (
    ("running", "count", "jobs of the user that run"),
    ("waiting", "count", "jobs of the user that wait"),
    ("running_alike", "count", "those that run with the same cores and time limit"),
    ("waiting_alike", "count", "those that wait with the same cores and time limit"),
    ("elapsed_alike", "s", "how long the longest of those alike has run"),
    ("elapsed", "s", "how long the longest of all has run"),
)
"""Figures of an asked job: name, unit, what it says. All are NaN where none of the user's jobs is
told of, the last two also where none runs."""


_ELAPSED_ALIKE, _ELAPSED = 4, 5
_NONE = np.array([[0, 0, 0, 0, np.nan, np.nan]], dtype=np.float32)
"""Figures where none of the jobs that are told of is open."""


class Open(NamedTuple):
    """Submitted jobs of m asking users that have not ended: e entries, one after the other.

    Those of one asked job stand together, that which was submitted last first.
    """

    asked: NDArray[np.intp]
    """[e] which asked job the entry is for, ascending"""
    submit_s: Times
    """[e]"""
    start_s: Times
    """[e] NaN where no start is told"""
    patience_s: Times
    """[e]"""
    alike: NDArray[np.bool_]
    """[e] whether it has the cores and limit of the asked job"""

    def part(self, entries: NDArray[np.bool_]) -> "Open":
        """Return some of the entries."""
        return Open(
            self.asked[entries],
            self.submit_s[entries],
            self.start_s[entries],
            self.patience_s[entries],
            self.alike[entries],
        )


def known_since(told: NDArray[np.uint8], submit_s: Times, start_s: Times) -> Times:
    """Return from when on jobs are told of before they end: [n]; NaN where never."""
    started = np.where(told & Told.STARTED, start_s, np.nan)
    return np.where(told & Told.SUBMITTED, submit_s, started)


def are_others(jobs: Open, submit_s: Times, start_s: Times, at_s: Times) -> NDArray[np.bool_]:
    """Return which entries are other jobs than the asked ones themselves: [e].

    An asked job is the one of its user with its submit time, cores and limit; of several, that with
    the nearest start.

    Args:
        jobs: e entries.
        submit_s: [m] of the asked jobs.
        start_s: [m] of the asked jobs; NaN for those that have not started.
        at_s: [m] when each is asked for.
    """
    others = np.ones(len(jobs.asked), dtype=np.bool_)
    indices = np.flatnonzero(jobs.alike & (jobs.submit_s == submit_s[jobs.asked]))
    if not len(indices):
        return others
    asked = jobs.asked[indices]
    theirs_s, own_s = (
        np.where(times_s <= at_s[asked], times_s, np.nan)
        for times_s in (jobs.start_s[indices], start_s[asked])
    )
    apart_s = np.abs(theirs_s - own_s)
    apart_s[np.isnan(apart_s)] = np.inf
    apart_s[np.isnan(theirs_s) & np.isnan(own_s)] = 0
    order = np.lexsort((apart_s, asked))
    nearest = order[np.unique(asked[order], return_index=True)[1]]
    others[indices[nearest]] = False
    return others


def in_flight(jobs: Open, at_s: Times) -> tuple[Float, NDArray[np.intp]]:
    """Return the figures [m, len(IN_FLIGHT)] and the entries that run [m, RUNNING_SLOTS].

    at_s: [m] when each is asked for. The entry that started last comes first, among equals that
    which was submitted last; -1 where there is none.
    """
    asked = len(at_s)
    if not len(jobs.asked):
        return _NONE.repeat(asked, axis=0), np.full((asked, RUNNING_SLOTS), -1, dtype=np.intp)
    then_s = at_s[jobs.asked]
    started = jobs.start_s <= then_s
    runs = np.flatnonzero(started & (then_s < jobs.start_s + jobs.patience_s))
    waits = np.flatnonzero(~started & (then_s < jobs.submit_s + PATIENCE_S))
    figures = np.full((asked, len(IN_FLIGHT)), np.nan, dtype=np.float32)
    for column, entries in enumerate(
        (runs, waits, runs[jobs.alike[runs]], waits[jobs.alike[waits]])
    ):
        figures[:, column] = np.bincount(jobs.asked[entries], minlength=asked)
    runs = runs[np.lexsort((-jobs.start_s[runs], jobs.asked[runs]))]
    owners = jobs.asked[runs]
    elapsed_s = then_s[runs] - jobs.start_s[runs]
    alike = jobs.alike[runs]
    # Of several values for one index the last stays: that of the job that has run longest.
    figures[owners[alike], _ELAPSED_ALIKE] = elapsed_s[alike]
    figures[owners, _ELAPSED] = elapsed_s
    rank = np.arange(len(runs)) - owners.searchsorted(owners)
    first = rank < RUNNING_SLOTS
    running = np.full((asked, RUNNING_SLOTS), -1, dtype=np.intp)
    running[owners[first], rank[first]] = runs[first]
    return figures, running
