"""What history asks of a model: how far off its experts were, and what it told of a job.

History folds the answers; it does not know where they come from.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from rt_predictor.features.declared import INPUTS
from rt_predictor.history.experts import DECAYS, SCOPES, Decays
from rt_predictor.history.offsets import OffsetState
from rt_predictor.history.windows import Float
from rt_predictor.model.bounds import GROUPS, TAILS
from rt_predictor.model.ports import GraphInputs
from rt_predictor.model.reference import NO_REFERENCE, Reference
from rt_predictor.model.said import Said

Array = NDArray[np.float64]
Rows = slice | NDArray[np.int64] | NDArray[np.bool_]

NO_OFFSETS = OffsetState(np.zeros((GROUPS, TAILS)), np.zeros(GROUPS), np.zeros(GROUPS))
"""Of a model that has no intervals"""


@dataclass(frozen=True)
class Verdict:
    """How far off a model was on n finished jobs; NaN where it has seen them in training."""

    inputs: Float
    """[n, len(INPUTS)] what the model saw of them"""
    losses: Float
    """[n, SCOPES, experts] as `losses_of` gives them"""

    @property
    def usable(self) -> NDArray[np.bool_]:
        """[n] whether there is a verdict on a job."""
        return np.asarray(np.isfinite(self.losses).all(axis=(1, 2)))

    @classmethod
    def none(cls, jobs: int, experts: int) -> "Verdict":
        """None on any of n jobs."""
        return cls(
            np.full((jobs, len(INPUTS)), np.nan, dtype=np.float32),
            np.full((jobs, SCOPES, experts), np.nan, dtype=np.float32),
        )

    def put(self, rows: Rows, found: "Verdict") -> None:
        """Sets the verdict on some of the jobs."""
        self.inputs[rows] = found.inputs
        self.losses[rows] = found.losses


@dataclass(frozen=True)
class Told:
    """What a model tells of n jobs, in s."""

    predicted_s: Array
    """[n]"""
    lower_s: Array
    """[n, len(LEVELS)] lower ends of the intervals"""
    upper_s: Array
    """[n, len(LEVELS)] upper ends"""

    @classmethod
    def of(cls, said: Said, offsets: Float) -> "Told":
        """What is told where intervals are offset by [n, TAILS]."""
        found = (said.predicted_s, *said.ends_s(offsets))
        return cls(*(part.astype(np.float64) for part in found))


class Judge(Protocol):
    """Says how far off a model was, and what it tells. A row must not depend on its neighbours."""

    @property
    def experts(self) -> int:
        """How many experts there are."""
        ...

    @property
    def model_version(self) -> str:
        """Whose experts they are."""
        ...

    @property
    def decays(self) -> Decays:
        """How fast their losses are forgotten."""
        ...

    @property
    def start_offsets(self) -> OffsetState:
        """What intervals are offset by before any job has ended."""
        ...

    @property
    def reference(self) -> Reference:
        """What jobs and errors were like when the model was made."""
        ...

    @property
    def limits_enforced(self) -> bool:
        """Whether what is told ends at the time limit."""
        ...

    def __call__(self, events: pl.DataFrame, history_features: Float) -> Verdict:
        """The verdict on n finished jobs.

        Args:
            events: [n] `JOB_SCHEMA`.
            history_features: [n, len(KEYS) * COLUMNS_A_KEY], as `EventStore.features` gives them.
        """
        ...

    def said(self, given: GraphInputs) -> Said:
        """What it says of n jobs: those of a verdict, with what was known at their submit.

        The offsets do not matter.
        """
        ...


class NoExperts:
    """The judge of a model that has no experts."""

    experts = 0
    model_version = ""
    decays = DECAYS
    start_offsets = NO_OFFSETS
    reference = NO_REFERENCE
    limits_enforced = False

    def __call__(self, events: pl.DataFrame, history_features: Float) -> Verdict:
        """None."""
        del history_features
        return Verdict.none(len(events), self.experts)

    def said(self, given: GraphInputs) -> Said:
        """Nothing."""
        return Said.nothing(len(given))
