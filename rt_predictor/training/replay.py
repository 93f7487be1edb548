"""Replays the last part of a log: answers from a model of what had ended before, or from several.

A model that is trained anew every so many days follows the workload; one that is not shows what a
site gets that trains once.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from rt_predictor.features.declared import DAY_S
from rt_predictor.settings import Settings
from rt_predictor.training.boosters import Progress
from rt_predictor.training.pipeline import train
from rt_predictor.training.replayed import Replayed, concatenate
from rt_predictor.training.split import MIN_PART_JOBS, scorable, split_by_time

REPLAYING = "replaying"
"""Name of the step, for progress."""


def replay(
    jobs: pl.DataFrame, settings: Settings, retrain_every_days: float | None, progress: Progress
) -> Replayed:
    """Answers every job of the test span of a log.

    Args:
        jobs: the log (`JOB_SCHEMA`), any order.
        settings: everything under `[training]` and `prediction.confidence_level`.
        retrain_every_days: days of the log after which a new model is made of all that has ended;
            None for one model. A period of too few jobs stays with the model before it.
        progress: called with a step's name and the share of it that is done.

    Raises TrainingError where the jobs do not suffice.
    """
    jobs = scorable(jobs)
    if retrain_every_days is None:
        return _trained(jobs, settings, progress)
    spans = list(_spans(jobs, settings, retrain_every_days * DAY_S))
    found = []
    for number, (start, stop) in enumerate(spans):
        progress(REPLAYING, number / len(spans))
        # Half a job keeps the share away from the rounding between two jobs.
        later = settings.with_overrides({"training.test_share": 1 - (start + 0.5) / stop})
        found.append(_trained(jobs[:stop], later, lambda _step, _share: None))
    progress(REPLAYING, 1.0)
    return replace(concatenate(found), retrain_every_days=retrain_every_days)


def _trained(jobs: pl.DataFrame, settings: Settings, progress: Progress) -> Replayed:
    with tempfile.TemporaryDirectory() as folder:
        return train(
            jobs, ["replay"], Path(folder) / "bundle", settings, progress, request_only=True
        ).replayed


def _spans(jobs: pl.DataFrame, settings: Settings, every_s: float) -> Iterator[tuple[int, int]]:
    """First row and end of each period, from the mark on; none has under `MIN_PART_JOBS`."""
    submit_s = jobs["submit_time"].to_numpy()
    mark_s = split_by_time(jobs, settings.training).mark_s
    starts = np.searchsorted(submit_s, np.arange(mark_s, submit_s[-1], every_s))
    start = int(starts[0])
    for stop in starts.tolist()[1:]:
        if stop - start >= MIN_PART_JOBS and len(jobs) - stop >= MIN_PART_JOBS:
            yield start, stop
            start = stop
    yield start, len(jobs)
