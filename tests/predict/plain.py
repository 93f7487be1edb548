"""Predictors of the plain bundle, which needs no training, and logs for them to know."""

from pathlib import Path
from typing import cast

import numpy as np
import polars as pl

from rt_predictor.history.fold import Fold
from rt_predictor.history.history import History
from rt_predictor.jobs.asked import ASKED_SCHEMA
from rt_predictor.jobs.events import job_events
from rt_predictor.jobs.schema import REQUEST_SCHEMA
from rt_predictor.online.model import OnlineState
from rt_predictor.predict.predictions import Predictions
from rt_predictor.predict.predictor import Predictor
from rt_predictor.settings import Settings
from rt_predictor.traces.generate import generate_jobs

NUMBERS = (
    "runtime_s", "lower_s", "upper_s", "timeout_probability", "recommended_time_req_s",
    "remaining_s", "quantiles_s", "members_s",
)  # fmt: skip
"""Fields of `Predictions` with a row for each job, but for flags."""


def predictor_of(
    bundle: Path, history: History | None = None, *, threads: int = 1, **prediction: object
) -> Predictor:
    """Return a predictor, with some settings of `[prediction]`."""
    chosen = {f"prediction.{name}": value for name, value in prediction.items()}
    chosen |= {"model.path": bundle, "features.optimization.n_jobs": threads}
    return Predictor.load(Settings().with_overrides(chosen), history)


def knowing(
    bundle: Path, events: pl.DataFrame, *, threads: int = 1, **prediction: object
) -> Predictor:
    """Return a predictor that has folded events."""
    history = History.off()
    predictor = predictor_of(bundle, history, threads=threads, **prediction)
    history.fold.take(events, len(events))
    return predictor


def fold_of(predictor: Predictor) -> Fold:
    """Return what a predictor knows."""
    return predictor._history.fold


def state_of(predictor: Predictor) -> OnlineState:
    """Return what a predictor has learned."""
    return cast("OnlineState", fold_of(predictor).learned)


def a_log(jobs: int, seed: int = 9) -> pl.DataFrame:
    """Return a made-up log (`JOB_SCHEMA`), by submit time."""
    return generate_jobs(jobs, seed=seed)


def events_of(log: pl.DataFrame) -> pl.DataFrame:
    """Return submissions, starts and ends of its jobs, in the order in which they happened."""
    return job_events(log)


def questions(jobs: int, known: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Return jobs of every kind at the end of a known log and after it.

    Some are by its users and some by strangers, numbers may be missing or absurd, about every third
    job runs already, and questions are asked of some.
    """
    rng = np.random.default_rng(seed)

    def some(values: np.ndarray, share: float) -> list[object]:
        known = rng.random(jobs) < share
        return [
            value if there else None for value, there in zip(values.tolist(), known, strict=True)
        ]

    like = known[rng.integers(0, len(known), jobs).tolist()]
    last_s = float(known["end_time"].max())  # type: ignore[arg-type]
    submit_s = last_s - rng.exponential(86400, jobs) * rng.choice([-1, 0, 1], jobs)
    limit_s = np.where(
        rng.random(jobs) < 0.7,
        like["time_req"].fill_null(3600).to_numpy(),
        np.round(np.exp(rng.uniform(0, np.log(1e8), jobs)), 1),
    )
    waited_s = rng.exponential(3600, jobs)
    elapsed_s = limit_s * rng.choice([0.01, 0.5, 0.999, 1.0, 1.001, 3.0], jobs) * rng.random(jobs)
    runs = rng.random(jobs) < 0.3
    at_s = submit_s + waited_s + elapsed_s
    columns: dict[str, object] = {
        "submit_time": submit_s,
        "processors_req": some(2.0 ** rng.integers(0, 20, jobs), 0.9),
        "nodes_req": some(2.0 ** rng.integers(0, 10, jobs), 0.9),
        "mem_req": some(10.0 ** rng.uniform(0, 9, jobs), 0.7),
        "gpus_req": some(rng.integers(0, 9, jobs).astype(float), 0.5),
        "time_req": some(limit_s, 0.9),
        **{
            name: some(like[name].to_numpy(), 0.9)
            for name in ("partition", "qos", "user", "account", "job_name")
        },
        **dict.fromkeys(("cluster", "array_job_id", "array_task_id", "het_job_id", "gpu_type")),
        "elapsed": [float(e) if r else None for e, r in zip(elapsed_s, runs, strict=True)],
        "as_of": [float(t) if r else None for t, r in zip(at_s, runs, strict=True)],
        "confidence_level": some(rng.choice([0.01, 0.5, 0.8, 0.999], jobs), 0.2),
    }
    return pl.DataFrame(columns, schema={**REQUEST_SCHEMA, **ASKED})


ASKED = {name: ASKED_SCHEMA[name] for name in ("elapsed", "as_of", "confidence_level")}


def assert_same_rows(
    found: Predictions, rows: list[int], whole: Predictions, *, flags: bool = True
) -> None:
    """Compare answers with rows of others, to the last bit."""
    for column in (*NUMBERS, *(("flags",) if flags else ())):
        np.testing.assert_array_equal(
            getattr(found, column), getattr(whole, column)[rows], err_msg=column
        )
    assert [found.views[one] for one in found.view_of] == [
        whole.views[one] for one in whole.view_of[rows]
    ]
