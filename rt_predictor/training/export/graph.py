"""The whole graph: assembled inputs -> features -> trees -> experts -> answer and interval.

One call gives every number of an answer, so that nothing is left to compute outside. What changes
from one finished job to the next, the recent losses of the experts, enters it as an input.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, helper

from rt_predictor.features.categories import Category
from rt_predictor.features.declared import BACKOFF_LAST, BACKOFF_MEDIAN, FEATURES, INPUTS
from rt_predictor.history.experts import SCOPES
from rt_predictor.training.combine import (
    EXPERTS,
    MIN_LOSSES,
    MIN_RUNTIME_S,
    PRIOR_JOBS,
    SHARPNESS,
    Combination,
)
from rt_predictor.training.export.arithmetic import GraphParts, feature_nodes
from rt_predictor.training.export.fuse import IR_VERSION, OPSETS, Head, tree_nodes
from rt_predictor.training.members import MAX_LOG_RATIO, MEMBERS, Target

GRAPH_INPUTS: Final = ("inputs", "expert_losses")
"""[n, len(INPUTS)] assembled jobs; [n, SCOPES, len(EXPERTS) + 1] sums of `ExpertLosses.as_of`."""
GRAPH_OUTPUTS: Final = ("prediction", "interval", "experts")
"""[n] answer; [n, 2] ends of the interval; [n, len(EXPERTS)] answers of the experts; all in s."""

_INPUTS, _LOSSES = GRAPH_INPUTS
_FEATURES = "features"
_TIME_REQ_COLUMN = next(place for place, item in enumerate(INPUTS) if item.name == "time_req")
_FEATURE_COLUMN = {feature.name: place for place, feature in enumerate(FEATURES)}


def feature_model(categories: Sequence[Category]) -> ModelProto:
    """The arithmetic alone: the trainer runs it to get the matrix for the boosters."""
    parts = GraphParts()
    feature_nodes(parts, categories, _INPUTS, _FEATURES)
    return _model(parts, {_INPUTS: [len(INPUTS)]}, {_FEATURES: [len(FEATURES)]})


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
        heads: normalised trees, one head with one output for each of `MEMBERS`.
        combination: how experts become one answer.
        interval: how the interval lies around it.
    """
    parts = GraphParts()
    feature_nodes(parts, categories, _INPUTS, _FEATURES)
    nodes, initializers = tree_nodes(heads, _FEATURES, "raw")
    parts.nodes.extend(nodes)
    parts.initializers.extend(initializers)
    _column(parts, _INPUTS, _TIME_REQ_COLUMN, "time_req")
    parts.node("IsNaN", ["time_req"], "unlimited")
    _number(parts, "max_runtime", combination.max_runtime_s)
    _number(parts, "min_runtime", MIN_RUNTIME_S)
    _reference(parts, combination.typical_runtime_s)
    _experts(parts, combination.limit_cap)
    _weights(parts, combination.prior_losses)
    _weighted_median(parts)
    _interval(parts, interval)
    return _model(
        parts,
        {_INPUTS: [len(INPUTS)], _LOSSES: [SCOPES, len(EXPERTS) + 1]},
        {"prediction": [], "interval": [2], "experts": [len(EXPERTS)]},
    )


def _number(parts: GraphParts, name: str, value: float) -> str:
    return parts.constant(name, np.array([[value]], np.float32))


def _column(parts: GraphParts, matrix: str, place: int, name: str) -> str:
    """One column of a matrix, [n, 1]."""
    return parts.node(
        "Gather", [matrix, parts.constant(f"{name}_at", np.array([place]))], name, axis=1
    )


def _first_present(parts: GraphParts, first: str, second: str, name: str) -> str:
    parts.node("IsNaN", [first], f"{name}_absent")
    return parts.node("Where", [f"{name}_absent", second, first], name)


