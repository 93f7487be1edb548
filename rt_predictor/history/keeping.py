"""Which jobs stay in memory when there are too many: an equal share for every user.

Each user keeps the last so many jobs, as many as fit for all. So a flood of jobs by one user, or of
jobs without a user, drives out itself before anybody else's; and who has few keeps them all.
"""

import numpy as np
from numpy.typing import NDArray

from rt_predictor.history.asked_tokens import END
from rt_predictor.history.known_jobs import Arrays
from rt_predictor.history.row_lists import ListArrays


def kept_rows(arrays: Arrays, lists: ListArrays, max_jobs: int, max_keys: int) -> NDArray[np.intp]:
    """Return the rows of the jobs that stay, ascending.

    Args:
        arrays: `KnownJobs.to_arrays`.
        lists: `RowLists.to_arrays`.
        max_jobs: jobs that may stay.
        max_keys: keys that may stay; one stays with any of its jobs.
    """
    order = _by_share(arrays)
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    stop = min(max_jobs, len(order))
    if len(lists.ids) > max_keys:
        # A key is there from the place on at which the first of its jobs stands.
        first = np.minimum.reduceat(place[lists.rows], lists.starts[:-1])
        stop = min(stop, int(np.partition(first, max_keys)[max_keys]))
    return np.sort(order[:stop])


def _by_share(arrays: Arrays) -> NDArray[np.intp]:
    """Return all rows: the last job of each user, then the last but one of each, and so on."""
    news_s = np.fmax.reduce(arrays["times_s"][:, : END + 1], axis=1)
    latest = np.lexsort((arrays["ident"], news_s))[::-1]
    by_user = latest[np.argsort(arrays["user"][latest], kind="stable")]
    users = arrays["user"][by_user]
    starts = np.flatnonzero(np.append(True, users[1:] != users[:-1])[: len(users)])
    lengths = np.diff(np.append(starts, len(users)))
    depth = np.empty(len(users), dtype=np.int64)
    depth[by_user] = np.arange(len(users)) - np.repeat(starts, lengths)
    return latest[np.argsort(depth[latest], kind="stable")]
