"""Asyncio client of the service: jobs in, typed answers out.

    async with Client("localhost:50051") as client:
        answer = await client.predict(Job(processors_req=32, nodes_req=4, ...))
        print(answer.predicted_runtime, answer.confidence_lower, answer.confidence_upper)

A call that fails raises `ServiceError`, or `InvalidRequestError` where the service refuses what was
asked. For a job that breaks a rule `predict_many` and `stream` give a `Rejection`, `predict_frame`
gives a row with an error; they go on.
"""

from rt_predictor.client.access import Access
from rt_predictor.client.connection import DEFAULT_TARGET, DEFAULT_TIMEOUT_S, SERVICE, Client
from rt_predictor.client.values import (
    Answer,
    Event,
    GroupDrift,
    Health,
    InvalidOutcome,
    Job,
    LiveFigures,
    ModelInfo,
    Outcome,
    Prediction,
    Recorded,
    Rejection,
    Reloaded,
    Shadow,
)
from rt_predictor.jobs.event_kind import EventKind

__all__ = [
    "DEFAULT_TARGET",
    "DEFAULT_TIMEOUT_S",
    "SERVICE",
    "Access",
    "Answer",
    "Client",
    "Event",
    "EventKind",
    "GroupDrift",
    "Health",
    "InvalidOutcome",
    "Job",
    "LiveFigures",
    "ModelInfo",
    "Outcome",
    "Prediction",
    "Recorded",
    "Rejection",
    "Reloaded",
    "Shadow",
]