def _reference(parts: GraphParts, typical_runtime_s: float) -> None:
    """The nodes of `combine.reference_s`."""
    _column(parts, _FEATURES, _FEATURE_COLUMN[BACKOFF_MEDIAN], "recent_median")
    _number(parts, "typical_runtime", typical_runtime_s)
    _first_present(parts, "recent_median", "time_req", "recent_or_limit")
    _first_present(parts, "recent_or_limit", "typical_runtime", "unbounded_reference")
    parts.node("Min", ["unbounded_reference", "time_req"], "limited_reference")
    parts.node(
        "Where", ["unlimited", "unbounded_reference", "limited_reference"], "raisable_reference"
    )
    parts.node("Max", ["raisable_reference", "min_runtime"], "reference")


def _experts(parts: GraphParts, limit_cap: float | None) -> None:
    """The nodes of `members.answers_s` and `Combination.experts_s`."""
    answers = []
    for target, decode in (
        (Target.CORRECTION, _corrected),
        (Target.RATIO, _scaled),
        (Target.RUNTIME, lambda _parts, raw: raw),
    ):
        columns = [place for place, member in enumerate(MEMBERS) if member.target is target]
        at = parts.constant(f"{target}_columns", np.array(columns))
        answers.append((columns, decode(parts, parts.node("Gather", ["raw", at], target, axis=1))))
    _column(parts, _FEATURES, _FEATURE_COLUMN[BACKOFF_LAST], "recent_last")
    _first_present(parts, "recent_last", "reference", "last_or_reference")
    parts.node(
        "Concat",
        [*(name for _, name in answers), "reference", "last_or_reference"],
        "said_by",
        axis=1,
    )
    places = [place for columns, _ in answers for place in columns]
    order = np.argsort([*places, len(MEMBERS), len(MEMBERS) + 1])
    parts.node("Gather", ["said_by", parts.constant("expert_order", order)], "said", axis=1)
    cap = "max_runtime" if limit_cap is None else _times_limit(parts, limit_cap, "cap")
    parts.node("Max", ["said", "min_runtime"], "raised")
    parts.node("Min", ["raised", cap], "experts")


def _corrected(parts: GraphParts, raw: str) -> str:
    return parts.node("Add", [raw, "reference"], "corrected")


def _scaled(parts: GraphParts, raw: str) -> str:
    _number(parts, "least_log_ratio", -MAX_LOG_RATIO)
    _number(parts, "greatest_log_ratio", MAX_LOG_RATIO)
    parts.node("Max", [raw, "least_log_ratio"], "raised_log_ratio")
    parts.node("Min", ["raised_log_ratio", "greatest_log_ratio"], "log_ratio")
    parts.node("Exp", ["log_ratio"], "ratio_to_reference")
    return parts.node("Mul", ["ratio_to_reference", "reference"], "scaled")


def _weights(parts: GraphParts, prior_losses: Sequence[Sequence[float]]) -> None:
    """The nodes of `combine.expert_weights`."""
    last = parts.constant("last_axis", np.array([-1]))
    scopes = parts.constant("scope_axis", np.array([1]))
    jobs = np.array(PRIOR_JOBS)[:, None]
    prior = np.concatenate([np.array(prior_losses), np.ones((SCOPES, 1))], axis=1) * jobs
    parts.constant("prior_sums", prior[None].astype(np.float32))
    parts.constant("least_losses", np.array(MIN_LOSSES, np.float32)[None, :, None])
    parts.constant("losses_at", np.arange(len(EXPERTS)))
    parts.constant("weight_at", np.array([len(EXPERTS)]))
    _number(parts, "half", 0.5)
    _number(parts, "share_of_a_scope", 1 / SCOPES)
    _number(parts, "minus_sharpness", -SHARPNESS)
    parts.node("Add", [_LOSSES, "prior_sums"], "loss_sums")
    parts.node("Gather", ["loss_sums", "losses_at"], "loss_totals", axis=2)
    parts.node("Gather", ["loss_sums", "weight_at"], "loss_weights", axis=2)
    parts.node("Div", ["loss_totals", "loss_weights"], "mean_losses")
    parts.node("Max", ["mean_losses", "least_losses"], "losses")
    parts.node("ReduceMin", ["losses", last], "best_losses", keepdims=1)
    parts.node("Div", ["losses", "best_losses"], "relative_losses")
    parts.node("ReduceSum", ["relative_losses", scopes], "relative_loss_sum", keepdims=0)
    parts.node("Mul", ["relative_loss_sum", "share_of_a_scope"], "relative_loss")
    parts.node("ReduceMin", ["relative_loss", last], "least_relative_loss", keepdims=1)
    parts.node("Sub", ["relative_loss", "least_relative_loss"], "excess")
    parts.node("Mul", ["excess", "minus_sharpness"], "log_weights")
    parts.node("Exp", ["log_weights"], "weights")


