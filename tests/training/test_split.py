import numpy as np
import polars as pl
import pytest

from rt_predictor.errors import TrainingError
from rt_predictor.traces.generate import generate_jobs
from rt_predictor.training.prepare import PreparedLog, prepare_log
from rt_predictor.training.split import Split, last_ended, scorable, split_by_time

SHARE = 0.3


@pytest.fixture(scope="module")
def log() -> PreparedLog:
    return prepare_log(generate_jobs(4000, seed=2), "made-up")


@pytest.fixture(scope="module")
def split(log: PreparedLog) -> Split:
    return split_by_time(log.submit_s, log.end_s, log.rows, SHARE)


def test_no_job_that_had_not_ended_by_the_mark_is_learned_from(
    log: PreparedLog, split: Split
) -> None:
    assert log.end_s[split.training].max() <= split.mark_s
    assert log.submit_s[split.test].min() >= split.mark_s
    assert not set(split.training) & set(split.test)


def test_every_job_after_the_mark_is_held_out(log: PreparedLog, split: Split) -> None:
    assert len(split.test) == np.count_nonzero(log.submit_s[log.rows] >= split.mark_s)
    assert len(split.test) == pytest.approx(SHARE * len(log.rows), rel=0.05)


def test_the_last_to_end_come_after_all_others(log: PreparedLog, split: Split) -> None:
    earlier, last = last_ended(log.end_s, split.training, 0.2)
    assert log.end_s[earlier].max() < log.end_s[last].min()
    assert len(last) == pytest.approx(0.2 * len(split.training), rel=0.05)
    assert len(earlier) + len(last) == len(split.training)


def test_of_nothing_nothing_is_last(log: PreparedLog) -> None:
    nothing = log.rows[:0]
    assert [len(part) for part in last_ended(log.end_s, nothing, 0.2)] == [0, 0]


def test_jobs_that_never_ran_are_left_out() -> None:
    jobs = generate_jobs(10, seed=1).with_columns(
        runtime=pl.when(pl.int_range(10) < 4).then(0.0).otherwise(pl.col("runtime"))
    )
    assert len(scorable(jobs)) == 6
    log = prepare_log(jobs, "some")
    assert (len(log), len(log.rows)) == (10, 6)


def test_too_short_a_log_says_what_is_missing() -> None:
    log = prepare_log(generate_jobs(60, seed=1), "short")
    message = r"its 60 jobs were submitted, and \d+ were submitted from then on; at least 30 are"
    with pytest.raises(TrainingError, match=message):
        split_by_time(log.submit_s, log.end_s, log.rows, SHARE)


def test_a_log_of_too_short_a_time_says_that_its_jobs_had_not_ended() -> None:
    submit_s = np.arange(4000.0)
    message = r"its 4,000 jobs were submitted, and 0 had ended by then; .* log of a longer time"
    with pytest.raises(TrainingError, match=message):
        split_by_time(submit_s, submit_s + 86_400.0, np.arange(4000), SHARE)


def test_an_empty_log_is_refused() -> None:
    log = prepare_log(generate_jobs(10, seed=1)[:0], "empty")
    with pytest.raises(TrainingError, match="no job that ran"):
        split_by_time(log.submit_s, log.end_s, log.rows, SHARE)
