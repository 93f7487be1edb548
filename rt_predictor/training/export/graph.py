"""The whole graph: assembled inputs -> features -> trees -> experts -> answer and intervals.

One call gives every number of an answer, so that nothing is left to compute outside. What changes
from one finished job to the next enters it as inputs: the recent losses of the experts, and what
intervals were offset by.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, helper

from rt_predictor.features.categories import Category
from rt_predictor.features.declared import BACKOFF_LAST, BACKOFF_MEDIAN, FEATURES, INPUTS
from rt_predictor.history.experts import SCOPES
from rt_predictor.model.bounds import LEVELS, LOWER, QUANTILES, TAILS, UPPER
from rt_predictor.model.ports import GRAPH_INPUTS
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

_INPUTS, _LOSSES, _OFFSETS = GRAPH_INPUTS
_FEATURES = "features"
_TIME_REQ_COLUMN = next(place for place, item in enumerate(INPUTS) if item.name == "time_req")
_FEATURE_COLUMN = {feature.name: place for place, feature in enumerate(FEATURES)}


def feature_model(categories: Sequence[Category]) -> ModelProto:
    """The arithmetic alone: the trainer runs it to get the matrix for the boosters."""
    parts = GraphParts()
    feature_nodes(parts, categories, _INPUTS, _FEATURES)
    return _model(parts, {_INPUTS: [len(INPUTS)]}, {_FEATURES: [len(FEATURES)]})


@dataclass(frozen=True)
class Bounds:
    """What the graph knows of intervals and timeouts beside its trees."""

    limit_overrun: float
    """No interval ends above the time limit times this, unless the answer does; at least 1."""
    timeout_log_odds: float | None
    """Log-odds to reach the limit where no trees say them; None where the last head does."""

    def __post_init__(self) -> None:
        if self.limit_overrun < 1:
            raise ValueError(f"limit_overrun is {self.limit_overrun:g}: jobs may use their limit")


def ensemble_model(
    categories: Sequence[Category],
    heads: Sequence[Head],
    combination: Combination,
    bounds: Bounds,
) -> ModelProto:
    """The graph of a bundle.

    Args:
        categories: what the encoders learned.
        heads: normalised trees: a head with one output for each of `MEMBERS`, one with an output
            for each of `QUANTILES`, and, unless `bounds` gives its log-odds, one for timeouts.
        combination: how experts become one answer.
        bounds: what else intervals and timeouts need.
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
    _intervals(parts, bounds.limit_overrun)
    _timeout(parts, bounds.timeout_log_odds)
    return _model(
        parts,
        {
            _INPUTS: [len(INPUTS)],
            _LOSSES: [SCOPES, len(EXPERTS) + 1],
            _OFFSETS: [TAILS],
        },
        {
            "prediction": [],
            "lower": [len(LEVELS)],
            "upper": [len(LEVELS)],
            "experts": [len(EXPERTS)],
            "timeout": [],
            "raw_quantiles": [len(QUANTILES)],
        },
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


def _intervals(parts: GraphParts, limit_overrun: float) -> None:
    """The nodes of `bounds.interval_s`."""
    levels = len(LEVELS)
    at = parts.constant("quantiles_at", len(MEMBERS) + np.arange(len(QUANTILES)))
    parts.node("Gather", ["raw", at], "raw_quantiles", axis=1)
    parts.node("Where", ["unlimited", "typical_runtime", "time_req"], "any_scale")
    parts.node("Max", ["any_scale", "min_runtime"], "scale")
    _number(parts, "infinite_limit", np.inf)
    parts.node("Mul", ["time_req", _number(parts, "overrun", limit_overrun)], "greatest_use")
    parts.node("Where", ["unlimited", "infinite_limit", "greatest_use"], "ceiling")
    for name, places, change, tail in (
        ("lower", LOWER, "Sub", np.arange(levels)),
        ("upper", UPPER, "Add", levels + np.arange(levels)),
    ):
        parts.constant(f"{name}_at", np.array(places))
        parts.constant(f"{name}_offsets_at", tail)
        parts.node("Gather", ["raw_quantiles", f"{name}_at"], f"{name}_quantiles", axis=1)
        parts.node("Gather", [_OFFSETS, f"{name}_offsets_at"], f"{name}_offsets", axis=1)
        parts.node(change, [f"{name}_quantiles", f"{name}_offsets"], f"{name}_relative")
        _cubed(parts, f"{name}_relative", f"{name}_free")
    parts.node("Min", ["lower_free", "point"], "lower_of_point")
    parts.node("Max", ["lower_of_point", "min_runtime"], "lower_each")
    parts.node("Min", ["upper_free", "ceiling"], "upper_limited")
    parts.node("Max", ["upper_limited", "point"], "upper_each")
    _nested(parts, "Min", "lower_each", "lower")
    _nested(parts, "Max", "upper_each", "upper")


def _cubed(parts: GraphParts, relative: str, name: str) -> None:
    """The nodes of `bounds.from_cube_root`."""
    zero = parts.constant(f"{name}_zero", np.zeros((1, 1), np.float32))
    parts.node("Max", [relative, zero], f"{name}_positive")
    parts.node("Mul", [f"{name}_positive", f"{name}_positive"], f"{name}_squared")
    parts.node("Mul", [f"{name}_squared", f"{name}_positive"], f"{name}_cubed")
    parts.node("Mul", [f"{name}_cubed", "scale"], name)


def _nested(parts: GraphParts, op: str, each: str, name: str) -> None:
    """Every column becomes the least, or greatest, of those up to it."""
    columns = [_column(parts, each, level, f"{name}_{level}") for level in range(len(LEVELS))]
    nested = columns[:1]
    for level, column in enumerate(columns[1:], start=1):
        nested.append(parts.node(op, [nested[-1], column], f"{name}_nested_{level}"))
    parts.node("Concat", nested, name, axis=1)


def _timeout(parts: GraphParts, log_odds: float | None) -> None:
    """The chance to reach the limit, NaN where there is none."""
    _number(parts, "no_chance", np.nan)
    if log_odds is None:
        _column(parts, "raw", len(MEMBERS) + len(QUANTILES), "timeout_log_odds")
    else:
        parts.node("Sub", ["point", "point"], "nought")
        parts.node("Add", ["nought", _number(parts, "base_log_odds", log_odds)], "timeout_log_odds")
    parts.node("Sigmoid", ["timeout_log_odds"], "chance")
    parts.node("Where", ["unlimited", "no_chance", "chance"], "timeout_column")
    parts.node("Reshape", ["timeout_column", "last_axis"], "timeout")


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
