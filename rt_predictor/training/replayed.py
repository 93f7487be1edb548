"""Result of a replay of a log: the answers for its test span, beside the outcomes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

Array = NDArray[np.float64]

LEVELS: Final = (0.5, 0.75, 0.9, 0.95)
"""Levels of the intervals that are judged."""

CONFIDENCES: Final = (0.9, 0.95)
"""Confidences of the recommended limits that are judged."""

TRIED_CONFIDENCES: Final = (
    *(0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.925, 0.95, 0.96, 0.97, 0.98, 0.985, 0.99, 0.995),
)
"""All that limits are recommended for, to find which one cuts as many jobs as another model."""

LONGER: Final = 1.25
"""Factor of the limits that some jobs are asked again with, once and twice."""


@dataclass(frozen=True)
class AskedAgain:
    """Answers to m of the jobs with other limits than they had; all had one."""

    predicted_s: Array
    """[m, 3] with the limit, with `LONGER` times it, and with that times the same again"""
    timeout_probability: Array
    """[m, len(CONFIDENCES)] with the limit that was recommended at each confidence; NaN where none
    was"""


@dataclass(frozen=True)
class Replayed:
    """Answers for n jobs, in the order of submission; each from what was known at its submit."""

    jobs: pl.DataFrame
    """[n] `JOB_SCHEMA`, runtime > 0."""
    rows: NDArray[np.int64]
    """[n] where they stand in the log"""
    kind: str
    """Kind of the model that answered: "base", "fine-tuned", ..."""
    model_version: str
    jobs_train: int
    """Jobs of the log that had ended before the first of these was submitted."""
    predicted_s: Array
    """[n] medians"""
    members: Mapping[str, Array]
    """[n] predictions of each booster and rule on its own."""
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
    crps_s: Array
    """[n] continuous ranked probability scores"""
    crps_sqrt_s: Array
    """[n] the same of the square roots of runtimes; √s"""
    timeout_probability: Array
    """[n] chance to reach the time limit; NaN without one."""
    timeout_base_rate: float
    """Share of the training jobs with a limit that reached it; NaN where none had one."""
    recommended_s: Array
    """[n, len(TRIED_CONFIDENCES)] limits to ask for; NaN where the job's own is not enough"""
    user_runs: Array
    """[n] finished jobs of the user that were known; 0 for none. May stop counting at 20."""
    asked_again: AskedAgain
    request_only_s: Array | None = None
    """[n] predictions without the user and history; None where they were not made."""
    retrain_every_days: float | None = None
    """Days of the log after which the model was tuned anew; None if it never was."""

    def __post_init__(self) -> None:
        """Refuse arrays that do not fit each other."""
        n, k = len(self.jobs), len(self.levels)
        for name, actual, expected in (
            *((name, getattr(self, name).shape, (n,)) for name in _columns(self)),
            *((name, getattr(self, name).shape, (n, k)) for name in _INTERVALS),
            ("recommended_s", self.recommended_s.shape, (n, len(TRIED_CONFIDENCES))),
            *(
                (f"members[{name!r}]", predicted.shape, (n,))
                for name, predicted in self.members.items()
            ),
        ):
            if actual != expected:
                raise ValueError(f"{name} has the shape {actual}, not {expected}")

    def recommended_at(self, confidence: float) -> Array:
        """[n] limits that are recommended at one of `TRIED_CONFIDENCES`."""
        return self.recommended_s[:, TRIED_CONFIDENCES.index(confidence)]


_COLUMNS = ("rows", "predicted_s", "crps_s", "crps_sqrt_s", "timeout_probability", "user_runs")
_INTERVALS = ("lower_s", "upper_s", "constant_lower_s", "constant_upper_s")


def _columns(replayed: Replayed) -> tuple[str, ...]:
    return _COLUMNS if replayed.request_only_s is None else (*_COLUMNS, "request_only_s")


def concatenate(spans: Sequence[Replayed], retrain_every_days: float | None = None) -> Replayed:
    """Join consecutive spans; training jobs are those of the first, the version of the last."""
    first = spans[0]
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(span, name) for span in spans])
        for name in (*_columns(first), *_INTERVALS, "recommended_s")
    }
    again = [span.asked_again for span in spans]
    return replace(
        first,
        jobs=pl.concat([span.jobs for span in spans]),
        model_version=spans[-1].model_version,
        retrain_every_days=retrain_every_days,
        members={
            name: np.concatenate([span.members[name] for span in spans]) for name in first.members
        },
        asked_again=AskedAgain(
            np.concatenate([part.predicted_s for part in again]),
            np.concatenate([part.timeout_probability for part in again]),
        ),
        **columns,
    )
