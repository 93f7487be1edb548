"""A bundle with everything in it, for tests of what reads and writes one."""

import numpy as np

from rt_predictor.model.bundle import Bundle
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

GRAPH = GraphDocument(inputs=7, points=5, tokens=3, proposals=("xgboost", "last2"))
LEARNED = np.arange(100, dtype=np.uint64)


def a_base(**changes: object) -> ModelInfo:
    known = {
        "model_version": "v1",
        "kind": "base",
        "trained_at": 1.0,
        "training_logs": (LogDocument(name="log", jobs=10, acknowledgement="Ann"),),
        "training_span": None,
        "graph": GRAPH,
        "settings": {},
    }
    return ModelInfo.model_validate({**known, **changes})


def a_tuned(**changes: object) -> ModelInfo:
    of_a_site = {
        "kind": "fine-tuned",
        "base_version": "v1",
        "training_span": SpanDocument(start=0.0, end=1.0),
        "learned_from": FingerprintsDocument.of(Fingerprints.of(LEARNED)),
    }
    return a_base(**{**of_a_site, **changes})


def a_bundle(info: ModelInfo | None = None) -> Bundle:
    return Bundle(
        graph=b"not a graph, but bytes",
        info=info or a_tuned(),
        recalibration=RecalibrationDocument(jobs=3, arrays={"levels": ((0.0, 1.0), (0.0, 1.0))}),
        features=FeaturesDocument(features=(FeatureDocument(name="a", unit="s", why="b"),)),
        metrics=TrainingMetrics(evaluation={}, parity={}, boosters={}, seconds={}),
        card="# A model\n",
        weights=b"numbers",
    )
