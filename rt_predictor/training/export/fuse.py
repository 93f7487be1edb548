"""Put the trees of all heads into an ONNX graph, one tree node a model.

Laid out for ONNX Runtime's CPU kernel, by measurement:
- a node for each model: its trees stay in the cache while a few hundred rows pass, and the kernel
  is quicker where all trees add to one output.
- only the columns that a split asks for: rows are short, and stay in the cache likewise.
- one comparison for all splits (mixed ones cost a fifth), and no rule for missing values, which
  would switch a NaN test on for every split and costs a tenth. NaN compares false and so goes
  right by itself; a split that sends it left asks the opposite question of the negated column.
- trees come by output, those with small leaves first: float32 sums then lose the least, and the
  base value, often the largest term, is added last.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper, numpy_helper

from rt_predictor.errors import TrainingError
from rt_predictor.training.export.intervals import next_below
from rt_predictor.training.export.trees import (
    LEAF,
    BoolArray,
    CanonicalTrees,
    Float32Array,
    Float64Array,
    Int32Array,
)

# Forms older than the oldest ONNX Runtime we support (1.24), so that all of them read the graph.
IR_VERSION = 10
OPSETS = {"": 21, "ai.onnx.ml": 3}

TREE_OPERATOR = "TreeEnsembleRegressor"
TREE_DOMAIN = "ai.onnx.ml"


@dataclass(frozen=True, eq=False)
class Head:
    """Models whose outputs stand side by side under one name.

    Attributes:
        name: what errors and reports call it.
        ensembles: the models, in the order of their outputs.
        outputs: one name for each output of each ensemble.
    """

    name: str
    ensembles: tuple[CanonicalTrees, ...]
    outputs: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.ensembles:
            raise TrainingError(f"head {self.name!r} has no models: give it one or leave it out")
        given = sum(ensemble.n_outputs for ensemble in self.ensembles)
        if given != len(self.outputs):
            raise TrainingError(
                f"head {self.name!r} names {len(self.outputs)} outputs but its models have "
                f"{given}: name each"
            )


@dataclass(frozen=True)
class PlacedTree:
    """Where a tree of the graph comes from."""

    head: int
    ensemble: int
    tree: int
    """Its number in the ensemble; IDLE for a leaf that stands for an output without trees."""


IDLE = -1


def model_of(
    nodes: Sequence[onnx.NodeProto],
    initializers: Sequence[onnx.TensorProto],
    source: tuple[str, int],
    result: tuple[str, int],
) -> onnx.ModelProto:
    """A model from one float32 [N, width] tensor to another, each given as (name, width)."""
    graph = helper.make_graph(
        nodes,
        "trees",
        [helper.make_tensor_value_info(source[0], onnx.TensorProto.FLOAT, ["N", source[1]])],
        [helper.make_tensor_value_info(result[0], onnx.TensorProto.FLOAT, ["N", result[1]])],
        list(initializers),
    )
    opsets = [helper.make_opsetid(domain, version) for domain, version in OPSETS.items()]
    return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)


def tree_nodes(
    heads: Sequence[Head], input_name: str, output_name: str
) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """Nodes (and initialisers) from float32 [F, N] to float32 [N, outputs] of all heads in order.

    Column `k` of the result is the raw score of output `k`: the sum over the trees and the base
    value. Needs the opsets of `OPSETS`. Tensors between the nodes have names that start with
    `output_name`.

    Raises:
        TrainingError: the heads do not fit together.
    """
    asked = _asked_columns(heads)
    nodes, initializers, rows = _row_nodes(asked, _n_features(heads), input_name, output_name)
    scores = []
    for h, e, ensemble in _ensembles(heads):
        scores.append(f"{output_name}_{h}_{e}")
        nodes.append(_tree_node(ensemble, asked, rows, scores[-1]))
    return [*nodes, helper.make_node("Concat", scores, [output_name], axis=1)], initializers


def place_trees(heads: Sequence[Head]) -> list[PlacedTree]:
    """The trees of the graph in order, from node to node."""
    return [
        PlacedTree(h, e, tree)
        for h, e, ensemble in _ensembles(heads)
        for tree in (*_order(ensemble), *(IDLE for _ in _idle_outputs(ensemble)))
    ]


def _ensembles(heads: Sequence[Head]) -> Iterator[tuple[int, int, CanonicalTrees]]:
    for h, head in enumerate(heads):
        for e, ensemble in enumerate(head.ensembles):
            yield h, e, ensemble


def _order(ensemble: CanonicalTrees) -> list[int]:
    """Its trees by output, those with small leaves first."""
    if not len(ensemble.roots):
        return []
    sizes = np.maximum.reduceat(np.abs(ensemble.values).max(axis=1), ensemble.roots)
    order: list[int] = np.lexsort((sizes, ensemble.first_output)).tolist()
    return order


def _idle_outputs(ensemble: CanonicalTrees) -> list[int]:
    """Outputs that no tree adds to.

    ONNX Runtime answers 0 for such an output and forgets its base value, so each is given a tree
    of one leaf; those stand after all others.
    """
    busy = ensemble.first_output[:, None] + np.arange(ensemble.values.shape[1])
    return sorted(set(range(ensemble.n_outputs)) - set(busy.ravel().tolist()))


def _n_features(heads: Sequence[Head]) -> int:
    counts = {ensemble.n_features for head in heads for ensemble in head.ensembles}
    if len(counts) != 1:
        raise TrainingError(
            f"the models of one graph must read the same columns, but theirs number "
            f"{sorted(counts)}: train all on one matrix"
        )
    return counts.pop()


def _asked_columns(heads: Sequence[Head]) -> Int32Array:
    """The columns that a split asks for, ascending; F and up are those of F columns, negated."""
    asked = [
        (ensemble.feature + ensemble.n_features * ensemble.missing_left)[ensemble.feature != LEAF]
        for _, _, ensemble in _ensembles(heads)
    ]
    return np.unique(np.concatenate([np.zeros(1, dtype=np.int32), *asked])).astype(np.int32)


def _row_nodes(
    asked: Int32Array, n_features: int, input_name: str, output_name: str
) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto], str]:
    """From [F, N] to the rows that the trees see, [N, len(asked)], and the name of those."""
    places, chosen, rows = (f"{output_name}_{what}" for what in ("places", "chosen", "rows"))
    negated = asked >= n_features
    initializers = [numpy_helper.from_array(np.int64(asked % n_features), places)]
    nodes = [helper.make_node("Gather", [input_name, places], [chosen], axis=0)]
    if negated.any():
        signs, signed = f"{output_name}_signs", f"{output_name}_signed"
        factors = np.where(negated, -1, 1).astype(np.float32)[:, None]
        initializers.append(numpy_helper.from_array(factors, signs))
        nodes.append(helper.make_node("Mul", [chosen, signs], [signed]))
        chosen = signed
    nodes.append(helper.make_node("Transpose", [chosen], [rows]))
    return nodes, initializers, rows


def _tree_node(
    ensemble: CanonicalTrees, asked: Int32Array, input_name: str, output_name: str
) -> onnx.NodeProto:
    parts = _parts(ensemble, asked)
    parts += [_lone_leaf(output) for output in _idle_outputs(ensemble)]
    sizes = [len(part.split) for part in parts]
    leaves = [np.flatnonzero(~part.split) for part in parts]
    entries = [len(leaf) * part.values.shape[1] for leaf, part in zip(leaves, parts, strict=True)]
    split = np.concatenate([part.split for part in parts])
    tree = np.arange(len(parts))
    return helper.make_node(
        TREE_OPERATOR,
        [input_name],
        [output_name],
        domain=TREE_DOMAIN,
        n_targets=ensemble.n_outputs,
        base_values=_floats(ensemble.base),
        nodes_treeids=np.repeat(tree, sizes).tolist(),
        nodes_nodeids=np.concatenate([np.arange(size) for size in sizes]).tolist(),
        nodes_modes=np.where(split, "BRANCH_LEQ", "LEAF").tolist(),
        nodes_featureids=np.concatenate([part.column for part in parts]).tolist(),
        nodes_values=_floats(np.concatenate([part.threshold for part in parts])),
        nodes_truenodeids=np.concatenate([part.true for part in parts]).tolist(),
        nodes_falsenodeids=np.concatenate([part.false for part in parts]).tolist(),
        target_treeids=np.repeat(tree, entries).tolist(),
        target_nodeids=np.concatenate(
            [
                np.repeat(leaf, part.values.shape[1])
                for leaf, part in zip(leaves, parts, strict=True)
            ]
        ).tolist(),
        target_ids=np.concatenate(
            [
                np.tile(part.output + np.arange(part.values.shape[1]), len(leaf))
                for leaf, part in zip(leaves, parts, strict=True)
            ]
        ).tolist(),
        target_weights=_floats(
            np.concatenate(
                [part.values[leaf].ravel() for leaf, part in zip(leaves, parts, strict=True)]
            )
        ),
    )


@dataclass(frozen=True, eq=False)
class _Part:
    """One tree of the node; children count from 0 within it, and are 0 at a leaf."""

    split: BoolArray
    column: Int32Array
    threshold: Float32Array
    true: Int32Array
    false: Int32Array
    values: Float64Array
    output: int


def _parts(ensemble: CanonicalTrees, asked: Int32Array) -> list[_Part]:
    whole = _as_part(ensemble, asked)
    ends = np.append(ensemble.roots[1:], len(whole.split))
    parts: list[_Part] = []
    for tree in _order(ensemble):
        start = int(ensemble.roots[tree])
        nodes = slice(start, int(ends[tree]))
        split = whole.split[nodes]
        parts.append(
            _Part(
                split=split,
                column=whole.column[nodes],
                threshold=whole.threshold[nodes],
                true=np.where(split, whole.true[nodes] - start, 0).astype(np.int32),
                false=np.where(split, whole.false[nodes] - start, 0).astype(np.int32),
                values=whole.values[nodes],
                output=int(ensemble.first_output[tree]),
            )
        )
    return parts


def _as_part(ensemble: CanonicalTrees, asked: Int32Array) -> _Part:
    """All trees of an ensemble, with the splits that send NaN left turned to the negated columns.

    x <= t equals not (-x <= the float before -t), and of NaN the latter is true.
    """
    split = ensemble.feature != LEAF
    turned = ensemble.missing_left
    before = next_below(-ensemble.threshold)
    column = np.where(split, ensemble.feature + ensemble.n_features * turned, 0)
    return _Part(
        split=split,
        column=asked.searchsorted(column).astype(np.int32),
        threshold=np.where(turned, before, ensemble.threshold),
        true=np.where(turned, ensemble.right, ensemble.left),
        false=np.where(turned, ensemble.left, ensemble.right),
        values=ensemble.values,
        output=0,
    )


def _lone_leaf(output: int) -> _Part:
    """A tree that adds nothing to one output."""
    zero = np.zeros(1, dtype=np.int32)
    return _Part(
        split=np.zeros(1, dtype=np.bool_),
        column=zero,
        threshold=np.zeros(1, dtype=np.float32),
        true=zero,
        false=zero,
        values=np.zeros((1, 1)),
        output=output,
    )


def _floats(values: Float64Array | Float32Array) -> list[float]:
    floats: list[float] = values.astype(np.float32).tolist()
    return floats
