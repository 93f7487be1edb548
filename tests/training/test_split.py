import polars as pl
import pytest

from rt_predictor.errors import TrainingError
from rt_predictor.settings import TrainingSettings
from rt_predictor.traces.generate import generate_jobs
from rt_predictor.training.split import Split, scorable, split_by_time

SETTINGS = TrainingSettings()


@pytest.fixture(scope="module")
def jobs() -> pl.DataFrame:
    return scorable(generate_jobs(4000, seed=2))


@pytest.fixture(scope="module")
def split(jobs: pl.DataFrame) -> Split:
    return split_by_time(jobs, SETTINGS)


def test_no_job_that_had_not_ended_by_the_mark_is_learned_from(split: Split) -> None:
    for part in (split.fit, split.stop, split.calibrate):
        assert part["end_time"].max() <= split.mark_s
    assert split.test["submit_time"].min() >= split.mark_s


def test_training_parts_follow_each_other_in_time(split: Split) -> None:
    assert split.fit["end_time"].max() < split.stop["end_time"].min()
    assert split.stop["end_time"].max() < split.calibrate["end_time"].min()


def test_no_job_is_in_two_parts(split: Split) -> None:
    parts = pl.concat([split.fit, split.stop, split.calibrate, split.test])
    assert parts["job_id"].n_unique() == len(parts)


def test_every_job_after_the_mark_is_held_out(jobs: pl.DataFrame, split: Split) -> None:
    assert len(split.test) == len(jobs.filter(pl.col("submit_time") >= split.mark_s))
    assert len(split.test) == pytest.approx(SETTINGS.test_share * len(jobs), rel=0.05)


def test_jobs_that_never_ran_are_left_out() -> None:
    jobs = generate_jobs(10, seed=1).with_columns(
        runtime=pl.when(pl.int_range(10) < 4).then(0.0).otherwise(pl.col("runtime"))
    )
    assert len(scorable(jobs)) == 6


def test_too_short_a_log_says_what_is_missing() -> None:
    with pytest.raises(TrainingError, match="at least 30 are needed"):
        split_by_time(scorable(generate_jobs(120, seed=1)), SETTINGS)


def test_an_empty_log_is_refused() -> None:
    with pytest.raises(TrainingError, match="no job that ran"):
        split_by_time(scorable(generate_jobs(10, seed=1)[:0]), SETTINGS)
