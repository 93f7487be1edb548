"""The tree nodes of a finished graph, taken out to be run and read by themselves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import helper

from rt_predictor.errors import ParityError
from rt_predictor.training.export.fuse import TREE_DOMAIN, TREE_OPERATOR, model_of
from rt_predictor.training.export.trees import Float32Array, Int32Array

_LEAVES = "leaves"
_ROWS = "rows of all columns"

# A leaf's number travels through the graph as a float32, which counts exactly up to here.
_MAX_LEAVES = 1 << 24


@dataclass(frozen=True, eq=False)
class CompiledTrees:
    """The trees as ONNX Runtime has them.

    Leaves are numbered through all trees. What leaf `i` adds is in `entries[i] : entries[i + 1]`
    of `weights`, to the outputs at the same places of `outputs`.

    Attributes:
        n_trees: trees in all nodes.
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

    Beside each node itself a second one is run that has the same splits, but gives the number of
    the leaf for each tree, and so shows a wrong turn however little it changes the sum.

    Raises:
        ParityError: the graph has no tree node, tree nodes whose scores are not put together, or
            too many leaves.
    """
    taken = _Taken.from_model(model)
    nodes = [_Node.of(node) for node in taken.trees]
    first_tree = _starts([node.n_trees for node in nodes])
    first_leaf = _starts([len(node.leaf_trees) for node in nodes])
    first_output = _starts([len(node.base) for node in nodes])
    first_entry = _starts([len(node.weights) for node in nodes])
    if first_leaf[-1] > _MAX_LEAVES:
        raise ParityError(
            f"the graph has {first_leaf[-1]} leaves, over {_MAX_LEAVES}: train fewer trees"
        )
    routing = [
        node.routing(taken.trees[place], int(first_leaf[place]), f"{_LEAVES}_{place}")
        for place, node in enumerate(nodes)
    ]
    together = helper.make_node("Concat", [node.output[0] for node in routing], [_LEAVES], axis=1)
    entries = [node.entries + first for node, first in zip(nodes, first_entry, strict=False)]
    return CompiledTrees(
        n_trees=int(first_tree[-1]),
        base=np.concatenate([node.base for node in nodes]),
        tree_of_leaf=_joined([node.leaf_trees for node in nodes], first_tree),
        node_of_leaf=np.concatenate([node.leaf_nodes for node in nodes]),
        entries=np.append(np.concatenate(entries), first_entry[-1]).astype(np.int32),
        outputs=_joined([node.outputs for node in nodes], first_output),
        weights=np.concatenate([node.weights for node in nodes]),
        scoring=taken.session([*taken.trees, taken.together], n_features, int(first_output[-1])),
        routing=taken.session([*routing, together], n_features, int(first_tree[-1])),
    )


@dataclass(frozen=True, eq=False)
class _Node:
    """One tree node as read; trees, leaves and outputs count from 0 within it.

    Attributes:
        leaf_trees, leaf_nodes: int32 [leaves].
        entries: int64 [leaves]; where the entries of each leaf begin.
    """

    given: Mapping[str, Any]
    n_trees: int
    base: Float32Array
    leaf_trees: Int32Array
    leaf_nodes: Int32Array
    entries: NDArray[np.int64]
    outputs: Int32Array
    weights: Float32Array

    @classmethod
    def of(cls, node: onnx.NodeProto) -> "_Node":
        given = {
            attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute
        }
        tree_ids = np.asarray(given["target_treeids"], dtype=np.int64)
        node_ids = np.asarray(given["target_nodeids"], dtype=np.int64)
        stride = int(node_ids.max()) + 1
        leaf, leaf_of_entry = np.unique(tree_ids * stride + node_ids, return_inverse=True)
        order = np.argsort(leaf_of_entry, kind="stable")
        return cls(
            given=given,
            n_trees=int(max(given["nodes_treeids"])) + 1,
            base=np.asarray(given["base_values"], dtype=np.float32),
            leaf_trees=(leaf // stride).astype(np.int32),
            leaf_nodes=(leaf % stride).astype(np.int32),
            entries=np.searchsorted(leaf_of_entry[order], np.arange(len(leaf))),
            outputs=np.asarray(given["target_ids"], dtype=np.int32)[order],
            weights=np.asarray(given["target_weights"], dtype=np.float32)[order],
        )

    def routing(self, node: onnx.NodeProto, first_leaf: int, output: str) -> onnx.NodeProto:
        """The same splits; each tree gives the number of the leaf, as from `first_leaf` on."""
        trees = self.leaf_trees.tolist()
        routes = {
            **{name: value for name, value in self.given.items() if name.startswith("nodes_")},
            "n_targets": self.n_trees,
            "target_treeids": trees,
            "target_nodeids": self.leaf_nodes.tolist(),
            "target_ids": trees,
            "target_weights": np.arange(first_leaf, first_leaf + len(trees), dtype=float).tolist(),
        }
        return helper.make_node(
            TREE_OPERATOR, list(node.input), [output], domain=TREE_DOMAIN, **routes
        )


@dataclass(frozen=True, eq=False)
class _Taken:
    """The tree nodes of a graph, what chooses the rows that they see, and what joins their scores.

    `source` is the tensor with all columns, [F, N].
    """

    source: str
    before: tuple[onnx.NodeProto, ...]
    initializers: tuple[onnx.TensorProto, ...]
    trees: tuple[onnx.NodeProto, ...]
    together: onnx.NodeProto

    @classmethod
    def from_model(cls, model: onnx.ModelProto) -> "_Taken":
        trees = [node for node in model.graph.node if node.op_type == TREE_OPERATOR]
        scores = [node.output[0] for node in trees]
        joining = [node for node in model.graph.node if list(node.input) == scores]
        rows = {node.input[0] for node in trees}
        if not trees or len(joining) != 1 or len(rows) != 1:
            raise ParityError(
                f"the graph has {len(trees)} nodes {TREE_OPERATOR} that do not belong together: "
                "fuse again"
            )
        own = f"{joining[0].output[0]}_"
        made_by = {output: node for node in model.graph.node for output in node.output}
        before: list[onnx.NodeProto] = []
        source = rows.pop()
        while source.startswith(own) and source in made_by:
            before.insert(0, made_by[source])
            source = before[0].input[0]
        needed = {name for node in before for name in node.input}
        return cls(
            source,
            tuple(before),
            tuple(constant for constant in model.graph.initializer if constant.name in needed),
            tuple(trees),
            joining[0],
        )

    def session(
        self, nodes: Sequence[onnx.NodeProto], n_features: int, width: int
    ) -> onnxruntime.InferenceSession:
        """Nodes that see these rows, the last of which gives the result: [N, F] -> [N, width]."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # as the service has it: more change the last bits
        turned = helper.make_node("Transpose", [_ROWS], [self.source])
        model = model_of(
            [turned, *self.before, *nodes],
            self.initializers,
            (_ROWS, n_features),
            (nodes[-1].output[0], width),
        )
        return onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )


def _starts(sizes: Sequence[int]) -> NDArray[np.int64]:
    """Where each of several arrays begins once they are joined, and where the last one ends."""
    return np.cumsum([0, *sizes])


def _joined(parts: Sequence[Int32Array], starts: NDArray[np.int64]) -> Int32Array:
    """Numbers that count from 0 in each part, as numbers that count through all parts."""
    moved = [part + start for part, start in zip(parts, starts, strict=False)]
    return np.concatenate(moved).astype(np.int32)


def _run(session: onnxruntime.InferenceSession, rows: Float32Array) -> Float32Array:
    answer: Float32Array = session.run(None, {_ROWS: rows})[0]
    return answer
