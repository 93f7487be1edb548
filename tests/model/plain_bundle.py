"""A bundle that answers, made in no time: see `plain_graph`."""

from pathlib import Path

from rt_predictor.features.matrix import FEATURE_NAMES, WIDTH
from rt_predictor.features.proposals import PROPOSALS
from rt_predictor.history.token_keys import SLOTS
from rt_predictor.history.value_ids import Ids
from rt_predictor.model.bundle import Bundle, write_bundle
from rt_predictor.model.documents import (
    FeatureDocument,
    FeaturesDocument,
    FingerprintsDocument,
    GraphDocument,
    LogDocument,
    ModelInfo,
    RecalibrationDocument,
    SpanDocument,
    TrainingMetrics,
)
from rt_predictor.model.fingerprints import Fingerprints
from tests.model.plain_graph import POINTS, plain_graph

VERSION = "plain-1"


def plain_bundle(version: str = VERSION, learned: Ids | None = None) -> Bundle:
    """Return a base model, or one that has learned from jobs of these idents."""
    site: dict[str, object] = {"kind": "base", "training_span": None}
    if learned is not None:
        site = {
            "kind": "fine-tuned",
            "training_span": SpanDocument(start=0.0, end=1e9),
            "learned_from": FingerprintsDocument.of(Fingerprints.of(learned)),
        }
    return Bundle(
        graph=plain_graph(),
        info=ModelInfo.model_validate(
            {
                "model_version": version,
                "trained_at": 1.7e9,
                "training_logs": (LogDocument(name="made-up", jobs=10, acknowledgement="Ann"),),
                "graph": GraphDocument(
                    inputs=WIDTH,
                    points=POINTS,
                    tokens=SLOTS,
                    proposals=tuple(proposal.name for proposal in PROPOSALS),
                ),
                "settings": {},
                **site,
            }
        ),
        recalibration=RecalibrationDocument(jobs=0, arrays={}),
        features=FeaturesDocument(
            features=tuple(
                FeatureDocument(name=name, unit="flag", why="it is there") for name in FEATURE_NAMES
            )
        ),
        metrics=TrainingMetrics(
            evaluation={
                "models": {"ensemble": {"mae": 100.0, "accuracy": 0.6, "underestimated": 0.4}},
                "interval": {"level": 0.9, "coverage": 0.9, "winkler": 500.0},
            },
            parity={},
            boosters={},
            seconds={},
        ),
        card="# Plain\n",
    )


def write_plain_bundle(folder: Path, **options: object) -> Path:
    """Write the bundle into a folder, which is given back."""
    write_bundle(folder, plain_bundle(**options), {})  # type: ignore[arg-type]
    return folder
