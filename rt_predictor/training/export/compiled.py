"""The tree node of a finished graph, taken out to be run and read by itself."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime
from onnx import helper

from rt_predictor.errors import ParityError
from rt_predictor.training.export.fuse import TREE_DOMAIN, TREE_OPERATOR, model_of
from rt_predictor.training.export.trees import Float32Array, Int32Array

_LEAVES = "leaves"

# A leaf's number travels through the graph as a float32, which counts exactly up to here.
_MAX_LEAVES = 1 << 24


@dataclass(frozen=True, eq=False)
class CompiledTrees:
    """The trees as ONNX Runtime has them.

    Leaves are numbered through all trees. What leaf `i` adds is in `entries[i] : entries[i + 1]`
    of `weights`, to the outputs at the same places of `outputs`.

    Attributes:
        n_trees: trees in the node.
        base: float32 [outputs].
        tree_of_leaf, node_of_leaf: int32 [leaves]; the node counts from 0 within its tree.
        entries: int32 [leaves + 1].
        outputs: int32 [entries].
        weights: float32 [entries].
        scoring, routing: sessions with the scores and with the numbers of the leaves.
    """

    n_trees: int
    base: Float32Array
    tree_of_leaf: Int32Array
    node_of_leaf: Int32Array
    entries: Int32Array
    outputs: Int32Array
    weights: Float32Array
    scoring: onnxruntime.InferenceSession
    routing: onnxruntime.InferenceSession

    @property
    def n_outputs(self) -> int:
        """Columns of the scores."""
        return len(self.base)

    def scores(self, rows: Float32Array) -> Float32Array:
        """What the graph answers; float32 [N, F] -> float32 [N, outputs]."""
        return _run(self.scoring, rows)

    def leaves(self, rows: Float32Array) -> Int32Array:
        """The number of the leaf that each tree sends each row to; [N, F] -> int32 [N, trees]."""
        return _run(self.routing, rows).astype(np.int32)


def take_out_trees(model: onnx.ModelProto, n_features: int) -> CompiledTrees:
    """The trees of `model`, whatever stands before and after them in the graph.

    Beside the node itself a second one is run that has the same splits, but gives the number of
    the leaf for each tree, and so shows a wrong turn however little it changes the sum.

    Raises:
        ParityError: the graph has no tree node, or more than one, or leaves without weights.
    """
    *before, trees = _tree_nodes(model)
    given = {attribute.name: helper.get_attribute_value(attribute) for attribute in trees.attribute}
    tree_ids = np.asarray(given["target_treeids"], dtype=np.int64)
    node_ids = np.asarray(given["target_nodeids"], dtype=np.int64)
    stride = int(node_ids.max()) + 1
    leaf, leaf_of_entry = np.unique(tree_ids * stride + node_ids, return_inverse=True)
    if len(leaf) > _MAX_LEAVES:
        raise ParityError(
            f"the graph has {len(leaf)} leaves, over {_MAX_LEAVES}: train fewer trees"
        )
    n_trees = int(max(given["nodes_treeids"])) + 1
    order = np.argsort(leaf_of_entry, kind="stable")
    routes = {
        **{name: value for name, value in given.items() if name.startswith("nodes_")},
        "n_targets": n_trees,
        "target_treeids": (leaf // stride).tolist(),
        "target_nodeids": (leaf % stride).tolist(),
        "target_ids": (leaf // stride).tolist(),
        "target_weights": np.arange(len(leaf), dtype=np.float64).tolist(),
    }
    routing = helper.make_node(
        TREE_OPERATOR, list(trees.input), [_LEAVES], domain=TREE_DOMAIN, **routes
    )
    source = (before[0] if before else trees).input[0]
    return CompiledTrees(
        n_trees=n_trees,
        base=np.asarray(given["base_values"], dtype=np.float32),
        tree_of_leaf=(leaf // stride).astype(np.int32),
        node_of_leaf=(leaf % stride).astype(np.int32),
        entries=np.searchsorted(leaf_of_entry[order], np.arange(len(leaf) + 1)).astype(np.int32),
        outputs=np.asarray(given["target_ids"], dtype=np.int32)[order],
        weights=np.asarray(given["target_weights"], dtype=np.float32)[order],
        scoring=_session(
            [*before, trees], (source, n_features), (trees.output[0], int(given["n_targets"]))
        ),
        routing=_session([*before, routing], (source, n_features), (_LEAVES, n_trees)),
    )


def _tree_nodes(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """The tree node, after the two nodes that write its columns in both signs, if it has them."""
    found = [node for node in model.graph.node if node.op_type == TREE_OPERATOR]
    if len(found) != 1:
        raise ParityError(f"the graph has {len(found)} nodes {TREE_OPERATOR}, not one: fuse again")
    made_by = {output: node for node in model.graph.node for output in node.output}
    both_signs = made_by.get(found[0].input[0])
    if both_signs is None or both_signs.op_type != "Concat" or len(both_signs.input) != 2:
        return found
    negation = made_by.get(both_signs.input[1])
    if negation is None or negation.op_type != "Neg" or negation.input[0] != both_signs.input[0]:
        return found
    return [negation, both_signs, *found]


def _session(
    nodes: Sequence[onnx.NodeProto], source: tuple[str, int], result: tuple[str, int]
) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # as the service has it: more change the last bits
    return onnxruntime.InferenceSession(
        model_of(nodes, [], source, result).SerializeToString(),
        options,
        providers=["CPUExecutionProvider"],
    )


def _run(session: onnxruntime.InferenceSession, rows: Float32Array) -> Float32Array:
    answer: Float32Array = session.run(None, {session.get_inputs()[0].name: rows})[0]
    return answer
