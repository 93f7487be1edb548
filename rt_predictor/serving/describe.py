"""What a bundle says of its model, for people and dashboards."""

from rt_predictor.model.bundle import Bundle
from rt_predictor.model.session import ModelSession
from rt_predictor.serving.description import (
    FeatureDescription,
    MemberDescription,
    ModelDescription,
)


def describe(bundle: Bundle, session: ModelSession) -> ModelDescription:
    """Return where the model comes from, how good it was, and what runs it."""
    info, boosters = bundle.info, bundle.metrics.boosters
    span = info.training_span
    return ModelDescription(
        trained_at=info.trained_at,
        training_span_start=0.0 if span is None else span.start,
        training_span_end=0.0 if span is None else span.end,
        training_samples=info.training_samples,
        training_traces=tuple(log.name for log in info.training_logs),
        metrics=bundle.metrics.headline(),
        features=tuple(
            FeatureDescription(feature.name, feature.unit, feature.why)
            for feature in bundle.features.features
        ),
        members=tuple(
            MemberDescription(
                name,
                weight=_number(boosters.get(name, {}).get("weight")),
                trees=int(_number(boosters.get(name, {}).get("trees_kept"))),
            )
            for name in info.graph.proposals
        ),
        providers=session.nodes_by_provider(),
        kind=info.kind,
        base_version=info.base_version or "",
        acknowledgements=tuple(
            log.acknowledgement for log in info.training_logs if log.acknowledgement
        ),
    )


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
