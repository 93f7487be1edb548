"""What is known of the model that answers, for people and dashboards."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # costs a client time and memory
    from rt_predictor.model.bundle import Bundle
    from rt_predictor.model.session import ModelSession

BASE = "base"
"""Kind of a model that knows no site."""


@dataclass(frozen=True)
class FeatureDescription:
    """One feature that the model sees."""

    name: str
    unit: str
    description: str
    importance: float = 0.0
    """Of models of the first edition: share of split gain."""


@dataclass(frozen=True)
class MemberDescription:
    """A model or rule whose answer the distribution may lie at."""

    name: str
    weight: float
    """Mean share of distributions that lay there when the model was tried; 0 if not measured."""
    trees: int
    """0 for a rule."""


@dataclass(frozen=True)
class ModelDescription:
    """The model: where it comes from, how good it was, and what runs it."""

    trained_at: float
    """When training ended, in Unix s."""
    training_span_start: float
    """Submit time of the first job of the site trained on, in Unix s; 0 for a base model."""
    training_span_end: float
    """Submit time of the last job of the site trained on, in Unix s; 0 for a base model."""
    training_samples: int
    """Jobs trained on."""
    training_traces: tuple[str, ...]
    """Names of the job logs trained on."""
    metrics: Mapping[str, float]
    """Figures measured on later jobs than those trained on, by name."""
    features: tuple[FeatureDescription, ...]
    members: tuple[MemberDescription, ...]
    providers: Mapping[str, int]
    """ONNX Runtime execution provider -> number of graph nodes it runs."""
    kind: str = ""
    """`BASE` or "fine-tuned"; "" from an older service."""
    base_version: str = ""
    """Of the base model that it was tuned from; "" where from none."""
    acknowledgements: tuple[str, ...] = ()
    """Whom the terms of the job logs ask to name."""


def describe(bundle: "Bundle", session: "ModelSession") -> ModelDescription:
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
