"""Put the trees of all heads into one tree node of an ONNX graph.

Laid out for ONNX Runtime's CPU kernel, by measurement:
- one comparison for all splits (mixed ones cost a fifth), and no rule for missing values, which
  would switch a NaN test on for every split and costs a tenth. NaN compares false and so goes
  right by itself; a split that sends it left asks the opposite question of the negated column.
- trees come by output, those with small leaves first: float32 sums then lose the least, and the
  base value, often the largest term, is added last.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper

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
    """Where a tree of the graph comes from, and the first column it adds to."""

    head: int
    ensemble: int
    tree: int
    output: int


def tree_model(heads: Sequence[Head]) -> onnx.ModelProto:
    """A model of the trees alone: "features" float32 [N, F] -> "scores" float32 [N, outputs].

    Raises:
        TrainingError: the heads do not fit together.
    """
    nodes, initializers = tree_nodes(heads, "features", "scores")
    return model_of(
        nodes, initializers, ("features", _n_features(heads)), ("scores", len(_base(heads)))
    )


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
    """Nodes (and initialisers) from float32 [N, F] to float32 [N, outputs] of all heads in order.

    Column `k` of the result is the raw score of output `k`: the sum over the trees and the base
    value. Needs the opsets of `OPSETS`. Tensors between the nodes have names that start with
    `output_name`.

    Raises:
        TrainingError: the heads do not fit together.
    """
    n_features = _n_features(heads)
    placed = place_trees(heads)
    mirrored = any(
        bool(ensemble.missing_left.any()) for head in heads for ensemble in head.ensembles
    )
    if not mirrored:
        return [_tree_node(heads, placed, n_features, input_name, output_name)], []
    negated, both = f"{output_name}_negated", f"{output_name}_both_signs"
    return [
        helper.make_node("Neg", [input_name], [negated]),
        helper.make_node("Concat", [input_name, negated], [both], axis=1),
        _tree_node(heads, placed, n_features, both, output_name),
    ], []


def place_trees(heads: Sequence[Head]) -> list[PlacedTree]:
    """The trees of the graph in order."""
    weighed: list[tuple[int, float, PlacedTree]] = []
    first = 0
    for h, head in enumerate(heads):
        for e, ensemble in enumerate(head.ensembles):
            magnitude = np.maximum.reduceat(np.abs(ensemble.values).max(axis=1), ensemble.roots)
            for t, output in enumerate(first + ensemble.first_output):
                placed = PlacedTree(head=h, ensemble=e, tree=t, output=int(output))
                weighed.append((placed.output, float(magnitude[t]), placed))
            first += ensemble.n_outputs
    weighed.sort(key=lambda entry: entry[:2])
    return [placed for _, _, placed in weighed]


def idle_outputs(heads: Sequence[Head]) -> list[int]:
    """Outputs that no tree adds to.

    ONNX Runtime answers 0 for such an output and forgets its base value, so each is given a tree
    of one leaf; those stand after all others.
    """
    busy: set[int] = set()
    first = 0
    for head in heads:
        for ensemble in head.ensembles:
            width = ensemble.values.shape[1]
            busy.update(
                (first + ensemble.first_output[:, None] + np.arange(width)).ravel().tolist()
            )
            first += ensemble.n_outputs
    return sorted(set(range(first)) - busy)


def _n_features(heads: Sequence[Head]) -> int:
    counts = {ensemble.n_features for head in heads for ensemble in head.ensembles}
    if len(counts) != 1:
        raise TrainingError(
            f"the models of one graph must read the same columns, but theirs number "
            f"{sorted(counts)}: train all on one matrix"
        )
    return counts.pop()


def _base(heads: Sequence[Head]) -> Float64Array:
    return np.concatenate([ensemble.base for head in heads for ensemble in head.ensembles])


def _tree_node(
    heads: Sequence[Head],
    placed: Sequence[PlacedTree],
    n_features: int,
    input_name: str,
    output_name: str,
) -> onnx.NodeProto:
    base = _base(heads)
    parts = _parts(heads, placed, n_features)
    parts += [_lone_leaf(output) for output in idle_outputs(heads)]
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
        n_targets=len(base),
        base_values=_floats(base),
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


def _parts(heads: Sequence[Head], placed: Sequence[PlacedTree], n_features: int) -> list[_Part]:
    whole = [[_as_part(ensemble, n_features) for ensemble in head.ensembles] for head in heads]
    parts: list[_Part] = []
    for place in placed:
        ensemble = heads[place.head].ensembles[place.ensemble]
        part = whole[place.head][place.ensemble]
        start = int(ensemble.roots[place.tree])
        nodes = slice(start, int(np.append(ensemble.roots, len(part.split))[place.tree + 1]))
        split = part.split[nodes]
        parts.append(
            _Part(
                split=split,
                column=part.column[nodes],
                threshold=part.threshold[nodes],
                true=np.where(split, part.true[nodes] - start, 0).astype(np.int32),
                false=np.where(split, part.false[nodes] - start, 0).astype(np.int32),
                values=part.values[nodes],
                output=place.output,
            )
        )
    return parts


def _as_part(ensemble: CanonicalTrees, n_features: int) -> _Part:
    """All trees of an ensemble, with the splits that send NaN left turned to the negated columns.

    x <= t equals not (-x <= the float before -t), and of NaN the latter is true.
    """
    split = ensemble.feature != LEAF
    turned = ensemble.missing_left
    before = next_below(-ensemble.threshold)
    return _Part(
        split=split,
        column=np.where(split, ensemble.feature + n_features * turned, 0).astype(np.int32),
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
