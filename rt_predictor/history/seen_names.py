"""Names of partitions and QoS that known jobs have had, as codes: to tell one that is new."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from rt_predictor.history.columns import COLUMN, Float, JobColumns
from rt_predictor.history.value_ids import NO_CODE

WATCHED = ("partition_id", "qos_id")
"""Columns whose values are remembered."""

MAX_NAMES = 1 << 14
"""Names of one column that are remembered; a site has some tens."""


class SeenNames:
    """Codes that were seen. One thread adds, all ask: what they see is replaced, never changed."""

    def __init__(self, codes: Mapping[str, Float] | None = None) -> None:
        """Nothing is seen yet, or what `arrays` of another gave."""
        known = codes or {}
        self._codes: dict[str, frozenset[float]] = {
            name: frozenset(known[name].tolist()) if name in known else frozenset()
            for name in WATCHED
        }

    def add(self, jobs: JobColumns) -> None:
        """Remember the names of n jobs."""
        for name in WATCHED:
            seen = self._codes[name]
            column = jobs.columns[:, COLUMN[name]]
            new = set(np.unique(column).tolist()) - seen - {NO_CODE}
            if new and len(seen) < MAX_NAMES:
                self._codes[name] = seen | new

    def arrays(self) -> dict[str, Float]:
        """Return what is seen: an ascending array for each of `WATCHED`."""
        return {name: np.array(sorted(seen), np.float32) for name, seen in self._codes.items()}

    def unseen(self, name: str, codes: Float) -> NDArray[np.bool_]:
        """Return which of n codes are of names that no job has had; none where no job had a name.

        A job without a name has none that is new.
        """
        seen = self._codes[name]
        if not seen:
            return np.zeros(len(codes), dtype=np.bool_)
        return np.fromiter(
            (code != NO_CODE and code not in seen for code in codes.tolist()), np.bool_, len(codes)
        )

    def is_unseen(self, name: str, code: float) -> bool:
        """Return the same for one code."""
        seen = self._codes[name]
        return bool(seen) and code != NO_CODE and code not in seen
