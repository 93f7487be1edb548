import jax
import numpy as np
import polars as pl
import pytest

from rt_predictor.traces.generate import generate_jobs
from rt_predictor.training.network.forward import Weights
from rt_predictor.training.prepare import PreparedLog, prepare_log
from rt_predictor.training.progress import Report


@pytest.fixture(scope="session")
def small_log() -> PreparedLog:
    """A log of a site that the tiny bundle does not know."""
    return prepare_log(generate_jobs(1500, seed=31), "small")


@pytest.fixture(scope="session")
def site_log(tiny_log: pl.DataFrame) -> PreparedLog:
    """Return a log that is long enough to tune on."""
    return prepare_log(tiny_log, "site")


@pytest.fixture
def quick_tuning(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tuning moves every weight a little and takes no time."""

    def fit(_logs: object, _plan: object, *, start: Weights, report: Report) -> Weights:
        report(1.0)
        moved: Weights = jax.tree.map(lambda w: w * np.float32(1.001), start)
        return moved

    monkeypatch.setattr("rt_predictor.training.fine_tune.fit", fit)
