"""Fixtures shared by all tests."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import polars as pl
import pytest

from rt_predictor.settings import Settings
from rt_predictor.traces.generate import generate_jobs
from rt_predictor.training.evaluate import Evaluation, evaluate
from rt_predictor.training.replayed import Replayed
from tests.training.replays import a_log, a_replay

if TYPE_CHECKING:
    from rt_predictor.training.pipeline import TrainingReport

hypothesis.settings.register_profile("project", deadline=None)
hypothesis.settings.load_profile("project")  # how fast an example is says how busy the machine is

TRACES = Path(__file__).resolve().parents[2] / "shared" / "traces"


@pytest.fixture(scope="session")
def trace_path() -> Callable[[str], Path]:
    """Path of a real job log beside the project; the test is skipped where it is absent."""

    def find(name: str) -> Path:
        path = TRACES / name
        if not path.exists():
            pytest.skip(f"the job log {name} is not in {TRACES}")
        return path

    return find


@pytest.fixture(scope="session")
def replayed_log() -> pl.DataFrame:
    """A made-up log of 1,000 jobs, as evaluations want it."""
    return a_log()


@pytest.fixture(scope="session")
def replayed(replayed_log: pl.DataFrame) -> Replayed:
    """Made-up answers to its last 300 jobs."""
    return a_replay(replayed_log)


@pytest.fixture(scope="session")
def evaluation(replayed_log: pl.DataFrame, replayed: Replayed) -> Evaluation:
    """The figures of those."""
    return evaluate("made-up.csv", replayed_log, replayed, 0.9)


@pytest.fixture(scope="session")
def tiny_settings() -> Settings:
    """Settings that train in seconds."""
    return Settings().with_overrides(
        {
            "training.threads": 1,
            "training.xgboost.trees": 12,
            "training.lightgbm.trees": 12,
            "training.catboost.trees": 12,
            "training.catboost.max_depth": 4,
        }
    )


@pytest.fixture(scope="session")
def tiny_log() -> pl.DataFrame:
    """The log that the tiny bundle was trained on."""
    return generate_jobs(4000, seed=9)


@pytest.fixture(scope="session")
def tiny_training(
    tiny_log: pl.DataFrame, tiny_settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> "TrainingReport":
    """What became of training on it, and what the model said of the held-out jobs."""
    from rt_predictor.training.pipeline import train  # slow to import; few tests need it

    folder = tmp_path_factory.mktemp("bundle") / "tiny"
    return train(tiny_log, ["generated"], folder, tiny_settings)


@pytest.fixture(scope="session")
def tiny_bundle(tiny_training: "TrainingReport") -> Path:
    """A real bundle, small, trained on a generated log."""
    return tiny_training.folder
