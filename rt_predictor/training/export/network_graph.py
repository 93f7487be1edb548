"""The network as an ONNX graph of plain operators.

Tokens stand on their side, [hidden, SLOTS], as they come in the matrix, and a unit of the first
layer that is always 1 carries the bias of the second. Products with tokens are one small product a
job, those of the request are of packed weights: both give a job the same bits in a batch of any
size. By measurement, for one job the number of operators counts, for many the products with tokens.
So one operator takes the matrix apart, and the last layer of the points adds what hides rules.
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
from rt_predictor.training.network.forward import Dense, Weights, slot_features
from rt_predictor.training.network.shape import ABSOLUTE_S, BOOSTERS, GRID, RELATIVE

INPUT = "jobs"
"""[n, WIDTH] the matrix of `features.matrix`."""
OUTPUT = "distributions"
"""[n, 2 S]: S runtimes in s, not in order, then the weight of each."""

Boosters = Callable[[GraphParts, str], str]
"""Adds the nodes of boosters, given the name of the features of the request [n, REQUEST]; returns
the name of their proposals: [n, BOOSTERS], logarithms of runtimes over the scale."""

_RULES = len(PROPOSALS)


def network_graph(weights: Weights, boosters: Boosters | None = None) -> ModelProto:
    """Return the graph of the network, with the nodes of boosters where they are given."""
    parts = GraphParts()
    request = _take_apart(parts)
    boosted = None if boosters is None else boosters(parts, request)

    encoded = _request(parts, weights, request, boosted)
    tokens = _tokens(parts, weights)
    context = _context(parts, weights, encoded, tokens)
    last = weights.points_2 if boosted else _without_boosters(weights.points_2)
    scores = _scores(parts, weights._replace(points_2=last), tokens, context)
    parts.node("Softmax", [scores], "weights", axis=1)
    parts.node("Concat", [*_support(parts, boosted), "weights"], OUTPUT, axis=1)
    return _model(parts, 2 * (COPIES + GRID + (BOOSTERS if boosted else 0)))


def _model(parts: GraphParts, outputs: int) -> ModelProto:
    given = helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["jobs_count", WIDTH])
    output = helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["jobs_count", outputs])
    graph = helper.make_graph(parts.nodes, "rt_predictor", [given], [output], parts.initializers)
    opsets = [helper.make_opsetid(domain, version) for domain, version in OPSETS.items()]
    return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)


def _take_apart(parts: GraphParts) -> str:
    """Add the node that cuts the matrix into pieces; returns the name of the request's.

    The others are "copies_s", "scale_s", "cap_s", "missing_tokens_flat", "missing_rules" and
    "token_features".
    """
    first_token = TOKEN_ROW * SLOTS
    pieces = {
        "copies_s": COPIES,
        "scale_s": 1,
        "cap_s": 1,
        "before_missing": MISSING.start - CAP.stop,
        "missing_tokens_flat": SLOTS,
        "missing_rules": _RULES,
        "request": REQUEST.stop - REQUEST.start,
        "before_tokens": first_token - REQUEST.stop,
        "token_features": WIDTH - first_token,
    }
    parts.cut(INPUT, list(pieces.values()), list(pieces), axis=1)
    return "request"


def _request(parts: GraphParts, weights: Weights, request: str, boosted: str | None) -> str:
    """Add the encoder of the request; returns [n, hidden]."""
    first = weights.request_1
    features = REQUEST.stop - REQUEST.start
    given, kept, bias = request, first.w[:features], first.b
    if boosted is not None:
        # In the graph boosters always have proposals: the flags for that become part of the bias.
        given = parts.node("Concat", [request, boosted], "request_and_boosters", axis=1)
        kept, bias = first.w[: features + BOOSTERS], bias + first.w[features + BOOSTERS :].sum(0)
    wide = _gemm(parts, given, Dense(kept, bias), "request_1", relu=True)
    return _gemm(parts, wide, weights.request_2, "request_2", relu=True)


def _tokens(parts: GraphParts, weights: Weights) -> str:
    """Add the encoder of tokens; returns [n, hidden, SLOTS]."""
    hidden = weights.token_2.w.shape[1]
    first = np.zeros((hidden, ROWS - TOKEN_ROW), dtype=np.float32)
    first[:-1] = weights.token_1.w.T
    bias = np.ones((hidden, SLOTS), dtype=np.float32)
    bias[:-1] = (slot_features() @ weights.slots + weights.token_1.b).T
    second = np.concatenate([weights.token_2.w.T, weights.token_2.b[:, None]], axis=1)
    rows = parts.reshape("token_features", [-1, ROWS - TOKEN_ROW, SLOTS], "rows")
    parts.node("MatMul", [parts.constant("token_1_w", first), rows], "token_1")
    parts.node("Add", ["token_1", parts.constant("token_1_b", bias)], "token_1_sum")
    parts.node("Relu", ["token_1_sum"], "token_1_said")
    parts.node("MatMul", [parts.constant("token_2_w", second), "token_1_said"], "token_2")
    return parts.node("Relu", ["token_2"], "tokens")


def _context(parts: GraphParts, weights: Weights, encoded: str, tokens: str) -> str:
    """Add the attention to tokens; returns the request and what it sees: [n, context]."""
    hidden, outputs = weights.queries.w.shape
    _gemm(parts, encoded, weights.queries, "queries_flat")
    queries = parts.reshape("queries_flat", [-1, outputs // hidden, hidden], "queries")
    parts.reshape("missing_tokens_flat", [-1, 1, SLOTS], "missing_tokens")
    parts.node("MatMul", [queries, tokens], "looks_all")
    parts.node("Add", ["looks_all", "missing_tokens"], "looks")
    parts.node("Softmax", ["looks"], "attention", axis=2)
    parts.node("Transpose", [tokens], "tokens_upright", perm=[0, 2, 1])
    parts.node("MatMul", ["attention", "tokens_upright"], "seen_by_head")
    parts.reshape("seen_by_head", [-1, outputs], "seen")
    return parts.node("Concat", [encoded, "seen"], "context", axis=1)


def _without_boosters(last: Dense) -> Dense:
    """Return the last layer without the points of boosters."""
    kept = np.r_[:_RULES, _RULES + BOOSTERS : len(last.b)]
    return Dense(last.w[:, kept], last.b[kept])


def _scores(parts: GraphParts, weights: Weights, tokens: str, context: str) -> str:
    """Add the score of each point of the support; returns [n, S]."""
    hidden, last = weights.token_2.w.shape[1], weights.points_2
    _gemm(parts, context, weights.copies, "copy_query_flat")
    parts.reshape("copy_query_flat", [-1, 1, hidden], "copy_query")
    parts.node("MatMul", ["copy_query", tokens], "copy_scores_all")
    parts.node("Add", ["copy_scores_all", "missing_tokens"], "copy_scores")
    parts.reshape("copy_scores", [-1, SLOTS], "copy_scores_flat")
    wide = _gemm(parts, context, weights.points_1, "points_1", relu=True)
    parts.node("Concat", [wide, "missing_rules"], "points_1_and_missing", axis=1)
    # Rules come first: what is missing of each is added to its score, and nothing to the others'.
    hiding = np.eye(_RULES, len(last.b), dtype=np.float32)
    points = Dense(np.concatenate([last.w, hiding]), last.b)
    _gemm(parts, "points_1_and_missing", points, "points")
    return parts.node("Concat", ["copy_scores_flat", "points"], "scores", axis=1)


def _support(parts: GraphParts, boosted: str | None) -> list[str]:
    """Add the points of the support; returns the names of its pieces, each [n, k] in s."""
    least = parts.constant("least_s", np.array(LEAST_S, dtype=np.float32))
    pieces = []
    if boosted is not None:
        parts.node("Exp", [boosted], "boosted_scales")
        parts.node("Mul", ["boosted_scales", "scale_s"], "boosted_all_s")
        pieces = [parts.node("Min", ["boosted_all_s", "cap_s"], "boosted_s")]
    parts.node("Mul", ["scale_s", parts.constant("relative", RELATIVE[None])], "relative_s")
    parts.node("Min", ["cap_s", parts.constant("absolute", ABSOLUTE_S[None])], "absolute_s")
    parts.node("Concat", ["copies_s", *pieces, "relative_s", "absolute_s"], "support_all_s", axis=1)
    return [parts.node("Max", ["support_all_s", least], "support_s")]


def _gemm(parts: GraphParts, given: str, layer: Dense, name: str, relu: bool = False) -> str:
    """Add one layer of the request or of the points."""
    weights = [parts.constant(f"{name}_w", layer.w), parts.constant(f"{name}_b", layer.b)]
    if not relu:
        return parts.node("Gemm", [given, *weights], name)
    return parts.node("Relu", [parts.node("Gemm", [given, *weights], f"{name}_sum")], name)
