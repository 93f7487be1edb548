"""What a replay of a log gave: the answers to its test span, beside what happened."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Replayed:
    """Answers for n jobs, in the order of submission; each from what was known at its submit."""

    jobs: pl.DataFrame
    """[n] `JOB_SCHEMA`, runtime > 0."""
    jobs_train: int
    """Jobs that had ended before the first of these was submitted: what was learned from."""
    predicted_s: Array
    """[n] what the ensemble answered."""
    members: Mapping[str, Array]
    """[n] what each member and expert would have answered on its own."""
    levels: tuple[float, ...]
    """[k] levels of the intervals, ascending."""
    lower_s: Array
    """[n, k] lower ends."""
    upper_s: Array
    """[n, k] upper ends."""
    constant_lower_s: Array
    """[n, k] lower ends of split-conformal intervals of constant width in log runtime."""
    constant_upper_s: Array
    """[n, k] upper ends of the same."""
    timeout_probability: Array
    """[n] chance to reach the time limit; NaN without one."""
    timeout_base_rate: float
    """Share of the training jobs with a limit that reached it; NaN where none had one."""
    request_only_s: Array | None
    """[n] what the ensemble answers without features of users or history; None if not fitted."""
    user_runs: Array
    """[n] finished jobs of the user that were known; 0 for none. May stop counting at 10."""
    importance: Mapping[str, float]
    """Share of each feature in the gain of all splits."""
    retrain_every_days: float | None = None
    """Days of the log after which the model was made anew; None if it never was."""

    def __post_init__(self) -> None:
        """Refuses arrays that do not fit each other."""
        n, k = len(self.jobs), len(self.levels)
        for name, found, expected in (
            *((name, getattr(self, name).shape, (n,)) for name in _columns(self)),
            *((name, getattr(self, name).shape, (n, k)) for name in _INTERVALS),
            *((f"members[{name!r}]", says.shape, (n,)) for name, says in self.members.items()),
        ):
            if found != expected:
                raise ValueError(f"{name} has the shape {found}, not {expected}")


_COLUMNS = ("predicted_s", "timeout_probability", "user_runs")
_INTERVALS = ("lower_s", "upper_s", "constant_lower_s", "constant_upper_s")


def _columns(replayed: Replayed) -> tuple[str, ...]:
    return _COLUMNS if replayed.request_only_s is None else (*_COLUMNS, "request_only_s")


def concatenate(spans: Sequence[Replayed]) -> Replayed:
    """Consecutive spans as one; what was learned from, and with what result, is the first's."""
    first = spans[0]
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(span, name) for span in spans])
        for name in (*_columns(first), *_INTERVALS)
    }
    return replace(
        first,
        jobs=pl.concat([span.jobs for span in spans]),
        members={
            name: np.concatenate([span.members[name] for span in spans]) for name in first.members
        },
        **columns,
    )
