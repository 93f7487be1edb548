"""Parts that every bundle needs: its documents, its version, and the duration of each step."""

import hashlib
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import import_module

from rt_predictor.features.matrix import FEATURE_NAMES, WIDTH
from rt_predictor.features.proposals import PROPOSALS
from rt_predictor.features.request_features import REQUEST_FEATURES
from rt_predictor.features.token_features import TOKEN_FEATURES
from rt_predictor.history.token_keys import SLOTS
from rt_predictor.model.documents import FeatureDocument, FeaturesDocument, GraphDocument
from rt_predictor.training.boosting.fit import LIBRARIES

_LIBRARIES = ("xgboost", "lightgbm", "catboost", "jax", "optax", "onnx", "onnxmltools")
_MORE = ("onnxruntime", "numpy", "polars")


class Clock:
    """Wall-clock seconds of each step."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Measure what happens inside."""
        started = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - started, 2)


def version_of(graph: bytes) -> str:
    """Return the version of a model by its day and its graph."""
    return f"{datetime.now(UTC):%Y.%m.%d}-{hashlib.sha256(graph).hexdigest()[:8]}"


def graph_document(points: int) -> GraphDocument:
    """Return the sizes of a graph that gives distributions of so many points."""
    rules = (proposal.name for proposal in PROPOSALS)
    return GraphDocument(inputs=WIDTH, points=points, tokens=SLOTS, proposals=(*rules, *LIBRARIES))


def features_document() -> FeaturesDocument:
    """Return the features that the graph reads of the request, and of each token."""
    about = [(feature.unit, feature.why) for feature in REQUEST_FEATURES]
    about += [(feature.unit, feature.why) for feature in TOKEN_FEATURES]
    return FeaturesDocument(
        features=tuple(
            FeatureDocument(name=name, unit=unit, why=why)
            for name, (unit, why) in zip(FEATURE_NAMES, about, strict=True)
        )
    )


def library_versions() -> dict[str, str]:
    """Return versions by module, since one library comes from distributions of several names."""
    versions = {name: str(import_module(name).__version__) for name in (*_LIBRARIES, *_MORE)}
    return {"python": platform.python_version(), **versions}
