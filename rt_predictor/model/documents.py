"""The JSON documents of a bundle, as types. Reading one checks all of it."""

from collections.abc import Mapping
from itertools import pairwise

from pydantic import BaseModel, ConfigDict, Field, model_validator

from rt_predictor.errors import BundleError
from rt_predictor.model.bounds import GROUPS, LEVELS, QUANTILES, TAILS
from rt_predictor.model.reference import BINS, ERROR, RUNTIME_TO_PREDICTION, WATCHED_INPUTS

SCHEMA_VERSION = 4
"""Changes when an older program could not read the bundle, or would read it wrongly."""


class Document(BaseModel):
    """Base of all documents: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelEntry(Document):
    """One expert of the ensemble: a model, or a rule that needs none."""

    weight: float = Field(ge=0, le=1, description="share of the vote before any job has ended")
    trees: int = Field(ge=0, description="trees in the graph; 0 for a rule")


class EnsembleConfig(Document):
    """`ensemble_config.json`: what the graph is made of, and how to call it."""

    models: Mapping[str, ModelEntry]
    graph_inputs: Mapping[str, int] = Field(description="columns of the input, by what they hold")
    graph_outputs: Mapping[str, int] = Field(description="rows of the output, likewise")

    @model_validator(mode="before")
    @classmethod
    def _refuse_old_key(cls, data: object) -> object:
        if isinstance(data, dict) and "model_names" in data:
            raise BundleError(
                "has the old key `model_names`: the key is `models` now, a name -> {weight, trees} "
                "table; train the bundle anew with `rt-predictor train`"
            )
        return data

    @model_validator(mode="after")
    def _weights_sum_to_one(self) -> "EnsembleConfig":
        total = sum(entry.weight for entry in self.models.values())
        if abs(total - 1) > 1e-6:
            raise ValueError(f"the weights of `models` sum to {total:g}, not to 1")
        return self


class CategoryDocument(Document):
    """What was learned of the values of one field; see `features.categories`."""

    field: str
    names: tuple[str, ...]
    table: tuple[tuple[float | None, ...], ...]
    salt: str


class RangeDocument(Document):
    """Least and greatest value seen in training."""

    minimum: float
    maximum: float


class FeatureDocument(Document):
    """One column that the trees see."""

    name: str
    unit: str
    why: str
    op: str
    inputs: tuple[str, ...]
    importance: float = Field(ge=0, le=1, description="share of all models' split gain")


class FeaturesDocument(Document):
    """`features.json`: every learned constant of the assembly."""

    inputs: tuple[str, ...]
    features: tuple[FeatureDocument, ...]
    categories: tuple[CategoryDocument, ...]
    ranges: Mapping[str, RangeDocument]


class CalibrationDocument(Document):
    """`calibration.json`: where intervals start from, before any job has ended; see `bounds`."""

    method: str
    level: float = Field(gt=0, lt=1, description="of the interval that is answered unless asked")
    levels: tuple[float, ...]
    quantiles: tuple[float, ...] = Field(description="probabilities of the raw quantiles")
    jobs: int = Field(ge=1, description="calibration jobs")
    limit_overrun: float = Field(ge=1, description="no interval ends above the limit times this")
    typical_runtime_s: float = Field(gt=0, description="scale of jobs that have no limit")
    offsets: tuple[tuple[float, ...], ...] = Field(description="`OffsetState.table`")
    timeout_base_rate: float | None = Field(description="share of training jobs; null: no limits")

    @model_validator(mode="after")
    def _fits_the_program(self) -> "CalibrationDocument":
        for name, known in (("levels", LEVELS), ("quantiles", QUANTILES)):
            if getattr(self, name) != known:
                raise ValueError(f"`{name}` must be {known}, as this program has them")
        if self.level not in self.levels:
            raise ValueError(f"`level` must be one of {self.levels}")
        if len(self.offsets) != GROUPS or any(len(row) != TAILS + 2 for row in self.offsets):
            raise ValueError(f"`offsets` must be {GROUPS} rows of {TAILS + 2} numbers")
        return self


class WatchedColumnDocument(Document):
    """What a column was like in training; see `model.reference`."""

    name: str
    group: str
    edges: tuple[float, ...] = Field(max_length=BINS - 2)
    shares: tuple[float, ...] = Field(min_length=BINS, max_length=BINS)

    @model_validator(mode="after")
    def _is_watched(self) -> "WatchedColumnDocument":
        known = {**WATCHED_INPUTS, RUNTIME_TO_PREDICTION: ERROR}
        if known.get(self.name) != self.group:
            raise ValueError(f"this program does not watch {self.name} under {self.group}")
        if any(low >= high for low, high in pairwise(self.edges)):
            raise ValueError(f"the edges of {self.name} do not ascend")
        if min(self.shares) < 0 or abs(sum(self.shares) - 1) > 1e-6:
            raise ValueError(f"the shares of {self.name} are not those of a whole")
        return self


class ReferenceDocument(Document):
    """`reference.json`: what jobs and errors were like, to tell how far they have moved."""

    columns: tuple[WatchedColumnDocument, ...]


class ModelInfo(Document):
    """`model_info.json`: where the bundle comes from."""

    model_version: str = Field(min_length=1)
    trained_at: float
    training_span_start: float
    training_span_end: float
    training_samples: int = Field(ge=1)
    training_traces: tuple[str, ...]
    settings: Mapping[str, object]


class TrainingMetrics(Document):
    """`training_metrics.json`: what was measured while training, and on the held-out span."""

    evaluation: Mapping[str, object]
    parity: Mapping[str, object]
    boosters: Mapping[str, Mapping[str, object]]
    seconds: Mapping[str, float]

    def headline(self) -> dict[str, float]:
        """The ensemble's figures on the held-out span, and its intervals', by name."""
        found: dict[str, float] = {}
        for figures in (
            _at(self.evaluation, "models", "ensemble"),
            _at(self.evaluation, "interval"),
        ):
            found.update({k: float(v) for k, v in figures.items() if isinstance(v, int | float)})
        return found


def _at(data: object, *keys: str) -> Mapping[str, object]:
    """The mapping under nested keys; empty where there is none."""
    for key in keys:
        data = data.get(key) if isinstance(data, Mapping) else None
    return data if isinstance(data, Mapping) else {}


class Manifest(Document):
    """`manifest.json`: the sums of all other files, and what wrote them."""

    schema_version: int
    sha256: Mapping[str, str]
    libraries: Mapping[str, str]
