"""The network as an ONNX graph of plain operators.

Tokens stand on their side, [hidden, SLOTS], as they come in the matrix: the first layer is one
product with all rows of it (weights of those that are no features of tokens are 0), and no bias is
added where a unit that always says 1 carries it. Products with tokens are one small product a job,
those of the request are of packed weights: both give a job the same bits alone and among others.
By measurement, for one job the number of operators counts, for many the products with tokens.
"""

from collections.abc import Callable

import numpy as np
from onnx import ModelProto, TensorProto, helper

from rt_predictor.features.matrix import (
    CAP,
    COPIES,
    LEAST_S,
    MISSING,
    REQUEST,
    ROWS,
    TOKEN_ROW,
    WIDTH,
)
from rt_predictor.features.proposals import PROPOSALS
from rt_predictor.history.token_keys import SLOTS
from rt_predictor.training.boosting.nodes import IR_VERSION, OPSETS
from rt_predictor.training.export.parts import GraphParts
from rt_predictor.training.network.forward import Dense, Weights, slot_places
from rt_predictor.training.network.shape import ABSOLUTE_S, BOOSTERS, GRID, RELATIVE

INPUT = "jobs"
"""[n, WIDTH] the matrix of `features.matrix`."""
OUTPUT = "distributions"
"""[n, 2 S]: S runtimes in s, not in order, then the weight of each."""

Boosters = Callable[[GraphParts, str], str]
"""Adds the nodes of boosters, given the name of the features of the request [n, REQUEST]; returns
the name of what they say: [n, BOOSTERS], logarithms of runtimes over the scale."""

_RULES = len(PROPOSALS)


def network_graph(weights: Weights, boosters: Boosters | None = None) -> ModelProto:
    """Return the graph of the network, with the nodes of boosters where they are given."""
    parts = GraphParts()
    request = parts.columns(INPUT, REQUEST, "request")
    copies = parts.columns(INPUT, slice(0, CAP.stop), "copies")
    parts.cut(copies, [COPIES, 1, 1], ["copies_s", "scale_s", "cap_s"], axis=1)
    missing = parts.columns(INPUT, MISSING, "missing")
    boosted = None if boosters is None else boosters(parts, request)

    encoded = _request(parts, weights, request, boosted)
    tokens = _tokens(parts, weights)
    context = _context(parts, weights, encoded, tokens, missing)
    last = weights.points_2 if boosted else _without_boosters(weights.points_2)
    scores = _scores(parts, weights._replace(points_2=last), tokens, context, missing)
    parts.node("Softmax", [scores], "weights", axis=1)
    parts.node("Concat", [*_support(parts, boosted), "weights"], OUTPUT, axis=1)
    return _model(parts, 2 * (COPIES + GRID + (BOOSTERS if boosted else 0)))


def _model(parts: GraphParts, outputs: int) -> ModelProto:
    given = helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["jobs_count", WIDTH])
    said = helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["jobs_count", outputs])
    graph = helper.make_graph(parts.nodes, "rt_predictor", [given], [said], parts.initializers)
    opsets = [helper.make_opsetid(domain, version) for domain, version in OPSETS.items()]
    return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)


def _request(parts: GraphParts, weights: Weights, request: str, boosted: str | None) -> str:
    """Add the encoder of the request; returns [n, hidden]."""
    first = weights.request_1
    features = REQUEST.stop - REQUEST.start
    given, kept, bias = request, first.w[:features], first.b
    if boosted is not None:
        # In the graph boosters always speak: the flags that they do become part of the bias.
        given = parts.node("Concat", [request, boosted], "request_and_boosters", axis=1)
        kept, bias = first.w[: features + BOOSTERS], bias + first.w[features + BOOSTERS :].sum(0)
    wide = _gemm(parts, given, Dense(kept, bias), "request_1", relu=True)
    return _gemm(parts, wide, weights.request_2, "request_2", relu=True)


