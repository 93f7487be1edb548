"""The whole graph: assembled inputs -> features -> trees -> experts -> answer and intervals.

One call gives every number of an answer, so that nothing is left to compute outside. What changes
from one finished job to the next enters it as inputs: the recent losses of the experts, and what
intervals were offset by.

Between inputs and outputs a matrix has one row a number and one column a job (`arithmetic`). Sums
are taken over the first axis of several: so they are taken in one order, however many jobs there
are.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

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
from rt_predictor.training.export.fuse import IR_VERSION, OPSETS, Head, scores_name, tree_nodes
from rt_predictor.training.members import MAX_LOG_RATIO, MEMBERS, Target

_INPUTS, _LOSSES, _OFFSETS = GRAPH_INPUTS
_INPUT_ROWS, _FEATURE_ROWS, _RAW, _RAW_ROWS = "input_rows", "feature_rows", "raw", "score_rows"
_TIME_REQ_ROW = next(place for place, item in enumerate(INPUTS) if item.name == "time_req")
_RECENT_ROWS = [
    place
    for name in (BACKOFF_MEDIAN, BACKOFF_LAST)
    for place, feature in enumerate(FEATURES)
    if feature.name == name
]


def feature_model(categories: Sequence[Category]) -> ModelProto:
    """The arithmetic alone: the trainer runs it to get the matrix for the boosters."""
    parts = GraphParts()
    parts.node("Transpose", [_INPUTS], _INPUT_ROWS)
    feature_nodes(parts, categories, _INPUT_ROWS, _FEATURE_ROWS)
    parts.node("Transpose", [_FEATURE_ROWS], "features")
    return _model(parts, {_INPUTS: [len(INPUTS)]}, {"features": [len(FEATURES)]})


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
    parts.node("Transpose", [_INPUTS], _INPUT_ROWS)
    feature_nodes(parts, categories, _INPUT_ROWS, _FEATURE_ROWS)
    nodes, initializers = tree_nodes(heads, _FEATURE_ROWS, _RAW)
    parts.nodes.extend(nodes)
    parts.initializers.extend(initializers)
    parts.node("Transpose", [_RAW], _RAW_ROWS)
    sizes = [len(members) for members in _BY_TARGET] + [len(QUANTILES)]
    raw = parts.split(_RAW_ROWS, [*sizes, *([1] if bounds.timeout_log_odds is None else [])], "of")
    _rows(parts, _INPUT_ROWS, [_TIME_REQ_ROW], "time_req")
    parts.node("IsNaN", ["time_req"], "unlimited")
    _number(parts, "max_runtime", combination.max_runtime_s)
    _number(parts, "min_runtime", MIN_RUNTIME_S)
    _reference(parts, combination.typical_runtime_s)
    _experts(parts, raw[: len(_BY_TARGET)], combination.limit_cap)
    _weights(parts, combination.prior_losses)
    _weighted_median(parts)
    _intervals(parts, bounds.limit_overrun)
    _timeout(parts, raw[-1], bounds.timeout_log_odds)
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


def _rows(parts: GraphParts, matrix: str, places: Sequence[int], name: str) -> str:
    """Some rows of a matrix, [len(places), n]."""
    return parts.node(
        "Gather", [matrix, parts.constant(f"{name}_at", np.array(places))], name, axis=0
    )


def _first_present(parts: GraphParts, first: str, second: str, name: str) -> str:
    parts.node("IsNaN", [first], f"{name}_absent")
    return parts.node("Where", [f"{name}_absent", second, first], name)


def _reference(parts: GraphParts, typical_runtime_s: float) -> None:
    """The nodes of `combine.reference_s`."""
    _rows(parts, _FEATURE_ROWS, _RECENT_ROWS, "recent")
    recent_median, _ = parts.split("recent", [1, 1], "recent")
    _number(parts, "typical_runtime", typical_runtime_s)
    _first_present(parts, recent_median, "time_req", "recent_or_limit")
    _first_present(parts, "recent_or_limit", "typical_runtime", "unbounded_reference")
    parts.node("Min", ["unbounded_reference", "time_req"], "limited_reference")
    parts.node(
        "Where", ["unlimited", "unbounded_reference", "limited_reference"], "raisable_reference"
    )
    parts.node("Max", ["raisable_reference", "min_runtime"], "reference")


def _experts(parts: GraphParts, raw: Sequence[str], limit_cap: float | None) -> None:
    """The nodes of `members.answers_s` and `Combination.experts_s`."""
    answers = [
        _DECODERS[members[0].target](parts, found, f"answer_{place}")
        for place, (members, found) in enumerate(zip(_BY_TARGET, raw, strict=True))
    ]
    _first_present(parts, "recent_1", "reference", "last_or_reference")
    parts.node("Concat", [*answers, "reference", "last_or_reference"], "said", axis=0)
    cap = "max_runtime" if limit_cap is None else _times_limit(parts, limit_cap, "cap")
    parts.node("Max", ["said", "min_runtime"], "raised")
    parts.node("Min", ["raised", cap], "expert_rows")
    parts.node("Transpose", ["expert_rows"], "experts")


def _corrected(parts: GraphParts, raw: str, name: str) -> str:
    return parts.node("Add", [raw, "reference"], name)


def _scaled(parts: GraphParts, raw: str, name: str) -> str:
    ends = [
        parts.constant(f"{name}_{what}", np.array(value, np.float32))
        for what, value in (("least", -MAX_LOG_RATIO), ("greatest", MAX_LOG_RATIO))
    ]
    parts.node("Clip", [raw, *ends], f"{name}_log")
    parts.node("Exp", [f"{name}_log"], f"{name}_ratio")
    return parts.node("Mul", [f"{name}_ratio", "reference"], name)


_BY_TARGET = [list(members) for _, members in groupby(MEMBERS, lambda member: member.target)]
"""Members in their order, those of one target that follow each other together."""
_DECODERS: Mapping[Target, Callable[[GraphParts, str, str], str]] = {
    Target.CORRECTION: _corrected,
    Target.RATIO: _scaled,
    Target.RUNTIME: lambda _parts, raw, _name: raw,
}


def _weights(parts: GraphParts, prior_losses: Sequence[Sequence[float]]) -> None:
    """The nodes of `combine.expert_weights`."""
    first = parts.constant("first_axis", np.array([0]))
    second = parts.constant("second_axis", np.array([1]))
    jobs = np.array(PRIOR_JOBS)[:, None]
    prior = np.concatenate([np.array(prior_losses), np.ones((SCOPES, 1))], axis=1) * jobs
    parts.constant("prior_sums", prior[:, :, None].astype(np.float32))
    parts.constant("least_losses", np.array(MIN_LOSSES, np.float32)[:, None, None])
    _number(parts, "half", 0.5)
    _number(parts, "share_of_a_scope", 1 / SCOPES)
    _number(parts, "minus_sharpness", -SHARPNESS)
    parts.node("Transpose", [_LOSSES], "known_sums", perm=[1, 2, 0])
    parts.node("Add", ["known_sums", "prior_sums"], "loss_sums")
    parts.node("Div", parts.split("loss_sums", [len(EXPERTS), 1], "loss", axis=1), "mean_losses")
    parts.node("Max", ["mean_losses", "least_losses"], "losses")
    parts.node("ReduceMin", ["losses", second], "best_losses", keepdims=1)
    parts.node("Div", ["losses", "best_losses"], "relative_losses")
    parts.node("ReduceSum", ["relative_losses", first], "relative_loss_sum", keepdims=0)
    parts.node("Mul", ["relative_loss_sum", "share_of_a_scope"], "relative_loss")
    parts.node("ReduceMin", ["relative_loss", first], "least_relative_loss", keepdims=1)
    parts.node("Sub", ["relative_loss", "least_relative_loss"], "excess")
    parts.node("Mul", ["excess", "minus_sharpness"], "log_weights")
    parts.node("Exp", ["log_weights"], "weights")


def _weighted_median(parts: GraphParts) -> None:
    """The nodes of `combine.weighted_median`.

    The weight up to the greatest expert is that of all: summed again, it might be rounded anew.
    """
    infinite = parts.constant("infinite", np.array([np.inf], np.float32))
    nothing = parts.constant("no_weight", np.zeros(1, np.float32))
    parts.node("Unsqueeze", ["expert_rows", "second_axis"], "each_expert")
    parts.node("LessOrEqual", ["each_expert", "expert_rows"], "at_or_below")
    parts.node("Unsqueeze", ["weights", "second_axis"], "each_weight")
    parts.node("Where", ["at_or_below", "each_weight", nothing], "weights_below")
    parts.node("ReduceSum", ["weights_below", "first_axis"], "weight_reached", keepdims=0)
    parts.node("ReduceMax", ["weight_reached", "first_axis"], "weight_total", keepdims=1)
    parts.node("Mul", ["weight_total", "half"], "weight_half")
    parts.node("GreaterOrEqual", ["weight_reached", "weight_half"], "reached")
    parts.node("Where", ["reached", "expert_rows", infinite], "candidates")
    parts.node("ReduceMin", ["candidates", "first_axis"], "point", keepdims=1)
    parts.node("Reshape", ["point", parts.constant("flat", np.array([-1]))], "prediction")


def _times_limit(parts: GraphParts, factor: float, name: str) -> str:
    """The limit times a factor, at least MIN_RUNTIME_S; the longest runtime where there is none."""
    scale = _number(parts, f"{name}_factor", factor)
    parts.node("Mul", ["time_req", scale], f"{name}_scaled")
    parts.node("Max", [f"{name}_scaled", "min_runtime"], f"{name}_limit")
    return parts.node("Where", ["unlimited", "max_runtime", f"{name}_limit"], name)


def _intervals(parts: GraphParts, limit_overrun: float) -> None:
    """The nodes of `bounds.interval_s`, both ends together as far as they are alike."""
    levels = len(LEVELS)
    parts.node("Identity", [scores_name(_RAW, len(MEMBERS))], "raw_quantiles")
    parts.node("Where", ["unlimited", "typical_runtime", "time_req"], "any_scale")
    parts.node("Max", ["any_scale", "min_runtime"], "scale")
    _number(parts, "infinite_limit", np.inf)
    parts.node("Mul", ["time_req", _number(parts, "overrun", limit_overrun)], "greatest_use")
    parts.node("Where", ["unlimited", "infinite_limit", "greatest_use"], "ceiling")
    places = [len(MEMBERS) + place for place in (*LOWER, *UPPER)]
    outwards = np.repeat([-1, 1], levels).astype(np.float32)[:, None]
    parts.node("Transpose", [_OFFSETS], "offset_rows")
    parts.node("Mul", ["offset_rows", parts.constant("outwards", outwards)], "moves")
    parts.node("Add", [_rows(parts, _RAW_ROWS, places, "quantiles"), "moves"], "relative")
    _cubed(parts, "relative", "free")
    lower, upper = parts.split("free", [levels, levels], "free")
    parts.node("Min", [lower, "point"], "lower_of_point")
    parts.node("Max", ["lower_of_point", "min_runtime"], "lower_each")
    parts.node("Min", [upper, "ceiling"], "upper_limited")
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
    """Every row becomes the least, or greatest, of those up to it; one column a level."""
    levels = np.arange(len(LEVELS))
    narrower = [
        _rows(parts, each, np.maximum(levels - by, 0).tolist(), f"{name}_narrower_{by}")
        for by in levels[1:]
    ]
    parts.node(op, [each, *narrower], f"{name}_rows")
    parts.node("Transpose", [f"{name}_rows"], name)


def _timeout(parts: GraphParts, raw: str, log_odds: float | None) -> None:
    """The chance to reach the limit, NaN where there is none."""
    _number(parts, "no_chance", np.nan)
    if log_odds is not None:
        parts.node("Sub", ["point", "point"], "nought")
        given = ["nought", _number(parts, "base_log_odds", log_odds)]
        raw = parts.node("Add", given, "timeout_log_odds")
    parts.node("Sigmoid", [raw], "chance")
    parts.node("Where", ["unlimited", "no_chance", "chance"], "timeout_row")
    parts.node("Reshape", ["timeout_row", "flat"], "timeout")


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
