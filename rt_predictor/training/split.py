"""Splitting a log by time: never at random, and never with an outcome that was not known yet.

Jobs of an array are submitted together and are near-identical: a random split would put one half of
an array in training and the other in the test.
"""

from dataclasses import dataclass

import polars as pl

from rt_predictor.errors import TrainingError
from rt_predictor.settings import TrainingSettings

MIN_PART_JOBS = 30
"""Jobs that each part needs at least; with fewer its figures say nothing."""


@dataclass(frozen=True)
class Split:
    """Parts of a log, in the order of time; no job is in two of them.

    The training parts are cut by end time, so that each holds what was learned in its span: cut by
    submit time, a part would lose its long jobs, which end only after it.
    """

    fit: pl.DataFrame
    """Trees are fitted on these."""
    stop: pl.DataFrame
    """Ended after `fit`: these say when to stop adding trees."""
    calibrate: pl.DataFrame
    """Ended after `stop`: weights and intervals are fitted on these."""
    test: pl.DataFrame
    """Held out: every job submitted at or after the mark."""
    mark_s: float
    """Submit time at which `test` begins; every job of the other parts had ended by then."""

    def training(self) -> pl.DataFrame:
        """All jobs that something is learned from."""
        return pl.concat([self.fit, self.stop, self.calibrate])


def scorable(jobs: pl.DataFrame) -> pl.DataFrame:
    """Jobs of a log that ran (runtime > 0) and whose submit and end are known, by submit time."""
    known = pl.col("submit_time").is_not_null() & pl.col("end_time").is_not_null()
    return jobs.filter((pl.col("runtime") > 0) & known).sort("submit_time", maintain_order=True)


def split_by_time(jobs: pl.DataFrame, settings: TrainingSettings) -> Split:
    """Cuts a log (`JOB_SCHEMA`, as `scorable` gives it) into fit, stop, calibrate and test.

    Raises TrainingError where a part would have too few jobs.
    """
    if jobs.is_empty():
        raise TrainingError("the log holds no job that ran: nothing can be learned from it")
    mark_s = _at_share(jobs["submit_time"], 1 - settings.test_share)
    training = jobs.filter(pl.col("end_time") <= mark_s)
    _check_size("training", training, jobs)
    ends = training["end_time"].sort()
    calibrate_s = _at_share(ends, 1 - settings.calibration_share)
    stop_s = _at_share(ends, 1 - settings.calibration_share - settings.early_stopping_share)
    end = pl.col("end_time")
    split = Split(
        fit=training.filter(end <= stop_s),
        stop=training.filter((end > stop_s) & (end <= calibrate_s)),
        calibrate=training.filter(end > calibrate_s),
        test=jobs.filter(pl.col("submit_time") >= mark_s),
        mark_s=mark_s,
    )
    for name in ("fit", "stop", "calibrate", "test"):
        _check_size(name, getattr(split, name), jobs)
    return split


def _check_size(name: str, part: pl.DataFrame, jobs: pl.DataFrame) -> None:
    if len(part) < MIN_PART_JOBS:
        raise TrainingError(
            f"a log of {len(jobs)} jobs leaves {len(part)} to the part {name}, at least "
            f"{MIN_PART_JOBS} are needed: give a longer log, or change the shares in [training]"
        )


def _at_share(times: pl.Series, share: float) -> float:
    return float(times[min(int(share * len(times)), len(times) - 1)])