def _tokens(parts: GraphParts, weights: Weights) -> str:
    """Add the encoder of tokens; returns [n, hidden, SLOTS]."""
    hidden = weights.token_2.w.shape[1]
    first = np.zeros((hidden, ROWS), dtype=np.float32)
    first[:-1, TOKEN_ROW:] = weights.token_1.w.T
    bias = np.ones((hidden, SLOTS), dtype=np.float32)
    bias[:-1] = (slot_places() @ weights.slots + weights.token_1.b).T
    second = np.concatenate([weights.token_2.w.T, weights.token_2.b[:, None]], axis=1)
    rows = parts.reshape(INPUT, [-1, ROWS, SLOTS], "rows")
    parts.node("MatMul", [parts.constant("token_1_w", first), rows], "token_1")
    parts.node("Add", ["token_1", parts.constant("token_1_b", bias)], "token_1_sum")
    parts.node("Relu", ["token_1_sum"], "token_1_said")
    parts.node("MatMul", [parts.constant("token_2_w", second), "token_1_said"], "token_2")
    return parts.node("Relu", ["token_2"], "tokens")


def _context(parts: GraphParts, weights: Weights, encoded: str, tokens: str, missing: str) -> str:
    """Add the attention to tokens; returns the request and what it sees: [n, context]."""
    hidden, outputs = weights.queries.w.shape
    _gemm(parts, encoded, weights.queries, "queries_flat")
    queries = parts.reshape("queries_flat", [-1, outputs // hidden, hidden], "queries")
    parts.cut(missing, [SLOTS, _RULES], ["missing_tokens_flat", "missing_rules"], axis=1)
    parts.reshape("missing_tokens_flat", [-1, 1, SLOTS], "missing_tokens")
    parts.node("MatMul", [queries, tokens], "looks_all")
    parts.node("Add", ["looks_all", "missing_tokens"], "looks")
    parts.node("Softmax", ["looks"], "attention", axis=2)
    parts.node("Transpose", [tokens], "tokens_upright", perm=[0, 2, 1])
    parts.node("MatMul", ["attention", "tokens_upright"], "seen_by_head")
    parts.reshape("seen_by_head", [-1, outputs], "seen")
    return parts.node("Concat", [encoded, "seen"], "context", axis=1)


def _without_boosters(last: Dense) -> Dense:
    """Return the last layer without the points that boosters say."""
    kept = np.r_[:_RULES, _RULES + BOOSTERS : len(last.b)]
    return Dense(last.w[:, kept], last.b[kept])


def _scores(parts: GraphParts, weights: Weights, tokens: str, context: str, missing: str) -> str:
    """Add the score of each point of the support; returns [n, S]."""
    hidden = weights.token_2.w.shape[1]
    _gemm(parts, context, weights.copies, "copy_query_flat")
    parts.reshape("copy_query_flat", [-1, 1, hidden], "copy_query")
    parts.node("MatMul", ["copy_query", tokens], "copy_scores")
    parts.reshape("copy_scores", [-1, SLOTS], "copy_scores_flat")
    wide = _gemm(parts, context, weights.points_1, "points_1", relu=True)
    _gemm(parts, wide, weights.points_2, "points")
    others = len(weights.points_2.b) - _RULES
    parts.cut("points", [_RULES, others], ["rule_scores", "other_scores"], axis=1)
    parts.node("Concat", ["copy_scores_flat", "rule_scores"], "copied_scores_all", axis=1)
    parts.node("Add", ["copied_scores_all", missing], "copied_scores")
    return parts.node("Concat", ["copied_scores", "other_scores"], "scores", axis=1)


def _support(parts: GraphParts, boosted: str | None) -> list[str]:
    """Add the points of the support; returns the names of its pieces, each [n, k] in s."""
    least = parts.constant("least_s", np.array(LEAST_S, dtype=np.float32))
    said = []
    if boosted is not None:
        parts.node("Exp", [boosted], "boosted_scales")
        parts.node("Mul", ["boosted_scales", "scale_s"], "boosted_all_s")
        said = [parts.node("Min", ["boosted_all_s", "cap_s"], "boosted_s")]
    parts.node("Mul", ["scale_s", parts.constant("relative", RELATIVE[None])], "relative_s")
    parts.node("Min", ["cap_s", parts.constant("absolute", ABSOLUTE_S[None])], "absolute_s")
    parts.node("Concat", ["copies_s", *said, "relative_s", "absolute_s"], "support_all_s", axis=1)
    return [parts.node("Max", ["support_all_s", least], "support_s")]


def _gemm(parts: GraphParts, given: str, layer: Dense, name: str, relu: bool = False) -> str:
    """Add one layer of the request or of the points."""
    weights = [parts.constant(f"{name}_w", layer.w), parts.constant(f"{name}_b", layer.b)]
    if not relu:
        return parts.node("Gemm", [given, *weights], name)
    return parts.node("Relu", [parts.node("Gemm", [given, *weights], f"{name}_sum")], name)
