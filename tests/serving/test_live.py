"""Live figures of a real model: they are of what it answers, and show when jobs change."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from rt_predictor.features.assemble import WEEK_S
from rt_predictor.history.judge import Told
from rt_predictor.history.live import LiveSums
from rt_predictor.model.reference import GROUPS
from rt_predictor.training.pipeline import TrainingReport

from rt_predictor.history.fold import Fold
from rt_predictor.serving.predictor import Predictor
from rt_predictor.settings import Settings

BLOCK_JOBS = 200
BAND = Settings().watching.coverage_band


@pytest.fixture(scope="module")
def predictor(tiny_bundle: Path) -> Predictor:
    return Predictor.load(Settings().with_overrides({"model.path": tiny_bundle}))


def longer(jobs: pl.DataFrame) -> pl.DataFrame:
    """The same jobs had they run twice as long, but ended at their limit."""
    runtime = pl.col("runtime")
    doubled = pl.max_horizontal(runtime, pl.min_horizontal(2 * runtime, pl.col("time_req")))
    return jobs.with_columns(
        end_time=pl.col("end_time") + doubled - runtime,
        runtime=doubled,
    )


def again(jobs: pl.DataFrame, times: int) -> pl.DataFrame:
    """The same jobs later, by so many spans of whole weeks."""
    submit_s = jobs["submit_time"].to_numpy()
    later_s = times * np.ceil((submit_s[-1] - submit_s[0]) / WEEK_S) * WEEK_S
    return jobs.with_columns(pl.col("submit_time", "start_time", "end_time") + later_s)


def coverage_of_blocks(fold: Fold, log: pl.DataFrame) -> np.ndarray:
    """Folds a log, and gives the share of jobs held in each block of it."""
    found = []
    for start in range(0, len(log), BLOCK_JOBS):
        fold.model.live = LiveSums.none(len(fold.model.judge.reference.columns))
        fold.take(log[start : start + BLOCK_JOBS], start + BLOCK_JOBS)
        found.append(fold.model.figures.coverage[0.9])
    return np.array(found)


def test_coverage_falls_when_runtimes_double_and_is_back_within_400_jobs(
    predictor: Predictor, tiny_log: pl.DataFrame
) -> None:
    mark_s = predictor.bundle.info.training_span_end
    before = tiny_log.filter(pl.col("submit_time") < mark_s)
    later = tiny_log.filter(pl.col("submit_time") >= mark_s)
    fold = Fold.empty(predictor, 10**6, 10**6)
    fold.take(before.sort("end_time"), len(before))
    as_ever = coverage_of_blocks(fold, later.sort("end_time"))
    changed = [longer(again(later, 1)).sort("end_time"), longer(again(later, 2)).sort("end_time")]
    after = np.concatenate([coverage_of_blocks(fold, jobs) for jobs in changed])
    least = 0.9 - BAND
    assert as_ever.min() >= least
    assert after[0] < least
    assert after[400 // BLOCK_JOBS :].min() >= least
    assert after[400 // BLOCK_JOBS :].mean() <= 0.9 + BAND


def test_jobs_count_by_the_very_answers_of_the_held_out_replay(
    predictor: Predictor,
    tiny_training: TrainingReport,
    tiny_log: pl.DataFrame,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = []
    plain = Told.of
    monkeypatch.setattr(Told, "of", lambda *given: told.append(plain(*given)) or told[-1])
    log = tiny_log.sort("end_time", maintain_order=True)
    fold = Fold.empty(predictor, 10**6, 10**6)
    fold.take(log, len(log))
    judged = log.filter(pl.col("end_time") > predictor.bundle.info.training_span_end)
    assert fold.model.figures.jobs == len(judged)
    replayed = tiny_training.replayed
    found = judged.select("job_id").with_columns(
        predicted_s=np.concatenate([part.predicted_s for part in told]),
        upper_s=np.concatenate([part.upper_s for part in told])[:, -1],
    )
    of_replay = replayed.jobs.select("job_id").join(found, on="job_id", how="left")
    np.testing.assert_array_equal(of_replay["predicted_s"].to_numpy(), replayed.predicted_s)
    np.testing.assert_array_equal(of_replay["upper_s"].to_numpy(), replayed.upper_s[:, -1])


def test_drift_is_told_of_every_group(predictor: Predictor, tiny_log: pl.DataFrame) -> None:
    fold = Fold.empty(predictor, 10**6, 10**6)
    fold.take(tiny_log.sort("end_time"), len(tiny_log))
    as_ever = fold.model.figures.drift
    assert set(as_ever) == set(GROUPS)
    strangers = again(tiny_log, 1).with_columns(partition=pl.lit("new"), time_req=pl.lit(77.0))
    fold.take(strangers.sort("end_time"), 2 * len(tiny_log))
    moved = fold.model.figures.drift
    assert moved["category"].column == "partition_code"
    assert moved["request"].column == "time_req"
    assert moved["category"].psi > 1 > as_ever["category"].psi
