"""The JSON documents of a bundle, as types. Reading one checks all of it."""

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from rt_predictor.model.fingerprints import NOTHING_LEARNED, Fingerprints

SCHEMA_VERSION = 5
"""Changes when an older program could not read the bundle, or would read it wrongly."""

BASE, FINE_TUNED = "base", "fine-tuned"
Kind = Literal["base", "fine-tuned"]
"""A base model knows no site; a fine-tuned one has learned from the log of one."""


class Document(BaseModel):
    """Base of all documents: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class LogDocument(Document):
    """A log that was learned from."""

    name: str
    jobs: int = Field(ge=1, description="that were learned from")
    acknowledgement: str | None = Field(
        default=None, description="whom its terms ask to name; null where they ask nothing"
    )


class SpanDocument(Document):
    """The times that a site's model has learned from, Unix s."""

    start: float
    end: float

    @model_validator(mode="after")
    def _ends_after_it_starts(self) -> "SpanDocument":
        if not self.start <= self.end:
            raise ValueError("the training span ends before it starts")
        return self


class GraphDocument(Document):
    """Sizes of the graph, as the program must have them."""

    inputs: int = Field(ge=1, description="columns of the input")
    points: int = Field(ge=1, description="runtimes that a distribution is made of")
    tokens: int = Field(ge=0, description="jobs of history that it looks at")
    proposals: tuple[str, ...] = Field(description="names of the boosters and rules in the support")


class FingerprintsDocument(Document):
    """Which jobs were learned from; see `fingerprints`."""

    jobs: int = Field(ge=0)
    bits: str = Field(description="base64")

    @classmethod
    def of(cls, fingerprints: Fingerprints) -> "FingerprintsDocument":
        """Return the document of fingerprints."""
        return cls(jobs=fingerprints.jobs, bits=fingerprints.text())

    def read(self) -> Fingerprints:
        """Return the fingerprints. Raises ValueError where they are damaged."""
        return Fingerprints.from_text(self.bits, self.jobs)

    @model_validator(mode="after")
    def _can_be_read(self) -> "FingerprintsDocument":
        self.read()
        return self


class ModelInfo(Document):
    """`model.json`: what the model is, and where it comes from."""

    model_version: str = Field(min_length=1)
    kind: Kind
    base_version: str | None = Field(
        default=None, description="of the base model it was tuned from; null where from none"
    )
    trained_at: float = Field(description="Unix s")
    training_logs: tuple[LogDocument, ...] = Field(min_length=1)
    training_span: SpanDocument | None = Field(description="null for a base model")
    graph: GraphDocument
    timezone: str = Field(default="UTC", description="of hours and weekdays, as IANA names it")
    settings: Mapping[str, object]
    learned_from: FingerprintsDocument | None = Field(
        default=None, description="jobs of the site; null for a base model"
    )

    @model_validator(mode="after")
    def _a_base_knows_no_site(self) -> "ModelInfo":
        of_a_site = (self.training_span, self.learned_from)
        if self.kind == BASE and any(part is not None for part in (*of_a_site, self.base_version)):
            raise ValueError("a base model has no training span, fingerprints or base of its own")
        if self.kind == FINE_TUNED and any(part is None for part in of_a_site):
            raise ValueError("a fine-tuned model has a training span and fingerprints")
        return self

    @property
    def training_samples(self) -> int:
        """Jobs that were learned from."""
        return sum(log.jobs for log in self.training_logs)

    def fingerprints(self) -> Fingerprints:
        """Return which jobs were learned from; nothing of a base model."""
        return NOTHING_LEARNED if self.learned_from is None else self.learned_from.read()


class RecalibrationDocument(Document):
    """`recalibration.json`: where recalibration starts from, before any outcome; see `online`."""

    jobs: int = Field(ge=0, description="jobs that it was learned from")
    arrays: Mapping[str, tuple[float | tuple[float, ...], ...]] = Field(
        description="arrays of the state by name, of one or two dimensions"
    )


class FeatureDocument(Document):
    """One column that the graph reads."""

    name: str
    unit: str
    why: str


class FeaturesDocument(Document):
    """`features.json`: the columns of the graph's input, in order."""

    features: tuple[FeatureDocument, ...]


class TrainingMetrics(Document):
    """`training_metrics.json`: what was measured while training, and on later jobs."""

    evaluation: Mapping[str, object]
    candidates: Mapping[str, Mapping[str, float]] = Field(
        default={}, description="figures of the models that were compared, by name"
    )
    parity: Mapping[str, object]
    boosters: Mapping[str, Mapping[str, object]]
    seconds: Mapping[str, float]

    def headline(self) -> dict[str, float]:
        """Return the figures of answers and of their intervals on later jobs, by name."""
        found: dict[str, float] = {}
        for figures in (
            _at(self.evaluation, "models", "ensemble"),
            _at(self.evaluation, "interval"),
        ):
            found.update({k: float(v) for k, v in figures.items() if isinstance(v, int | float)})
        return found


def _at(data: object, *keys: str) -> Mapping[str, object]:
    """Return the mapping under nested keys; empty where there is none."""
    for key in keys:
        data = data.get(key) if isinstance(data, Mapping) else None
    return data if isinstance(data, Mapping) else {}


class Manifest(Document):
    """`manifest.json`: the sums of all other files, and what wrote them."""

    schema_version: int
    sha256: Mapping[str, str]
    libraries: Mapping[str, str]
