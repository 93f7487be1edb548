"""Between the values of a client and the messages of the API."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, cast

from rt_predictor.api.v1 import rt_predictor_pb2 as pb
from rt_predictor.client.values import (
    Answer,
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
from rt_predictor.errors import InvalidJobError
from rt_predictor.serving.description import (
    FeatureDescription,
    MemberDescription,
    ModelDescription,
)
from rt_predictor.serving.predictions import Flag

if TYPE_CHECKING:
    import polars as pl

_OUTCOME_FIELDS = tuple(
    field.name for field in pb.JobOutcome.DESCRIPTOR.fields if field.name != "job"
)
_WHOLE_FIELDS = ("processors_req", "nodes_req", "gpus_req")
_FLAGS: dict[int, Flag] = {
    pb.PredictionFlag.Value(f"PREDICTION_FLAG_{flag.name}"): flag for flag in Flag
}


def request(job: Job) -> pb.PredictRequest:
    """The message for one job."""
    return pb.PredictRequest(**vars(job))


def frame_requests(jobs: "pl.DataFrame") -> Iterator[pb.PredictRequest]:
    """The messages for the jobs of a frame; they are `partial`.

    Raises InvalidJobError for a count that is not a whole number.
    """
    from rt_predictor.jobs.schema import JOB_SCHEMA

    not_sent = JOB_SCHEMA.keys() - pb.PredictRequest.DESCRIPTOR.fields_by_name.keys()
    known = jobs.select(name for name in jobs.columns if name not in not_sent)
    for row in known.iter_rows(named=True):
        for name in _WHOLE_FIELDS:
            if row.get(name) is not None:
                row[name] = _whole(name, row[name])
        yield pb.PredictRequest(**row, partial=True)


def outcome_messages(
    outcomes: "Iterable[Outcome] | pl.DataFrame", a_message: int
) -> Iterator[pb.RecordOutcomesRequest]:
    """Messages of at most so many finished jobs each, from values or a frame of `JOB_SCHEMA`.

    Raises InvalidJobError for a count in a frame that is not a whole number.
    """
    messages = _outcome_messages(outcomes)
    while some := list(islice(messages, a_message)):
        yield pb.RecordOutcomesRequest(outcomes=some)


def _outcome_messages(
    outcomes: "Iterable[Outcome] | pl.DataFrame",
) -> Iterator[pb.JobOutcome]:
    if not hasattr(outcomes, "iter_rows"):
        for outcome in outcomes:
            yield pb.JobOutcome(**{**vars(outcome), "job": request(outcome.job)})
        return
    frame = cast("pl.DataFrame", outcomes)
    of_outcome = [name for name in _OUTCOME_FIELDS if name in frame.columns]
    jobs = frame_requests(frame.drop(of_outcome))
    for job, row in zip(jobs, frame.select(of_outcome).iter_rows(named=True), strict=True):
        yield pb.JobOutcome(job=job, **row)


def recorded(response: pb.RecordOutcomesResponse, first: int) -> Recorded:
    """What became of the outcomes of a call; `first` is the place of its first one."""
    errors = (InvalidOutcome(first + e.index, e.message, e.field) for e in response.errors)
    return Recorded(response.recorded, response.duplicates, response.invalid, tuple(errors))


def _whole(name: str, value: float) -> int:
    if not float(value).is_integer():
        raise InvalidJobError(name, value, "must be a whole number")
    return int(value)


def answer(response: pb.PredictResponse) -> Answer:
    """The answer for one job of several."""
    if response.HasField("error"):
        error = response.error
        return Rejection(error.message, error.field, error.code, response.request_id)
    return prediction(response)


def prediction(response: pb.PredictResponse) -> Prediction:
    """The answer for one job."""
    return Prediction(
        predicted_runtime=response.predicted_runtime,
        confidence_lower=response.confidence_lower,
        confidence_upper=response.confidence_upper,
        confidence_level=response.confidence_level,
        timeout_probability=(
            response.timeout_probability if response.HasField("timeout_probability") else None
        ),
        recommended_time_req=(
            response.recommended_time_req if response.HasField("recommended_time_req") else None
        ),
        model_predictions=dict(sorted(response.model_predictions.items())),
        flags=_flags(response.flags),
        model_version=response.model_version,
        request_id=response.request_id,
    )


def _flags(numbers: Iterable[int]) -> Flag:
    """Flags that a newer service may have added are left out."""
    flags = Flag(0)
    for number in numbers:
        flags |= _FLAGS.get(number, Flag(0))
    return flags


def model_info(response: pb.GetModelInfoResponse) -> ModelInfo:
    """What model is loaded."""
    return ModelInfo(
        model_version=response.model_version,
        confidence_level=response.confidence_level,
        model=ModelDescription(
            trained_at=response.trained_at,
            training_span_start=response.training_span_start,
            training_span_end=response.training_span_end,
            training_samples=response.training_samples,
            training_traces=tuple(response.training_traces),
            metrics=dict(response.metrics),
            features=tuple(
                FeatureDescription(f.name, f.unit, f.description, f.importance)
                for f in response.features
            ),
            members=tuple(MemberDescription(m.name, m.weight, m.trees) for m in response.models),
            providers=dict(response.providers),
        ),
        service_version=response.service_version,
        uptime_seconds=response.uptime_seconds,
        predictions_served=response.predictions_served,
        live=_live(response.live),
        shadow=_shadow(response.shadow) if response.HasField("shadow") else None,
    )


def _live(figures: pb.LiveFigures) -> LiveFigures:
    return LiveFigures(
        jobs=figures.jobs,
        metrics=dict(figures.metrics),
        drift=tuple(GroupDrift(d.group, d.psi, d.column) for d in figures.drift),
    )


def _shadow(found: pb.ShadowInfo) -> Shadow:
    return Shadow(
        model_version=found.model_version,
        problem=found.problem,
        behind=found.behind,
        live=_live(found.live),
        compared=found.compared,
        differing=found.differing if found.HasField("differing") else None,
        failed=found.failed,
    )


def reloaded(response: pb.ReloadModelResponse) -> Reloaded:
    """What is served now."""
    return Reloaded(response.old_version, response.new_version)


def health(response: pb.HealthCheckResponse) -> Health:
    """How a service is."""
    return Health(
        status=_state(response.status),
        message=response.message,
        uptime_seconds=response.uptime_seconds,
        memory_bytes=response.memory_bytes,
        components={name: _state(part.status) for name, part in response.components.items()},
        service_version=response.service_version,
    )


def _state(status: "pb.HealthCheckResponse.Status.ValueType") -> str:
    return pb.HealthCheckResponse.Status.Name(status).removeprefix("STATUS_")
