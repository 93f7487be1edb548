"""What of a user's last submitted jobs runs and waits as of a time: one rule for all who ask.

A job counts as of t where it is told of (`known_since`) before t: jobs that are submitted in the
very second of the question do not, and so no order among them matters. It is over by t where its
end is at or before t, or where there has been no news of it for too long. It runs where its start
is at or before t, else it waits.
"""

from math import nan
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


class Queue(NamedTuple):
    """Submitted jobs of the asking users, in [m, w] windows, the latest first."""

    submit_s: Times
    start_s: Times
    """NaN where no start is told"""
    end_s: Times
    """NaN where no end is told"""
    patience_s: Times
    alike: NDArray[np.bool_]
    """Whether the job has the cores and limit of the asked one."""
    present: NDArray[np.bool_]
    """False in places that hold no job."""


def known_since(told: NDArray[np.uint8], submit_s: Times, start_s: Times) -> Times:
    """Return from when on jobs are told of before they end: [n]; NaN where never."""
    started = np.where(told & Told.STARTED, start_s, np.nan)
    return np.where(told & Told.SUBMITTED, submit_s, started)


def in_flight(queue: Queue, at_s: Times) -> tuple[Float, NDArray[np.int64]]:
    """Return the figures [m, len(IN_FLIGHT)] and the places of running jobs [m, RUNNING_SLOTS].

    at_s: [m] times. The places are columns of the windows, that which started last first, among
    equals that which was submitted last; -1 where there is none.
    """
    at_s = at_s[:, None]
    active = queue.present & ~(queue.end_s <= at_s)
    started = queue.start_s <= at_s
    runs = active & started & (at_s < queue.start_s + queue.patience_s)
    waits = active & ~started & (at_s < queue.submit_s + PATIENCE_S)
    figures = np.full((len(at_s), len(IN_FLIGHT)), np.nan, dtype=np.float32)
    figures[:, 0] = runs.sum(axis=1)
    figures[:, 1] = waits.sum(axis=1)
    figures[:, 2] = (runs & queue.alike).sum(axis=1)
    figures[:, 3] = (waits & queue.alike).sum(axis=1)
    places = np.full((len(at_s), RUNNING_SLOTS), -1, dtype=np.int64)
    busy = np.flatnonzero(figures[:, 0])
    start_s = np.where(runs[busy], queue.start_s[busy], np.inf)
    alike_s = np.where(queue.alike[busy], start_s, np.inf).min(axis=1, initial=np.inf)
    figures[busy, 4] = np.where(alike_s < np.inf, at_s[busy, 0] - alike_s, nan)
    figures[busy, 5] = at_s[busy, 0] - start_s.min(axis=1, initial=np.inf)
    places[busy] = _last_started(start_s)
    figures[~queue.present.any(axis=1)] = nan
    return figures, places


def _last_started(start_s: Times) -> NDArray[np.int64]:
    """Return the places of the latest starts: [m, RUNNING_SLOTS]; inf stands for none."""
    left = np.where(start_s < np.inf, start_s, -np.inf)
    places = np.full((len(left), RUNNING_SLOTS), -1, dtype=np.int64)
    rows = np.arange(len(left))
    for slot in range(RUNNING_SLOTS):
        place = left.argmax(axis=1)
        found = left[rows, place] > -np.inf
        places[found, slot] = place[found]
        left[rows, place] = -np.inf
    return places
