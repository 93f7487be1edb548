"""What the service tells of itself: the model, and its health."""

from collections.abc import Mapping
from math import isnan

from rt_predictor.api.v1 import rt_predictor_pb2 as pb
from rt_predictor.observability.health import Health, State
from rt_predictor.online.live import LiveFigures
from rt_predictor.predict.description import ModelDescription
from rt_predictor.shadow.report import ShadowReport

_STATES = {
    State.SERVING: pb.HealthCheckResponse.STATUS_SERVING,
    State.DEGRADED: pb.HealthCheckResponse.STATUS_DEGRADED,
    State.NOT_SERVING: pb.HealthCheckResponse.STATUS_NOT_SERVING,
}


def encode_description(model: ModelDescription) -> pb.GetModelInfoResponse:
    """The model, as far as its description goes."""
    return pb.GetModelInfoResponse(
        trained_at=model.trained_at,
        training_span_start=model.training_span_start,
        training_span_end=model.training_span_end,
        training_samples=model.training_samples,
        training_traces=model.training_traces,
        metrics=model.metrics,
        features=[
            pb.FeatureInfo(
                name=feature.name,
                unit=feature.unit,
                description=feature.description,
                importance=feature.importance,
            )
            for feature in model.features
        ],
        models=[
            pb.ModelWeight(name=member.name, weight=member.weight, trees=member.trees)
            for member in model.members
        ],
        providers=model.providers,
        kind=model.kind,
        base_version=model.base_version,
        acknowledgements=model.acknowledgements,
    )


def encode_live(live: LiveFigures, level: float) -> pb.LiveFigures:
    """How good the model is now, with the figures of intervals of one level."""
    metrics = {
        "mae": live.mae_s,
        "accuracy": live.accuracy,
        "underestimated": live.underestimated,
        "crps": live.crps_s,
        "coverage": live.coverage[level],
        "winkler": live.interval_score_s[level],
    }
    return pb.LiveFigures(
        jobs=live.jobs,
        metrics=metrics if live.jobs else {},
        drift=[
            pb.Drift(group=group, psi=drift.psi, column=drift.column)
            for group, drift in live.drift.items()
            if live.jobs
        ],
        proposals_mae={
            name: error_s
            for name, error_s in live.proposals_mae_s.items()
            if live.jobs and not isnan(error_s)
        },
    )


def encode_shadow(report: ShadowReport, level: float) -> pb.ShadowInfo:
    """How good the candidate is now, with the figures of intervals of one level."""
    compared = report.compared
    return pb.ShadowInfo(
        model_version=report.model_version,
        problem=report.problem,
        behind=report.behind,
        live=None if report.live is None else encode_live(report.live, level),
        compared=compared.answers,
        differing=compared.differing if compared.answers else None,
        failed=compared.failed,
    )


def encode_health(whole: Health, parts: Mapping[str, Health]) -> pb.HealthCheckResponse:
    """The state of the whole and of its parts."""
    return pb.HealthCheckResponse(
        status=_STATES[whole.state],
        message=whole.message,
        components={
            name: pb.ComponentHealth(status=_STATES[part.state], message=part.message)
            for name, part in parts.items()
        },
    )
