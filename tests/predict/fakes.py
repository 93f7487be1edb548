"""A predictor that needs no model: its answers follow from the job alone."""

import threading
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from rt_predictor.history.history import History
from rt_predictor.jobs.asked import ASKED_SCHEMA, frame_of
from rt_predictor.jobs.schema import REQUEST_SCHEMA, Jobs
from rt_predictor.model.answer_flags import Flag
from rt_predictor.online.live import NO_FIGURES, LiveFigures
from rt_predictor.predict.description import (
    FeatureDescription,
    MemberDescription,
    ModelDescription,
)
from rt_predictor.predict.predictions import Predictions
from rt_predictor.predict.views import Views
from rt_predictor.settings import Settings
from tests.predict.answers import VIEWS, predictions_of
from tests.waiting import PATIENCE_S

MEMBERS = ("xgboost", "lightgbm", "catboost")
POISON = "poison"
"""Name of a job on which the fake model fails."""

DESCRIPTION = ModelDescription(
    trained_at=1_700_000_000.0,
    training_span_start=1_600_000_000.0,
    training_span_end=1_650_000_000.0,
    training_samples=12_345,
    training_traces=("a.swf", "b.swf"),
    metrics={"mae": 100.0, "coverage": 0.9},
    features=(FeatureDescription("time_req", "s", "the limit bounds the runtime", 1.0),),
    members=(MemberDescription("xgboost", 1.0, 10),),
    providers={"CPUExecutionProvider": 3},
)


@dataclass
class FakePredictor:
    """Predicts half the time limit, or a second for each processor; remembers what it was asked."""

    model_version: str = "fake-1"
    views: Views = VIEWS
    member_names: tuple[str, ...] = MEMBERS
    asked: list[pl.DataFrame] = field(default_factory=list)

    def predict(self, jobs: Jobs) -> Predictions:
        jobs = frame_of(jobs)
        known = {**REQUEST_SCHEMA, **ASKED_SCHEMA}
        assert jobs.columns[: len(REQUEST_SCHEMA)] == [*REQUEST_SCHEMA]
        assert all(jobs.schema[name] == known[name] for name in jobs.columns)
        assert jobs["submit_time"].null_count() == 0
        self.asked.append(jobs)
        if (jobs["job_name"] == POISON).any():
            raise RuntimeError(f"cannot predict a job of {jobs['user'].to_list()}")
        limit = jobs["time_req"].cast(pl.Float64).fill_null(float("nan")).to_numpy()
        processors = jobs["processors_req"].fill_null(1.0).to_numpy()
        runtime = (
            np.where(np.isnan(limit), processors, limit / 2) + jobs["submit_time"].to_numpy() % 7
        )
        if "elapsed" in jobs.columns:
            elapsed = jobs["elapsed"].to_numpy()
        else:
            elapsed = np.full(len(jobs), np.nan)
        return predictions_of(
            runtime,
            jobs,
            timeout_probability=np.where(np.isnan(limit), np.nan, 0.25),
            remaining_s=elapsed + 1,
            members_s=np.stack([runtime, runtime + 1, runtime + 2], axis=1),
            flags=(
                np.isnan(limit) * np.uint8(Flag.NO_TIME_LIMIT)
                | jobs["user"].is_null().to_numpy() * np.uint8(Flag.COLD_START_USER)
            ).astype(np.uint8),
            member_names=MEMBERS,
            model_version=self.model_version,
        )

    def live(self) -> LiveFigures:
        return NO_FIGURES

    def describe(self) -> ModelDescription:
        return DESCRIPTION


@dataclass
class GatedPredictor(FakePredictor):
    """Waits, on the thread it is called on, until its gate is opened; it starts open."""

    gate: threading.Event = field(default_factory=threading.Event)
    entered: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    def predict(self, jobs: Jobs) -> Predictions:
        self.entered.set()
        assert self.gate.wait(timeout=PATIENCE_S)
        return super().predict(jobs)


def fake_predictor(settings: Settings, history: History) -> FakePredictor:
    """A factory that other processes can import."""
    return FakePredictor()
