"""The whole graph: assembled inputs -> features -> trees -> combined answer and interval.

One call gives every number of an answer, so that nothing is left to compute outside.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, helper

from rt_predictor.features.categories import Category
from rt_predictor.features.declared import FEATURES, INPUTS
from rt_predictor.training.combine import MIN_RUNTIME_S, Combination
from rt_predictor.training.export.arithmetic import GraphParts, feature_nodes
from rt_predictor.training.export.fuse import IR_VERSION, OPSETS, Head, tree_nodes

GRAPH_INPUT: Final = "inputs"
GRAPH_OUTPUTS: Final = ("prediction", "interval", "members")
"""[n] answer; [n, 2] ends of the interval; [n, m] answers of the members; all in s."""

_FEATURES = "features"
_TIME_REQ_COLUMN = next(place for place, item in enumerate(INPUTS) if item.name == "time_req")


def feature_model(categories: Sequence[Category]) -> ModelProto:
    """The arithmetic alone: the trainer runs it to get the matrix for the boosters."""
    parts = GraphParts()
    feature_nodes(parts, categories, GRAPH_INPUT, _FEATURES)
    return _model(parts, {_FEATURES: [len(FEATURES)]})


@dataclass(frozen=True)
class IntervalShape:
    """How the interval lies around the answer."""

    lower_ratio: float
    """Lower end as a multiple of the answer; at most 1."""
    upper_ratio: float
    """Upper end as a multiple of the answer; at least 1."""
    limit_overrun: float
    """The upper end is at most the time limit times this, and at least the answer."""

    def __post_init__(self) -> None:
        if not 0 < self.lower_ratio <= 1 <= self.upper_ratio or self.limit_overrun < 1:
            raise ValueError(f"{self} does not enclose the answer")


def ensemble_model(
    categories: Sequence[Category],
    heads: Sequence[Head],
    combination: Combination,
    interval: IntervalShape,
) -> ModelProto:
    """The graph of a bundle.

    Args:
        categories: what the encoders learned.
        heads: normalised trees, one head with one output for each member.
        combination: how members become one answer.
        interval: how the interval lies around it.
    """
    parts = GraphParts()
    feature_nodes(parts, categories, GRAPH_INPUT, _FEATURES)
    nodes, initializers = tree_nodes(heads, _FEATURES, "raw")
    parts.nodes.extend(nodes)
    parts.initializers.extend(initializers)
    column = parts.constant("time_req_column", np.array([_TIME_REQ_COLUMN]))
    parts.node("Gather", [GRAPH_INPUT, column], "time_req", axis=1)
    parts.node("IsNaN", ["time_req"], "unlimited")
    parts.constant("max_runtime", np.array([[combination.max_runtime_s]], np.float32))
    parts.constant("min_runtime", np.array([[MIN_RUNTIME_S]], np.float32))
    _combine(parts, combination)
    _interval(parts, interval)
    members = len(combination.weights)
    return _model(parts, {"prediction": [], "interval": [2], "members": [members]})


def _times_limit(parts: GraphParts, factor: float, name: str) -> str:
    """The limit times a factor, at least MIN_RUNTIME_S; the longest runtime where there is none."""
    scale = parts.constant(f"{name}_factor", np.array([[factor]], np.float32))
    parts.node("Mul", ["time_req", scale], f"{name}_scaled")
    parts.node("Max", [f"{name}_scaled", "min_runtime"], f"{name}_limit")
    return parts.node("Where", ["unlimited", "max_runtime", f"{name}_limit"], name)


def _combine(parts: GraphParts, combination: Combination) -> None:
    """The nodes of `Combination.apply`."""
    if combination.limit_cap is None:
        cap = "max_runtime"
    else:
        cap = _times_limit(parts, combination.limit_cap, "cap")
    parts.node("Max", ["raw", "min_runtime"], "raised")
    parts.node("Min", ["raised", cap], "members")
    weights = np.array([[weight] for weight in combination.weights], np.float32)
    parts.node("MatMul", ["members", parts.constant("weights", weights)], "weighted")
    # Rounding of the weights may leave the mean a last bit below the least member.
    parts.node("Max", ["weighted", "min_runtime"], "point")
    flat = parts.constant("flat", np.array([-1]))
    parts.node("Reshape", ["point", flat], "prediction")


def _interval(parts: GraphParts, shape: IntervalShape) -> None:
    """Both ends, held on their side of the answer."""
    lower = parts.constant("lower_ratio", np.array([[shape.lower_ratio]], np.float32))
    upper = parts.constant("upper_ratio", np.array([[shape.upper_ratio]], np.float32))
    parts.node("Mul", ["point", lower], "lower_scaled")
    parts.node("Max", ["lower_scaled", "min_runtime"], "lower")
    parts.node("Mul", ["point", upper], "upper_scaled")
    parts.node("Max", [_times_limit(parts, shape.limit_overrun, "overrun"), "point"], "ceiling")
    parts.node("Min", ["upper_scaled", "ceiling"], "upper")
    parts.node("Concat", ["lower", "upper"], "interval", axis=1)


def _model(parts: GraphParts, outputs: dict[str, list[int]]) -> ModelProto:
    def value(name: str, shape: list[int]) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["jobs", *shape])

    graph = helper.make_graph(
        parts.nodes,
        "rt_predictor",
        [value(GRAPH_INPUT, [len(INPUTS)])],
        [value(name, shape) for name, shape in outputs.items()],
        parts.initializers,
    )
    opsets = [helper.make_opsetid(domain, version) for domain, version in OPSETS.items()]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
    onnx.checker.check_model(model)
    return model
