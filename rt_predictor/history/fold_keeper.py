"""What a worker has folded, as arrays that a snapshot holds, and back.

They hold no names, but hashes of users, job names and the like.
"""

from typing import Any, cast

import numpy as np

from rt_predictor.eventlog.snapshot_file import Json, Stored
from rt_predictor.history.fingerprint import history_fingerprint
from rt_predictor.history.fold import Fold
from rt_predictor.history.job_store import JobStore
from rt_predictor.history.known_jobs import Arrays
from rt_predictor.history.learner import Learner
from rt_predictor.history.seen_names import SeenNames

_STORE, _NAMES, _LEARNED = "jobs.", "names.", "learned."
"""What begins the names of the arrays of each part."""


class FoldKeeper:
    """A `Keeper` of folds, with what one model learns."""

    def __init__(self, learner: Learner, max_events: int, max_keys: int) -> None:
        self._learner = learner
        self._max_events = max_events
        self._max_keys = max_keys

    def origin(self) -> dict[str, Json]:
        """See `Keeper.origin`."""
        return {"history": history_fingerprint(), **self._learner.origin()}

    def empty(self) -> Fold:
        """See `Keeper.empty`."""
        store = JobStore(self._max_events, self._max_keys)
        return Fold(store, self._learner.nothing(), trusts=self._learner.trusts)

    def stored(self, fold: Fold) -> Stored:
        """See `Keeper.stored`. Call it on the writer's thread."""
        facts: dict[str, Json] = {
            "limits": [fold.store.max_events, fold.store.max_keys],
            "learned": fold.learned.facts(),
        }
        arrays = {
            **_named(_STORE, fold.store.to_arrays()),
            **_named(_NAMES, fold.names.arrays()),
            **_named(_LEARNED, fold.learned.arrays()),
        }
        return Stored(fold.position, facts, arrays)

    def restored(self, stored: Stored) -> Fold:
        """See `Keeper.restored`."""
        facts = cast("dict[str, Any]", stored.facts)
        store = JobStore.of(_part(_STORE, stored.arrays), self._max_events, self._max_keys)
        names = SeenNames(_part(_NAMES, stored.arrays))
        learned = self._learner.restored(facts["learned"], _part(_LEARNED, stored.arrays))
        if facts["limits"] != [store.max_events, store.max_keys]:
            store.evict()
        return Fold(store, learned, names, self._learner.trusts, stored.position)


def _named(prefix: str, arrays: Arrays) -> dict[str, Any]:
    return {prefix + name: np.ascontiguousarray(array) for name, array in arrays.items()}


def _part(prefix: str, arrays: Arrays) -> dict[str, Any]:
    return {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if name.startswith(prefix)
    }
