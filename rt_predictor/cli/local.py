"""Answers from a bundle in this process, without a service."""

import time
from pathlib import Path

import numpy as np
import polars as pl

from rt_predictor import __version__
from rt_predictor.client import Job, ModelInfo, Prediction
from rt_predictor.jobs.normal import normal_partition
from rt_predictor.jobs.schema import REQUEST_SCHEMA
from rt_predictor.serving.predictions import Flag
from rt_predictor.serving.predictor import Predictor
from rt_predictor.settings import load_settings


def load_predictor(folder: Path) -> Predictor:
    """The predictor of a bundle.

    Raises BundleError saying what is wrong with it and how to mend it.
    """
    return Predictor.load(load_settings().with_overrides({"model.path": folder}))


def with_submit_times(jobs: pl.DataFrame) -> pl.DataFrame:
    """Jobs without a submit time are submitted now."""
    return jobs.with_columns(pl.col("submit_time").fill_null(time.time()))


def predict_one(predictor: Predictor, job: Job) -> Prediction:
    """Predicts one valid job."""
    row = {name: getattr(job, name, None) or None for name in REQUEST_SCHEMA}
    row["partition"] = normal_partition(job.partition)
    row |= {"gpus_req": job.gpus_req, "submit_time": job.submit_time}
    answer = predictor.predict(with_submit_times(pl.DataFrame([row], schema=REQUEST_SCHEMA)))
    if job.confidence_level is not None:
        answer = answer.at_level(job.confidence_level)
    chance = float(answer.timeout_probability[0])
    return Prediction(
        predicted_runtime=float(answer.runtime_s[0]),
        confidence_lower=float(answer.lower_s[0]),
        confidence_upper=float(answer.upper_s[0]),
        confidence_level=answer.level,
        timeout_probability=None if np.isnan(chance) else chance,
        recommended_time_req=float(answer.recommended_time_req_s[0]),
        model_predictions=dict(zip(answer.member_names, answer.members_s[0].tolist(), strict=True)),
        flags=Flag(int(answer.flags[0])),
        model_version=answer.model_version,
        request_id=job.request_id,
    )


def model_info(predictor: Predictor) -> ModelInfo:
    """What model a predictor answers from."""
    return ModelInfo(
        model_version=predictor.model_version,
        confidence_level=predictor.confidence_level,
        model=predictor.describe(),
        service_version=__version__,
        uptime_seconds=0.0,
        predictions_served=0,
    )
