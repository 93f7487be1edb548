"""The whole graph: assembled inputs -> features -> trees -> experts -> answer and intervals.

One call gives every number of an answer, so that nothing is left to compute outside. What changes
from one finished job to the next enters it with the job: the recent losses of the experts, and what
intervals were offset by. A job that is alone costs as much as the graph has operators, so they are
few: alike steps are one of several rows.

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
from rt_predictor.model.bounds import LEVELS, LOWER, QUANTILES, UPPER
from rt_predictor.model.ports import GRAPH_INPUT, GRAPH_OUTPUT, input_sizes, output_sizes
from rt_predictor.training.combine import (
    EXPERTS,
    MIN_LOSSES,
    MIN_RUNTIME_S,
    PRIOR_JOBS,
    SHARPNESS,
    Combination,
)
from rt_predictor.training.export.arithmetic import feature_nodes
from rt_predictor.training.export.fuse import IR_VERSION, OPSETS, Head, tree_nodes
from rt_predictor.training.export.parts import GraphParts
from rt_predictor.training.members import MAX_LOG_RATIO, MEMBERS, Target

_FEATURE_ROWS, _RAW, _RAW_ROWS = "feature_rows", "raw", "score_rows"
FEATURES_OUTPUT = "features"
_JOBS = "jobs"
"""The size that is left open"""
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
    parts.node("Transpose", [GRAPH_INPUT], "input_rows")
    feature_nodes(parts, categories, "input_rows", _FEATURE_ROWS)
    parts.node("Transpose", [_FEATURE_ROWS], FEATURES_OUTPUT)
    return _model(parts, len(INPUTS), FEATURES_OUTPUT, [_JOBS, len(FEATURES)])


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
    sizes = input_sizes(len(EXPERTS))
    parts.node("Transpose", [GRAPH_INPUT], "given_rows")
    inputs, losses, offsets = parts.split("given_rows", list(sizes.values()), "given")
    feature_nodes(parts, categories, inputs, _FEATURE_ROWS)
    nodes, initializers = tree_nodes(heads, _FEATURE_ROWS, _RAW)
    parts.nodes.extend(nodes)
    parts.initializers.extend(initializers)
    parts.node("Transpose", [_RAW], _RAW_ROWS)
    of_heads = [len(members) for members in _BY_TARGET] + [len(QUANTILES)]
    timeouts = [1] if bounds.timeout_log_odds is None else []
    raw = parts.split(_RAW_ROWS, [*of_heads, *timeouts], "of")
    *of_members, quantiles = raw[: len(of_heads)]
    _number(parts, "min_runtime", MIN_RUNTIME_S)
    _rows(parts, inputs, [_TIME_REQ_ROW], "time_req")
    parts.node("IsNaN", ["time_req"], "unlimited")
    _limits(parts, combination, bounds.limit_overrun)
    _reference(parts)
    _experts(parts, of_members)
    _weights(parts, losses, combination.prior_losses)
    _weighted_median(parts)
    _intervals(parts, offsets)
    _timeout(parts, raw[-1], bounds.timeout_log_odds)
    said = {
        "prediction": "point",
        "lower": "lower_rows",
        "upper": "upper_rows",
        "timeout": "timeout_row",
        "raw_quantiles": quantiles,
        "experts": "expert_rows",
    }
    rows = output_sizes(len(EXPERTS))
    parts.node("Concat", [said[name] for name in rows], GRAPH_OUTPUT, axis=0)
    return _model(parts, sum(sizes.values()), GRAPH_OUTPUT, [sum(rows.values()), _JOBS])


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


def _limits(parts: GraphParts, combination: Combination, overrun: float) -> None:
    """Multiples of the limit, each at least MIN_RUNTIME_S, or what stands in its place.

    `cap`: `Combination.cap`, one number for all where limits are not enforced; `ceiling`:
    `bounds.limit_ceiling_s`; `scale`: `bounds.quantile_scale_s`; `limit`: the limit itself. Where a
    limit is below MIN_RUNTIME_S, ceiling and limit are higher than these say, but no answer is: all
    are at least MIN_RUNTIME_S.
    """
    cap, longest = combination.limit_cap, combination.max_runtime_s
    typical = max(combination.typical_runtime_s, MIN_RUNTIME_S)
    of_limit = {"ceiling": (overrun, np.inf), "scale": (1, typical), "limit": (1, np.inf)}
    if cap is None:
        _number(parts, "cap", longest)
    else:
        of_limit["cap"] = (cap, longest)
    factors, without = np.array(list(of_limit.values()), np.float32).T[:, :, None]
    parts.node("Mul", ["time_req", parts.constant("limit_factors", factors)], "limit_multiples")
    parts.node("Max", ["limit_multiples", "min_runtime"], "limits_raised")
    given = ["unlimited", parts.constant("without_limit", without), "limits_raised"]
    parts.node("Where", given, "limits")
    parts.cut("limits", [1] * len(of_limit), list(of_limit))


def _reference(parts: GraphParts) -> None:
    """The nodes of `combine.reference_s`."""
    _rows(parts, _FEATURE_ROWS, _RECENT_ROWS, "recent")
    recent_median, _ = parts.split("recent", [1, 1], "recent")
    _first_present(parts, recent_median, "scale", "recent_or_scale")
    parts.node("Min", ["recent_or_scale", "limit"], "limited_reference")
    parts.node("Max", ["limited_reference", "min_runtime"], "reference")


def _experts(parts: GraphParts, raw: Sequence[str]) -> None:
    """The nodes of `members.answers_s` and `Combination.experts_s`."""
    answers = [
        _DECODERS[members[0].target](parts, found, f"answer_{place}")
        for place, (members, found) in enumerate(zip(_BY_TARGET, raw, strict=True))
    ]
    _first_present(parts, "recent_1", "reference", "last_or_reference")
    parts.node("Concat", [*answers, "reference", "last_or_reference"], "said", axis=0)
    parts.node("Max", ["said", "min_runtime"], "raised")
    parts.node("Min", ["raised", "cap"], "expert_rows")


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


def _weights(parts: GraphParts, losses: str, prior_losses: Sequence[Sequence[float]]) -> None:
    """The nodes of `combine.expert_weights`."""
    first = parts.constant("first_axis", np.array([0]))
    second = parts.constant("second_axis", np.array([1]))
    jobs = np.array(PRIOR_JOBS)[:, None]
    prior = np.concatenate([np.array(prior_losses), np.ones((SCOPES, 1))], axis=1) * jobs
    parts.constant("prior_sums", prior[:, :, None].astype(np.float32))
    parts.constant("least_losses", np.array(MIN_LOSSES, np.float32)[:, None, None])
    _number(parts, "half", 0.5)
    _number(parts, "minus_sharpness", -SHARPNESS / SCOPES)
    shape = parts.constant("loss_shape", np.array([SCOPES, len(EXPERTS) + 1, -1]))
    parts.node("Reshape", [losses, shape], "known_sums")
    parts.node("Add", ["known_sums", "prior_sums"], "loss_sums")
    parts.node("Div", parts.split("loss_sums", [len(EXPERTS), 1], "loss", axis=1), "mean_losses")
    parts.node("Max", ["mean_losses", "least_losses"], "losses")
    parts.node("ReduceMin", ["losses", second], "best_losses", keepdims=1)
    parts.node("Div", ["losses", "best_losses"], "relative_losses")
    parts.node("ReduceSum", ["relative_losses", first], "relative_loss", keepdims=0)
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


def _intervals(parts: GraphParts, offsets: str) -> None:
    """The nodes of `bounds.interval_s`.

    Ends are nested while they count outwards, on the scale of the quantiles: what follows keeps
    their order, so that it comes to the same.
    """
    levels = len(LEVELS)
    places = [len(MEMBERS) + place for place in (*LOWER, *UPPER)]
    _rows(parts, _RAW_ROWS, places, "quantiles")
    signs = np.repeat([-1, 1], levels).astype(np.float32)[:, None]
    outwards = parts.constant("outwards", signs)
    parts.node("Mul", ["quantiles", outwards], "quantiles_outwards")
    parts.node("Add", ["quantiles_outwards", offsets], "each_outwards")
    narrower = [
        _rows(
            parts,
            "each_outwards",
            [max(level - by, 0) + side for side in (0, levels) for level in range(levels)],
            f"narrower_{by}",
        )
        for by in range(1, levels)
    ]
    parts.node("Max", ["each_outwards", *narrower], "nested_outwards")
    parts.node("Mul", ["nested_outwards", outwards], "relative")
    _cubed(parts, "relative", "free")
    lower, upper = parts.split("free", [levels, levels], "free")
    parts.node("Min", [lower, "point"], "lower_of_point")
    parts.node("Max", ["lower_of_point", "min_runtime"], "lower_rows")
    parts.node("Min", [upper, "ceiling"], "upper_limited")
    parts.node("Max", ["upper_limited", "point"], "upper_rows")


def _cubed(parts: GraphParts, relative: str, name: str) -> None:
    """The nodes of `bounds.from_cube_root`."""
    zero = parts.constant(f"{name}_zero", np.zeros((1, 1), np.float32))
    parts.node("Max", [relative, zero], f"{name}_positive")
    parts.node("Mul", [f"{name}_positive", f"{name}_positive"], f"{name}_squared")
    parts.node("Mul", [f"{name}_squared", f"{name}_positive"], f"{name}_cubed")
    parts.node("Mul", [f"{name}_cubed", "scale"], name)


def _timeout(parts: GraphParts, raw: str, log_odds: float | None) -> None:
    """The chance to reach the limit, NaN where there is none."""
    _number(parts, "no_chance", np.nan)
    if log_odds is not None:
        parts.node("Sub", ["point", "point"], "nought")
        given = ["nought", _number(parts, "base_log_odds", log_odds)]
        raw = parts.node("Add", given, "timeout_log_odds")
    parts.node("Sigmoid", [raw], "chance")
    parts.node("Where", ["unlimited", "no_chance", "chance"], "timeout_row")


def _model(parts: GraphParts, width: int, output: str, shape: Sequence[int | str]) -> ModelProto:
    def value(name: str, shape: Sequence[int | str]) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    graph = helper.make_graph(
        parts.nodes,
        "rt_predictor",
        [value(GRAPH_INPUT, [_JOBS, width])],
        [value(output, shape)],
        parts.initializers,
    )
    opsets = [helper.make_opsetid(domain, version) for domain, version in OPSETS.items()]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
    onnx.checker.check_model(model)
    return model
