"""Answers as JSON documents, under the names of the API."""

from dataclasses import asdict

from rt_predictor.client.values import Prediction
from rt_predictor.serving.predictions import flag_names


def prediction_document(answer: Prediction) -> dict[str, object]:
    """The fields of the API's PredictResponse, but for those that no job of its own has."""
    document = asdict(answer) | {"flags": flag_names(answer.flags)}
    del document["request_id"]
    return document
