"""Stand-ins for what history needs of others."""

from dataclasses import dataclass, field

import numpy as np
import polars as pl

from rt_predictor.history.experts import Decays, losses_of
from rt_predictor.history.fold import NO_OFFSETS, Verdict
from rt_predictor.history.offsets import OffsetState
from rt_predictor.history.replay import COLUMNS_A_KEY
from rt_predictor.history.windows import Float
from rt_predictor.model.bounds import TAILS
from tests.history.jobs import COLUMN, KEY


@dataclass
class FakeJudge:
    """Two experts: the last run of the user's, and a second. Fails on jobs named "poison"."""

    model_version: str = "fake-1"
    experts: int = 2
    decays: Decays = field(default_factory=lambda: Decays(0.9, 0.5))
    start_offsets: OffsetState = NO_OFFSETS
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
        return Verdict(losses, scores)
