"""Stand-ins for what answers: a model in this process, and a service."""

import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import polars as pl
import pytest

from rt_predictor.cli import main
from rt_predictor.client import SERVICE, Access, Client, Health, Job, ModelInfo, Prediction
from rt_predictor.errors import ServiceError
from rt_predictor.jobs.asked import frame_of
from rt_predictor.jobs.schema import Jobs
from rt_predictor.model.answer_flags import Flag
from rt_predictor.predict.description import (
    FeatureDescription,
    MemberDescription,
    ModelDescription,
)
from rt_predictor.predict.predictions import Explanation, OwnJob, Predictions, Said
from rt_predictor.predict.predictor import Predictor
from rt_predictor.predict.views import Views
from rt_predictor.settings import Settings
from tests.predict.answers import VIEWS, predictions_of

DESCRIPTION = ModelDescription(
    trained_at=1_735_700_000.0,
    training_span_start=1_600_000_000.0,
    training_span_end=1_700_000_000.0,
    training_samples=12_345,
    training_traces=("a.swf", "b.swf"),
    metrics={"mae": 2820.0, "accuracy": 0.61, "coverage": 0.897, "winkler": 7.0},
    features=tuple(FeatureDescription(f"feature_{n}", "s", f"reason {n}") for n in range(20)),
    members=(
        MemberDescription("xgboost", 0.4, 100),
        MemberDescription("lightgbm", 0.0, 90),
        MemberDescription("last2", 0.1, 0),
    ),
    providers={"CPUExecutionProvider": 55},
    kind="fine-tuned",
    base_version="base-7",
    acknowledgements=("Ann of A", "Bob of B"),
)

TOLD = Explanation(
    own_jobs=(
        OwnJob(0.5, 2820.0, 7200.0, 32.0, 3600.0),
        OwnJob(0.25, 2700.0, 0.0, float("nan"), float("nan")),
    ),
    other_own_share=0.05,
    others_share=0.0,
    proposals={"last2": Said(2760.0, 0.15)},
    grid_share=0.05,
)


SMALL_MODEL = """
[training]
threads = 1
base = "{base}"
[training.network]
passes = 1
tune_passes = 1
jobs_a_pass = 2000
tune_jobs_a_pass = 2000
[training.xgboost]
trees = 5
[training.lightgbm]
trees = 5
[training.catboost]
trees = 5
"""


