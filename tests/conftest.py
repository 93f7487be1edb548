"""Fixtures shared by all tests."""

from collections.abc import Callable
from pathlib import Path

import hypothesis
import polars as pl
import pytest

from rt_predictor.settings import Settings
from rt_predictor.traces.generate import generate_jobs
from rt_predictor.training.evaluate import Evaluation, evaluate
from rt_predictor.training.prepare import PreparedLog, prepare_log
from rt_predictor.training.replayed import Replayed
from tests.training.replays import a_log, a_replay

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
def replayed_log() -> PreparedLog:
    """A made-up log of 1,000 jobs, as evaluations want it."""
    return a_log()


@pytest.fixture(scope="session")
def replayed(replayed_log: PreparedLog) -> Replayed:
    """Made-up answers to its last 300 jobs."""
    return a_replay(replayed_log)


@pytest.fixture(scope="session")
def evaluation(replayed_log: PreparedLog, replayed: Replayed) -> Evaluation:
    """The figures of those."""
    return evaluate(replayed_log, replayed, 0.9)


@pytest.fixture(scope="session")
def tiny_settings() -> Settings:
    """Settings that train in seconds."""
    trees = {f"training.{library}.trees": 6 for library in ("xgboost", "lightgbm", "catboost")}
    return Settings().with_overrides(
        {
            "training.threads": 1,
            "training.network.passes": 1,
            "training.network.tune_passes": 1,
            "training.network.jobs_a_pass": 2000,
            "training.network.tune_jobs_a_pass": 2000,
            "training.catboost.max_depth": 4,
            **trees,
        }
    )


@pytest.fixture(scope="session")
def tiny_log() -> pl.DataFrame:
    """A log of a site that the tiny bundle does not know."""
    return generate_jobs(4000, seed=9)


@pytest.fixture(scope="session")
def tiny_bundle(tiny_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real base model, small, trained on two generated logs."""
    from rt_predictor.training.base import BaseLog, train_base  # slow to import; few tests need it

    folder = tmp_path_factory.mktemp("bundle") / "tiny"
    logs = [
        BaseLog(prepare_log(generate_jobs(2500, seed=seed), f"made-up-{seed}"), name, None, True)
        for seed, name in ((21, "here"), (22, "there"))
    ]
    train_base(logs, folder, tiny_settings)
    return folder
