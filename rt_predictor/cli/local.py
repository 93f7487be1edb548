"""Answers from a bundle in this process, without a service."""

import time
from math import isnan
from pathlib import Path

import polars as pl

from rt_predictor import __version__
from rt_predictor.client import Job, ModelInfo, Prediction
from rt_predictor.jobs.asked import ASKED_SCHEMA
from rt_predictor.jobs.normal import normal_partition
from rt_predictor.jobs.schema import REQUEST_SCHEMA
from rt_predictor.model.answer_flags import Flag
from rt_predictor.predict.predictor import Predictor
from rt_predictor.settings import load_settings

NO_HISTORY = (
    "note: a bundle alone knows no finished jobs, so it answers as for new users; for what the "
    "jobs of a site have taught ask a service (--target): `rt-predictor history import LOG`, then "
    "`rt-predictor serve`"
)


def load_predictor(folder: Path) -> Predictor:
    """The predictor of a bundle.

    Raises BundleError saying what is wrong with it and how to mend it.
    """
    return Predictor.load(load_settings().with_overrides({"model.path": folder}))


def with_submit_times(jobs: pl.DataFrame) -> pl.DataFrame:
    """Jobs without a submit time are submitted now."""
    return jobs.with_columns(pl.col("submit_time").fill_null(time.time()))


def predict_one(predictor: Predictor, job: Job) -> Prediction:
    """Predict one valid job."""
    asked = {name: getattr(job, name, None) for name in (*REQUEST_SCHEMA, *ASKED_SCHEMA)}
    row = {name: None if value == "" else value for name, value in asked.items()}
    row["partition"] = normal_partition(job.partition)
    if job.submit_time is None:
        row["submit_time"] = time.time()
    found = predictor.predict([row])
    (answer,), (views,) = found.answers, found.views
    return Prediction(
        predicted_runtime=answer.runtime_s,
        confidence_lower=answer.lower_s,
        confidence_upper=answer.upper_s,
        confidence_level=views.level,
        timeout_probability=_or_none(answer.timeout_probability),
        recommended_time_req=_or_none(answer.recommended_time_req_s),
        model_predictions={
            name: value
            for name, value in zip(found.member_names, answer.members_s, strict=True)
            if not isnan(value)
        },
        flags=Flag(answer.flags),
        model_version=found.model_version,
        request_id=job.request_id,
        quantiles=dict(zip(views.quantiles, answer.quantiles_s, strict=True)),
        remaining_runtime=_or_none(answer.remaining_s),
        recommendation_confidence=views.confidence,
        explanation=found.explanations.get(0),
    )


def _or_none(value: float) -> float | None:
    return None if isnan(value) else value


def model_info(predictor: Predictor) -> ModelInfo:
    """Return the description of a predictor's model."""
    return ModelInfo(
        model_version=predictor.model_version,
        confidence_level=predictor.views.level,
        model=predictor.describe(),
        service_version=__version__,
        uptime_seconds=0.0,
        predictions_served=0,
        recommendation_confidence=predictor.views.confidence,
    )
