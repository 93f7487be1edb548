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
    """One expert of the ensemble: a model, or a rule that needs none."""

    name: str
    weight: float
    """Share of the vote before any job has ended; the shares sum to 1."""
    trees: int
    """0 for a rule."""


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
