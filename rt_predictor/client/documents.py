"""Answers as JSON documents, under the names of the API."""

from math import isnan

from rt_predictor.client.values import Prediction
from rt_predictor.model.answer_flags import flag_names
from rt_predictor.predict.predictions import Explanation

_ASKED = ("quantiles", "remaining_runtime", "explanation")
"""Fields that are there where a job asks for them."""


def prediction_document(answer: Prediction) -> dict[str, object]:
    """The fields of the API's PredictResponse, but for those that no job of its own has."""
    document = vars(answer) | {
        "model_predictions": dict(answer.model_predictions),
        "flags": flag_names(answer.flags),
        "quantiles": [{"level": u, "runtime": value} for u, value in answer.quantiles.items()],
        "explanation": answer.explanation and explanation_document(answer.explanation),
    }
    for name in ("request_id", *(name for name in _ASKED if not document[name])):
        del document[name]
    return document


def explanation_document(explanation: Explanation) -> dict[str, object]:
    """The fields of the API's Explanation."""
    own_jobs = (
        {
            "share": job.share,
            "runtime": job.runtime_s,
            "age": job.age_s,
            "processors_req": job.cores,
            "time_req": job.limit_s,
        }
        for job in explanation.own_jobs
    )
    return {
        "own_jobs": [
            {name: value for name, value in job.items() if not isnan(value)} for job in own_jobs
        ],
        "other_own_share": explanation.other_own_share,
        "others_share": explanation.others_share,
        "proposals": [
            {"name": name, "runtime": proposal.runtime_s, "share": proposal.share}
            for name, proposal in explanation.proposals.items()
        ],
        "grid_share": explanation.grid_share,
    }
