"""Stand-ins for what history needs of others."""

from dataclasses import dataclass, field

import numpy as np
import polars as pl

from rt_predictor.features.declared import DAY_S, REQUEST_INPUTS
from rt_predictor.history.experts import GLOBAL, Decays, losses_of
from rt_predictor.history.judge import NO_OFFSETS, Verdict
from rt_predictor.history.offsets import OffsetState
from rt_predictor.history.replay import COLUMNS_A_KEY
from rt_predictor.history.windows import Float
from rt_predictor.model.bounds import QUANTILES
from rt_predictor.model.ports import GraphInputs
from rt_predictor.model.reference import (
    BINS,
    ERROR,
    HISTORY,
    RUNTIME_TO_PREDICTION,
    Reference,
    WatchedColumn,
)
from rt_predictor.model.said import Said
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
        inputs = np.zeros((len(events), len(REQUEST_INPUTS)), dtype=np.float32)
        return Verdict(np.hstack((inputs, history_features)), losses)

    def said(self, given: GraphInputs) -> Said:
        """Answers that follow from all that was known; quantiles of a day's fractions."""
        losses, weights = given.expert_losses[:, GLOBAL, 0], given.expert_losses[:, GLOBAL, -1]
        predicted_s = 10 + losses / np.maximum(weights, 1)
        jobs = len(predicted_s)
        return Said(
            predicted_s.astype(np.float32),
            np.tile(np.linspace(0.1, 0.4, len(QUANTILES), dtype=np.float32), (jobs, 1)),
            np.full(jobs, DAY_S, dtype=np.float32),
            np.full(jobs, np.inf, dtype=np.float32),
        )