@dataclass
class Result:
    """What a run of the program left behind."""

    code: int
    out: str
    err: str


Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.upper().startswith("RT_PREDICTOR_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the program with arguments."""

    def run(*arguments: object) -> Result:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return run


@pytest.fixture
def config(tmp_path: Path, tiny_bundle: Path) -> Path:
    """Settings that tune a small base model in seconds."""
    path = tmp_path / "small.toml"
    path.write_text(SMALL_MODEL.format(base=tiny_bundle))
    return path


@dataclass
class FakePredictor:
    """Says half the limit, 100 s without one; remembers what it was asked."""

    settings: Settings
    asked: list[pl.DataFrame] = field(default_factory=list)
    model_version: str = "m1"
    views: Views = VIEWS

    def predict(self, jobs: Jobs) -> Predictions:
        jobs = frame_of(jobs)
        self.asked.append(jobs)
        limit = jobs["time_req"].fill_null(float("nan")).to_numpy()
        runtime = np.where(np.isnan(limit), 100.0, limit / 2)
        elapsed = jobs["elapsed"].fill_null(np.nan).to_numpy() if "elapsed" in jobs else np.nan
        flags = np.where(np.isnan(limit), Flag.NO_TIME_LIMIT | Flag.COLD_START_USER, 0)
        return predictions_of(
            runtime,
            jobs,
            timeout_probability=np.where(np.isnan(limit), np.nan, 0.125),
            members_s=np.column_stack([runtime, runtime * 1.5]),
            flags=flags.astype(np.uint8),
            remaining_s=runtime - elapsed,
            member_names=("xgboost", "lightgbm"),
        )

    def describe(self) -> ModelDescription:
        return DESCRIPTION


@pytest.fixture
def predictors(monkeypatch: pytest.MonkeyPatch) -> list[FakePredictor]:
    """Loads stand-ins in place of bundles; gives those that were loaded."""
    loaded: list[FakePredictor] = []

    def load(settings: Settings, history: object = None) -> FakePredictor:
        loaded.append(FakePredictor(settings))
        return loaded[-1]

    monkeypatch.setattr(Predictor, "load", load)
    return loaded


class FakeClient(Client):
    """Answers as the service would; remembers what it was asked."""

    made: ClassVar[list["FakeClient"]] = []
    ready: ClassVar[bool] = True
    status: ClassVar[str] = "SERVING"
    down: ClassVar[bool] = False

    def __init__(self, target: str, *, timeout_s: float, access: Access) -> None:
        self.target = target
        self.access = access
        self.timeout_s = timeout_s
        self.jobs: list[Job] = []
        self.chunks: list[int] = []
        self.made.append(self)

    async def __aenter__(self) -> Self:
        if self.down:
            raise ServiceError(f"no service answers at {self.target}")
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def predict(self, job: Job) -> Prediction:
        self.jobs.append(job)
        return Prediction(
            predicted_runtime=2820.0,
            confidence_lower=720.0,
            confidence_upper=6600.0,
            confidence_level=0.9,
            timeout_probability=0.12 if job.time_req else None,
            recommended_time_req=5400.0,
            quantiles={level: 2820.0 * (0.5 + level) for level in job.quantiles},
            remaining_runtime=None if job.elapsed is None else 2820.0 - job.elapsed,
            explanation=TOLD if job.explain else None,
            model_predictions={"xgboost": 2700.0, "catboost": 3000.0},
            flags=Flag.COLD_START_USER | Flag.UNSEEN_QOS,
            model_version="m1",
            request_id=job.request_id,
        )

    async def predict_frame(
        self, jobs: pl.DataFrame, *, chunk_jobs: int = 2000, partial: bool = True
    ) -> AsyncIterator[pl.DataFrame]:
        assert partial
        for part in jobs.iter_slices(chunk_jobs):
            self.chunks.append(len(part))
            self.jobs += [Job(time_req=limit) for limit in part["time_req"]]
            unwelcome = pl.col("user") == "mallory"
            answer = {
                "predicted_runtime": 2820.0,
                "confidence_lower": 720.0,
                "confidence_upper": 6600.0,
                "confidence_level": 0.9,
                "timeout_probability": pl.when(pl.col("time_req") > 0).then(0.12),
                "recommended_time_req": 5400.0,
                "model_version": pl.lit("m1"),
                "flags": int(Flag.COLD_START_USER | Flag.UNSEEN_QOS) | 1 << 20,
            }
            error = pl.lit("user = 'mallory': is not welcome")
            yield part.select(
                *(pl.when(~unwelcome).then(value).alias(name) for name, value in answer.items()),
                pl.when(unwelcome).then(error).alias("error"),
            )

    async def model_info(self) -> ModelInfo:
        return ModelInfo("m1", 0.9, DESCRIPTION, "1.2.3", 7200.0, 4321)

    async def is_serving(self, service: str = SERVICE) -> bool:
        return self.ready and service == SERVICE

    async def health(self) -> Health:
        return Health(self.status, "coverage: low", 1.0, 1, {}, "1.2.3")


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch) -> list[FakeClient]:
    """Gives stand-ins in place of connections to a service; gives those that were made."""
    monkeypatch.setattr(FakeClient, "made", [])
    for place in ("rt_predictor.client.Client", "rt_predictor.cli.scoring.scorers.Client"):
        monkeypatch.setattr(place, FakeClient)
    return FakeClient.made


@pytest.fixture
def service_down(clients: list[FakeClient], monkeypatch: pytest.MonkeyPatch) -> None:
    """No service answers."""
    monkeypatch.setattr(FakeClient, "down", True)


@pytest.fixture
def service_degraded(clients: list[FakeClient], monkeypatch: pytest.MonkeyPatch) -> None:
    """The service is ready, but something is wrong with it."""
    monkeypatch.setattr(FakeClient, "status", "DEGRADED")


@pytest.fixture
def service_not_ready(clients: list[FakeClient], monkeypatch: pytest.MonkeyPatch) -> None:
    """The service is up but not ready."""
    monkeypatch.setattr(FakeClient, "ready", False)


@pytest.fixture
def bundle(tmp_path: Path, predictors: list[FakePredictor]) -> Path:
    """A folder that loads as a stand-in."""
    return tmp_path / "bundle"
