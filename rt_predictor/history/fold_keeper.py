"""What a worker has folded, as arrays that a snapshot holds, and back.

They hold no names, but hashes of users and job names.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from rt_predictor.eventlog.snapshot_file import Json, Stored
from rt_predictor.history.experts import ExpertLosses, LossRows
from rt_predictor.history.fold import Fold
from rt_predictor.history.judge import Judge
from rt_predictor.history.key_ids import keys_fingerprint
from rt_predictor.history.live import LiveSums
from rt_predictor.history.model_fold import ModelFold
from rt_predictor.history.offsets import OffsetRows, TailOffsets
from rt_predictor.history.sorted_runs import SortedRuns
from rt_predictor.history.store import DEFAULT_MAX_KEYS, EventStore
from rt_predictor.model.bounds import MISS_SHARES

_TYPES: Mapping[str, str] = {
    "runs.end_s": "<f8",
    "runs.runtime_s": "<f4",
    "runs.used": "<f4",
    "runs.ids": "<u8",
    "runs.starts": "<i4",
    "runs.events": "<i4",
    "rows.users": "<u8",
    "rows.visible_s": "<f8",
    "rows.user_visible_s": "<f8",
    "rows.sums": "<f4",
    "offsets.groups": "<i8",
    "offsets.visible_s": "<f8",
    "offsets.states": "<f8",
    "live.sums": "<f8",
    "live.counts": "<f8",
}
"""The arrays, in the order of the fields of `SortedRuns`, `LossRows`, `OffsetRows`, `LiveSums`."""


class FoldKeeper:
    """A `Keeper` of folds of one model's errors."""

    def __init__(self, judge: Judge, max_events: int, max_keys: int = DEFAULT_MAX_KEYS) -> None:
        self._judge = judge
        self._max_events = max_events
        self._max_keys = max_keys

    def origin(self) -> dict[str, Json]:
        """See `Keeper.origin`."""
        judge = self._judge
        return {
            "history keys": keys_fingerprint(),
            "model_version": judge.model_version,
            "experts": judge.experts,
            "decays": asdict(judge.decays),
            "limits_enforced": judge.limits_enforced,
        }

    def empty(self) -> Fold:
        """See `Keeper.empty`."""
        return Fold.empty(self._judge, self._max_events, self._max_keys)

    def stored(self, fold: Fold) -> Stored:
        """See `Keeper.stored`. Call it on the writer's thread."""
        model = fold.model
        parts = {
            "runs": fold.store.compact(),
            "rows": model.losses.rows(),
            "offsets": model.offsets.rows(),
            "live": model.live,
        }
        arrays: dict[str, NDArray[Any]] = {}
        for name, kind in _TYPES.items():
            part, _, column = name.partition(".")
            arrays[name] = np.ascontiguousarray(getattr(parts[part], column), dtype=kind)
        facts: dict[str, Json] = {
            "arrived": fold.store.arrived,
            "losses_arrived": model.losses.arrived,
            "offsets_arrived": model.offsets.arrived,
            "live_jobs": model.live.jobs,
            "limits": [fold.store.max_events, fold.store.max_keys],
        }
        return Stored(fold.position, facts, arrays)

    def restored(self, stored: Stored) -> Fold:
        """See `Keeper.restored`."""
        parts: dict[str, list[NDArray[Any]]] = {}
        for name, kind in _TYPES.items():
            array = stored.arrays[name]
            if array.dtype != np.dtype(kind):
                raise TypeError(name)
            parts.setdefault(name.partition(".")[0], []).append(array)
        judge, most, facts = self._judge, self._max_events, cast("dict[str, Any]", stored.facts)
        store = EventStore.restored(
            SortedRuns(*parts["runs"]), facts["arrived"], most, self._max_keys
        )
        losses = ExpertLosses.restored(
            LossRows(*parts["rows"]), facts["losses_arrived"], most, judge.decays
        )
        offsets = TailOffsets.restored(
            OffsetRows(*parts["offsets"]), facts["offsets_arrived"], MISS_SHARES, most
        )
        live = LiveSums(facts["live_jobs"], *parts["live"])
        if facts["limits"] != [store.max_events, store.max_keys]:
            store.evict()
            losses.evict()
        return Fold(store, ModelFold(judge, losses, offsets, live), stored.position)
