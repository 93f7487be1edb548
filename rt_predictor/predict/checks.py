"""Checks of the model: whether it answers, and how good its intervals are now."""

import numpy as np
import polars as pl

from rt_predictor.errors import StartupError
from rt_predictor.jobs.schema import REQUEST_SCHEMA
from rt_predictor.observability.health import Check, Health, State
from rt_predictor.predict.dispatch import Dispatcher
from rt_predictor.predict.port import PredictorPort
from rt_predictor.predict.predictions import Predictions
from rt_predictor.settings import WatchingSettings


def model_check(dispatcher: Dispatcher, model_version: str) -> Check:
    """Whether the model answers; it did at start (`self_test`)."""

    def check() -> Health:
        if dispatcher.failing:
            return Health(State.DEGRADED, "the last prediction failed: see the log")
        return Health(
            State.SERVING, f"{model_version}, {dispatcher.predicted} jobs predicted since start"
        )

    return check


def coverage_check(predictor: PredictorPort, settings: WatchingSettings) -> Check:
    """Whether intervals hold as many of the jobs that end now as they promise, within a band."""
    level = predictor.views.level

    def check() -> Health:
        live = predictor.live()
        if live.jobs < settings.least_jobs:
            return Health(
                State.SERVING, f"{live.jobs} of {settings.least_jobs} finished jobs to judge by"
            )
        coverage, (least, greatest) = live.coverage[level], settings.band(level)
        said = f"{level:.0%} intervals hold {coverage:.1%} of the jobs that end now"
        if least <= coverage <= greatest:
            return Health(State.SERVING, said)
        cure = "look for what has changed (live_drift), and train the model anew if it stays so"
        return Health(State.DEGRADED, f"{said}, not {least:.1%} to {greatest:.1%}: {cure}")

    return check


def self_test(predictor: PredictorPort, now_s: float) -> None:
    """Has the model answer a plain job once, before any client does.

    Raises StartupError where it fails or answers what no answer can be.
    """
    known = {
        "submit_time": now_s,
        "processors_req": 1.0,
        "nodes_req": 1.0,
        "mem_req": 1024.0,
        "time_req": 3600.0,
    }
    job = pl.from_dicts([known], schema=REQUEST_SCHEMA)
    cure = "train it anew or give another with --bundle"
    try:
        answer = predictor.predict(job)
    except Exception as error:
        raise StartupError(
            f"model {predictor.model_version} fails on a plain job "
            f"({type(error).__name__}: {error}): {cure}"
        ) from error
    if not _plausible(answer):
        values = [*map(float, (*answer.lower_s, *answer.runtime_s, *answer.upper_s))]
        raise StartupError(
            f"model {predictor.model_version} answers a plain job with {values} s "
            f"(lower, runtime, upper): {cure}"
        )


def _plausible(answer: Predictions) -> bool:
    values = np.array([answer.lower_s, answer.runtime_s, answer.upper_s])
    return values.shape == (3, 1) and bool(
        np.isfinite(values).all() and (values > 0).all() and (np.diff(values, axis=0) >= 0).all()
    )
