"""Small boosters fitted to made-up data, and graphs of them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper

from rt_predictor.settings import Settings, TrainingSettings
from rt_predictor.training.boosting.booster import Float32Array, Samples
from rt_predictor.training.boosting.nodes import IR_VERSION, OPSETS, TreeNodes

FEATURES = "features"


def small_settings(**changes: object) -> TrainingSettings:
    """Settings of five shallow trees; changes are given for all libraries as `name=value`."""
    given: dict[str, object] = {"trees": 5, "max_depth": 4, **changes}
    libraries = ("xgboost", "lightgbm", "catboost")
    return (
        Settings()
        .with_overrides(
            {
                "training.threads": 1,
                "training.lightgbm.num_leaves": 12,
                "training.lightgbm.min_child_samples": 5,
                "training.xgboost.min_child_weight": 2.0,
                **{
                    f"training.{library}.{name}": given[name]
                    for library in libraries
                    for name in given
                },
            }
        )
        .training
    )


def samples(rows: int = 400, seed: int = 7, *, holes: float = 0.0) -> Samples:
    """Samples of six columns, of which the first two matter most."""
    random = np.random.default_rng(seed)
    features = random.normal(size=(rows, 6)).astype(np.float32)
    features[:, 1] = random.integers(0, 10, size=rows)
    target = 100 * np.tanh(features[:, 0]) + 20 * features[:, 1] + random.normal(size=rows)
    features[random.random(features.shape) < holes] = np.nan
    weight = random.random(rows).astype(np.float32)
    return Samples(features, target.astype(np.float32), weight)


def graph_of(trees: TreeNodes, n_features: int) -> onnx.ModelProto:
    """Return a model of the tree nodes only."""

    def matrix(name: str, columns: int) -> Any:
        return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["rows", columns])

    graph = helper.make_graph(
        list(trees.nodes),
        "trees",
        [matrix(trees.features, n_features)],
        [matrix(output, 1) for output in trees.outputs],
    )
    opsets = [helper.make_opsetid(domain, version) for domain, version in OPSETS.items()]
    return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)


def names_of(features: Float32Array) -> Sequence[str]:
    """Names for columns."""
    return [f"column {number}" for number in range(features.shape[1])]
