"""Between the values of a client and the messages of the API."""

from collections.abc import Iterable, Iterator
from itertools import islice
from math import nan
from typing import TYPE_CHECKING, Any, cast

from rt_predictor.api.v1 import rt_predictor_pb2 as pb
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
from rt_predictor.errors import InvalidJobError
from rt_predictor.jobs.event_kind import EventKind
from rt_predictor.model.answer_flags import Flag
from rt_predictor.predict.description import (
    FeatureDescription,
    MemberDescription,
    ModelDescription,
)
from rt_predictor.predict.predictions import Explanation, OwnJob, Said

if TYPE_CHECKING:
    import polars as pl

_OUTCOME_FIELDS = tuple(
    field.name for field in pb.JobOutcome.DESCRIPTOR.fields if field.name != "job"
)
_EVENT_FIELDS = tuple(
    field.name for field in pb.JobEvent.DESCRIPTOR.fields if field.name not in {"job", "kind"}
)
_NOT_SENT = ("client", "arrived_s")
"""Fields that the service knows itself."""
_KINDS = {kind: pb.JobEventKind.Value(f"JOB_EVENT_KIND_{kind.name}") for kind in EventKind}
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
    for row in jobs.iter_rows(named=True):
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
        yield pb.JobOutcome(job=job, **_whole_attempt(row))


def event_messages(
    events: "Iterable[Event] | pl.DataFrame", a_message: int
) -> Iterator[pb.RecordEventsRequest]:
    """Messages of at most so many events each, from values or a frame of `EVENT_SCHEMA`.

    Raises InvalidJobError for a count in a frame that is not a whole number.
    """
    messages = _event_messages(events)
    while some := list(islice(messages, a_message)):
        yield pb.RecordEventsRequest(events=some)


def _event_messages(events: "Iterable[Event] | pl.DataFrame") -> Iterator[pb.JobEvent]:
    if not hasattr(events, "iter_rows"):
        for event in events:
            own = {"job": request(event.job), "kind": _KINDS[event.kind]}
            yield pb.JobEvent(**{**vars(event), **own})
        return
    frame = cast("pl.DataFrame", events)
    of_event = [name for name in _EVENT_FIELDS if name in frame.columns]
    jobs = frame_requests(frame.drop("kind", *_NOT_SENT, *of_event, strict=False))
    rows = frame.select("kind", *of_event).iter_rows(named=True)
    for job, row in zip(jobs, rows, strict=True):
        kind = _KINDS[EventKind(row.pop("kind"))]
        yield pb.JobEvent(job=job, kind=kind, **_whole_attempt(row))


def recorded(response: pb.RecordOutcomesResponse | pb.RecordEventsResponse, first: int) -> Recorded:
    """Return what became of a call's events; `first` is the index of the first among all."""
    errors = tuple(InvalidOutcome(first + e.index, e.message, e.field) for e in response.errors)
    return Recorded(
        response.recorded,
        response.duplicates,
        response.invalid,
        errors,
        response.conflicts,
        response.quarantined,
        tuple(response.unknown_states),
    )


def _whole_attempt(row: dict[str, Any]) -> dict[str, Any]:
    attempt = row.get("attempt")
    return row if attempt is None else {**row, "attempt": _whole("attempt", attempt)}


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
        quantiles={one.level: one.runtime for one in response.quantiles},
        remaining_runtime=(
            response.remaining_runtime if response.HasField("remaining_runtime") else None
        ),
        recommendation_confidence=response.recommendation_confidence or response.confidence_level,
        explanation=(
            _explanation(response.explanation) if response.HasField("explanation") else None
        ),
    )


def _explanation(message: pb.Explanation) -> Explanation:
    return Explanation(
        own_jobs=tuple(
            OwnJob(
                share=job.share,
                runtime_s=job.runtime,
                age_s=job.age,
                cores=job.processors_req if job.HasField("processors_req") else nan,
                limit_s=job.time_req if job.HasField("time_req") else nan,
            )
            for job in message.own_jobs
        ),
        other_own_share=message.other_own_share,
        others_share=message.others_share,
        proposals={one.name: Said(one.runtime, one.share) for one in message.proposals},
        grid_share=message.grid_share,
    )


def _flags(numbers: Iterable[int]) -> Flag:
    """Flags that a newer service may have added are left out."""
    flags = Flag(0)
    for number in numbers:
        flags |= _FLAGS.get(number, Flag(0))
    return flags


def model_info(response: pb.GetModelInfoResponse) -> ModelInfo:
    """Return the model that is loaded."""
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
            kind=response.kind,
            base_version=response.base_version,
            acknowledgements=tuple(response.acknowledgements),
        ),
        service_version=response.service_version,
        uptime_seconds=response.uptime_seconds,
        predictions_served=response.predictions_served,
        live=_live(response.live),
        shadow=_shadow(response.shadow) if response.HasField("shadow") else None,
        recommendation_confidence=(response.recommendation_confidence or response.confidence_level),
    )


def _live(figures: pb.LiveFigures) -> LiveFigures:
    return LiveFigures(
        jobs=figures.jobs,
        metrics=dict(figures.metrics),
        drift=tuple(GroupDrift(d.group, d.psi, d.column) for d in figures.drift),
        proposals_mae=dict(sorted(figures.proposals_mae.items())),
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
    """Return the model that is served now."""
    return Reloaded(response.old_version, response.new_version)


def health(response: pb.HealthCheckResponse) -> Health:
    """Return the health of a service."""
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
