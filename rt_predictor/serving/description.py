"""What is known of the model that answers, for people and dashboards."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class FeatureDescription:
    """One feature that the models see."""

    name: str
    unit: str
    description: str
    importance: float
    """Share of all models' split gain; the shares of all features sum to 1."""


@dataclass(frozen=True)
class MemberDescription:
    """One model of the ensemble."""

    name: str
    weight: float
    """Weight in the ensemble; the weights sum to 1."""
    trees: int


@dataclass(frozen=True)
class ModelDescription:
    """The model: where it comes from, how good it was, and what runs it."""

    trained_at: float
    """When training ended, in Unix s."""
    training_span_start: float
    """Submit time of the first job trained on, in Unix s."""
    training_span_end: float
    """Submit time of the last job trained on, in Unix s."""
    training_samples: int
    """Jobs trained on."""
    training_traces: tuple[str, ...]
    """Names of the job logs trained on."""
    metrics: Mapping[str, float]
    """Figures measured on later jobs than those trained on, by name."""
    features: tuple[FeatureDescription, ...]
    """Most important first."""
    members: tuple[MemberDescription, ...]
    providers: Mapping[str, int]
    """ONNX Runtime execution provider -> number of graph nodes it runs."""
