"""Stand-ins for what history needs of others."""

from dataclasses import dataclass, field

import numpy as np
import polars as pl

from rt_predictor.features.declared import REQUEST_INPUTS
from rt_predictor.history.experts import GLOBAL, Decays, losses_of
from rt_predictor.history.judge import NO_OFFSETS, Told, Verdict
from rt_predictor.history.offsets import OffsetState
from rt_predictor.history.replay import COLUMNS_A_KEY
from rt_predictor.history.windows import Float
from rt_predictor.model.bounds import LEVELS, TAILS
from rt_predictor.model.ports import GraphInputs
from rt_predictor.model.reference import (
    BINS,
    ERROR,
    HISTORY,
    RUNTIME_TO_PREDICTION,
    Reference,
    WatchedColumn,
)
from tests.history.jobs import COLUMN, KEY


def watched(name: str, group: str, *edges: float) -> WatchedColumn:
    """A column whose bins were all alike."""
    shares = np.zeros(BINS)
    shares[[*range(len(edges) + 1), -1]] = 1 / (len(edges) + 2)
    return WatchedColumn(name, group, np.array(edges, dtype=np.float32), shares)


A_REFERENCE = Reference(
    (
        watched("user_runs", HISTORY, 1, 3, 9),
        watched(RUNTIME_TO_PREDICTION, ERROR, 0.5, 1, 2),
    )
)


@dataclass
class FakeJudge:
    """Two experts: the last run of the user's, and a second. Fails on jobs named "poison"."""

    model_version: str = "fake-1"
    experts: int = 2
    decays: Decays = field(default_factory=lambda: Decays(0.9, 0.5))
    start_offsets: OffsetState = NO_OFFSETS
    reference: Reference = A_REFERENCE
    limits_enforced: bool = False
    asked: list[int] = field(default_factory=list)
    """How many events each time"""
    features: list[Float] = field(default_factory=list)
    """What was known of them"""

    def __call__(self, events: pl.DataFrame, history_features: Float) -> Verdict:
        if "poison" in events["job_name"].to_list():
            raise RuntimeError("a model that fails")
        self.asked.append(len(events))
        self.features.append(history_features)
        runtime = events["runtime"].to_numpy()
        last = history_features[:, KEY["user"] * COLUMNS_A_KEY + COLUMN["last"]]
        answers = np.column_stack((np.nan_to_num(last), np.ones(len(last)))).astype(np.float32)
        losses = losses_of(answers, runtime.astype(np.float32))
        losses[(events["job_name"] == "nan").fill_null(value=False).to_numpy()] = np.nan
        scores = np.repeat(np.log(runtime)[:, None] - 6, TAILS, axis=1)
        inputs = np.zeros((len(events), len(REQUEST_INPUTS)), dtype=np.float32)
        return Verdict(np.hstack((inputs, history_features)), losses, scores)

    def told(self, given: GraphInputs) -> Told:
        """Answers that follow from all that was known."""
        losses, weights = given.expert_losses[:, GLOBAL, 0], given.expert_losses[:, GLOBAL, -1]
        predicted_s = 10.0 + losses / np.maximum(weights, 1) + given.offsets[:, 0]
        widths_s = np.arange(1, len(LEVELS) + 1) * (1 + np.abs(given.offsets[:, -1:]))
        return Told(
            predicted_s.astype(np.float64),
            (predicted_s[:, None] - widths_s).astype(np.float64),
            (predicted_s[:, None] + widths_s).astype(np.float64),
        )