def _weighted_median(parts: GraphParts) -> None:
    """The nodes of `combine.weighted_median`."""
    middle = parts.constant("middle_axis", np.array([1]))
    infinite = parts.constant("infinite", np.array([np.inf], np.float32))
    parts.node("Unsqueeze", ["experts", middle], "experts_across")
    parts.node("Unsqueeze", ["experts", "last_axis"], "experts_down")
    parts.node("LessOrEqual", ["experts_across", "experts_down"], "at_or_below")
    parts.node("Unsqueeze", ["weights", middle], "weights_across")
    nothing = parts.constant("no_weight", np.zeros(1, np.float32))
    parts.node("Where", ["at_or_below", "weights_across", nothing], "weights_below")
    parts.node("ReduceSum", ["weights_below", "last_axis"], "weight_reached", keepdims=0)
    parts.node("ReduceSum", ["weights", "last_axis"], "weight_total", keepdims=1)
    parts.node("Mul", ["weight_total", "half"], "weight_half")
    parts.node("GreaterOrEqual", ["weight_reached", "weight_half"], "reached")
    parts.node("Where", ["reached", "experts", infinite], "candidates")
    parts.node("ReduceMin", ["candidates", "last_axis"], "point", keepdims=1)
    parts.node("Reshape", ["point", "last_axis"], "prediction")


def _times_limit(parts: GraphParts, factor: float, name: str) -> str:
    """The limit times a factor, at least MIN_RUNTIME_S; the longest runtime where there is none."""
    scale = _number(parts, f"{name}_factor", factor)
    parts.node("Mul", ["time_req", scale], f"{name}_scaled")
    parts.node("Max", [f"{name}_scaled", "min_runtime"], f"{name}_limit")
    return parts.node("Where", ["unlimited", "max_runtime", f"{name}_limit"], name)


def _interval(parts: GraphParts, shape: IntervalShape) -> None:
    """Both ends, held on their side of the answer."""
    lower = _number(parts, "lower_ratio", shape.lower_ratio)
    upper = _number(parts, "upper_ratio", shape.upper_ratio)
    parts.node("Mul", ["point", lower], "lower_scaled")
    parts.node("Max", ["lower_scaled", "min_runtime"], "lower")
    parts.node("Mul", ["point", upper], "upper_scaled")
    parts.node("Max", [_times_limit(parts, shape.limit_overrun, "overrun"), "point"], "ceiling")
    parts.node("Min", ["upper_scaled", "ceiling"], "upper")
    parts.node("Concat", ["lower", "upper"], "interval", axis=1)


def _model(
    parts: GraphParts, inputs: dict[str, list[int]], outputs: dict[str, list[int]]
) -> ModelProto:
    def value(name: str, shape: list[int]) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["jobs", *shape])

    graph = helper.make_graph(
        parts.nodes,
        "rt_predictor",
        [value(name, shape) for name, shape in inputs.items()],
        [value(name, shape) for name, shape in outputs.items()],
        parts.initializers,
    )
    opsets = [helper.make_opsetid(domain, version) for domain, version in OPSETS.items()]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
    onnx.checker.check_model(model)
    return model
