"""Which jobs stay in memory when there are too many: an equal share for every source and user.

Each client that is not trusted is a source of jobs, all trusted ones together are another. Each
source keeps as many jobs as fit for all sources, and within it each user the last so many. So a
flood of jobs by one user, of jobs without a user, or by one client under ever new names of users,
drives out itself before anybody else's; and who has few keeps them all.
"""

import numpy as np
from numpy.typing import NDArray

from rt_predictor.history.asked_tokens import END
from rt_predictor.history.known_jobs import Arrays
from rt_predictor.history.row_index import ListArrays


def kept_rows(arrays: Arrays, lists: ListArrays, max_jobs: int, max_keys: int) -> NDArray[np.intp]:
    """Return the rows of the jobs that stay, ascending.

    Args:
        arrays: `KnownJobs.to_arrays`.
        lists: `RowLists.to_arrays`.
        max_jobs: jobs that may stay.
        max_keys: keys that may stay; one stays with any of its jobs.
    """
    order = _by_share(arrays)
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    stop = min(max_jobs, len(order))
    if len(lists.ids) > max_keys:
        # A key is there from the rank on at which the first of its jobs stands.
        first = np.minimum.reduceat(rank[lists.rows], lists.starts[:-1])
        stop = min(stop, int(np.partition(first, max_keys)[max_keys]))
    return np.sort(order[:stop])


def _by_share(arrays: Arrays) -> NDArray[np.intp]:
    """Return all rows: the first that each source keeps, then the second of each, and so on.

    A source keeps the last job of each of its users first, then the last but one of each.
    """
    news_s = np.fmax.reduce(arrays["times_s"][:, : END + 1], axis=1)
    latest = np.lexsort((arrays["ident"], news_s))[::-1]
    by_user = _dealt(latest, arrays["source"], arrays["user"])
    return _dealt(by_user, arrays["source"])


def _dealt(order: NDArray[np.intp], *owners: NDArray[np.uint64]) -> NDArray[np.intp]:
    """Return rows so that each owner has one in turn; otherwise they keep their order.

    owners: [rows] ids that together tell whose a row is.
    """
    mine = [ids[order] for ids in owners]
    by_owner = np.lexsort(mine[::-1])  # stable: the rows of an owner keep their order
    new = np.zeros(len(order), dtype=np.bool_)
    new[:1] = True
    for ids in mine:
        new[1:] |= ids[by_owner[1:]] != ids[by_owner[:-1]]
    starts = np.flatnonzero(new)
    turn = np.empty(len(order), dtype=np.int64)
    lengths = np.diff(np.append(starts, len(order)))
    turn[by_owner] = np.arange(len(order)) - np.repeat(starts, lengths)
    return order[np.argsort(turn, kind="stable")]
