"""Prove that the trees of a finished graph are the boosters, or fail.

A wrong turn may change a sum by less than rounding does, so sums alone prove little. For every
row, what each tree of the graph adds is compared with what that tree adds in its library: they
must be the same float32. The sums are then compared within the rounding of float32.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime
from onnx import helper

from rt_predictor.errors import ParityError, TrainingError
from rt_predictor.training.boosting.booster import Booster, Float32Array, Float64Array
from rt_predictor.training.boosting.nodes import IR_VERSION, OPSETS, TreeNodes
from rt_predictor.training.boosting.probes import nan_rows, split_rows, threshold_rows
from rt_predictor.training.boosting.trees import (
    TREE_OPERATOR,
    Forest,
    Split,
    Tree,
    read_forest,
)

# The unit of rounding of float32. A float32 sum of n rounded terms lies within (n + 2) of it times
# the sum of the terms' sizes, in whatever order it is taken (Higham, Accuracy and Stability of
# Numerical Algorithms, 2nd ed., section 4.2).
FLOAT32_ROUNDING = 2.0**-24

# Rows of the data that probes are made from, and rows compared at a time.
_PROBED_ROWS = 64
_CHUNK_ROWS = 8192


@dataclass(frozen=True)
class ModelParity:
    """Differences of graph and library for one model.

    Attributes:
        library: whose model it is.
        rows: rows compared, those made to probe splits included.
        max_difference: of two predictions, in the unit of the target.
        max_share_of_bound: of the rounding allowed, 0 to 1.
    """

    library: str
    rows: int
    max_difference: float
    max_share_of_bound: float


def prove_parity(
    graph: onnx.ModelProto,
    trees: TreeNodes,
    boosters: Sequence[Booster],
    data: Float32Array,
    columns: Sequence[str],
) -> tuple[ModelParity, ...]:
    """Compare the trees in a graph with the boosters they came from.

    The rows compared: all of `data`; every threshold that a library lists, and one float32 to
    either side; the same, and NaN, at every split of the graph in rows that reach it; NaN in every
    column. Predictions of n trees may differ by 2 (n + 2) 2^-24 (|base| + sum of |what trees add|):
    both sides may round.

    Args:
        graph: the finished graph, whatever else is in it.
        trees: the nodes that were put into it.
        boosters: one for each of `trees.outputs`.
        data: float32 [n, F], finite or NaN: what the tree nodes read for some jobs.
        columns: names of the F columns, for errors.

    Raises:
        ParityError: the graph and a booster differ.
        TrainingError: the arguments do not belong together.
    """
    _check(trees, boosters, data, columns)
    base = data[np.linspace(0, len(data) - 1, min(len(data), _PROBED_ROWS)).astype(np.int64)]
    report = []
    for output, booster in zip(trees.outputs, boosters, strict=True):
        model = _Model.taken_from(graph, output, trees.features, booster)
        probes = (
            threshold_rows(booster.thresholds(), base),
            split_rows(model.forest, base),
            nan_rows(base),
        )
        rows = np.concatenate([*probes, data])
        worst = (0.0, 0.0)
        for start in range(0, len(rows), _CHUNK_ROWS):
            differences = model.compare(rows[start : start + _CHUNK_ROWS], columns)
            worst = (max(worst[0], differences[0]), max(worst[1], differences[1]))
        report.append(ModelParity(booster.library, len(rows), *worst))
    return tuple(report)


def _check(
    trees: TreeNodes, boosters: Sequence[Booster], data: Float32Array, columns: Sequence[str]
) -> None:
    features = {booster.n_features for booster in boosters}
    if len(trees.outputs) != len(boosters) or features != {len(columns)}:
        raise TrainingError(
            f"parity of {len(trees.outputs)} models of {len(columns)} columns cannot be proven "
            f"with {len(boosters)} boosters of {sorted(features)}: give the boosters of the graph"
        )
    if data.dtype != np.float32 or not len(data) or data.shape != (len(data), len(columns)):
        raise TrainingError(
            f"parity cannot be proven on {data.dtype} {data.shape}: give float32 "
            f"[rows, {len(columns)}], at least one row"
        )
    if np.isinf(data).any():
        raise TrainingError("parity cannot be proven on infinite values: give finite ones or NaN")


@dataclass(frozen=True, eq=False)
class _Model:
    """One model of the graph beside its booster.

    Attributes:
        booster: the library's model.
        forest: the trees as the graph has them.
        scoring: the tree node itself.
        parting: the same node, but with an output for each tree.
    """

    booster: Booster
    forest: Forest
    scoring: onnxruntime.InferenceSession
    parting: onnxruntime.InferenceSession

    @classmethod
    def taken_from(
        cls, graph: onnx.ModelProto, output: str, features: str, booster: Booster
    ) -> "_Model":
        """Take the node out of the graph.

        Raises:
            ParityError: there is no such node, or it has other trees than the booster.
        """
        nodes = [node for node in graph.graph.node if output in node.output]
        if [(node.op_type, list(node.input)) for node in nodes] != [(TREE_OPERATOR, [features])]:
            raise ParityError(
                f"the graph has no {TREE_OPERATOR} from {features!r} to {output!r}: build it again"
            )
        single = _model_of(nodes[0], booster.n_features, 1)
        forest = read_forest(single, booster.library, booster.n_features)
        if len(forest.trees) != booster.n_trees:
            raise ParityError(
                f"{output!r} has {len(forest.trees)} trees, the {booster.library} model "
                f"{booster.n_trees}: build the graph from this model"
            )
        parted = _model_of(_by_tree(nodes[0], booster.n_trees), booster.n_features, booster.n_trees)
        return cls(booster, forest, _session(single), _session(parted))

    def compare(self, rows: Float32Array, columns: Sequence[str]) -> tuple[float, float]:
        """Compare on rows, float32 [n, F].

        Returns:
            The largest difference, and the largest share of the difference allowed.

        Raises:
            ParityError: a tree adds something else, or a sum is further off than rounding.
        """
        by_tree = self.booster.predict_trees(rows)
        self._compare_trees(by_tree, rows, columns)
        given = _run(self.scoring, rows)[:, 0].astype(np.float64)
        expected = self.booster.predict(rows)
        size = abs(self.forest.base) + np.abs(by_tree).sum(axis=1)
        allowed = 2 * (len(self.forest.trees) + 2) * FLOAT32_ROUNDING * size
        difference = np.abs(given - expected)
        wrong = np.flatnonzero(~(difference <= allowed))  # not >, so that NaN is wrong too
        if len(wrong) > 0:
            row = wrong[0]
            raise ParityError(
                f"{self.booster.library}: the graph predicts {given[row]}, the library "
                f"{expected[row]} where all trees agree, further apart than the rounding of "
                f"{allowed[row]}: the base values differ"
            )
        share = difference / np.maximum(allowed, np.finfo(np.float64).tiny)
        return float(difference.max()), float(share.max())

    def _compare_trees(
        self, by_tree: Float64Array, rows: Float32Array, columns: Sequence[str]
    ) -> None:
        given, expected = _run(self.parting, rows), by_tree.astype(np.float32)
        wrong = np.argwhere(given != expected)
        if len(wrong) > 0:
            row, tree = wrong[0]
            asked = ", ".join(
                f"{columns[column]} = {rows[row, column]}"
                for column in _asked(self.forest.trees[tree], rows[row])
            )
            raise ParityError(
                f"{self.booster.library} tree {tree} adds {given[row, tree]} in the graph and "
                f"{expected[row, tree]} in the library where {asked}"
            )


def _asked(tree: Tree, row: Float32Array) -> list[int]:
    """Return the columns that the splits on a row's way ask for, each once."""
    columns: list[int] = []
    while isinstance(tree, Split):
        columns.append(tree.column)
        value = row[tree.column]
        left = tree.nan_left if np.isnan(value) else value <= tree.threshold
        tree = tree.left if left else tree.right
    return sorted(set(columns))


def _by_tree(node: onnx.NodeProto, n_trees: int) -> onnx.NodeProto:
    """Return the node with an output for each tree, [n, trees]; the base value is left out."""
    given = {item.name: helper.get_attribute_value(item) for item in node.attribute}
    del given["base_values"]
    changed = {**given, "n_targets": n_trees, "target_ids": given["target_treeids"]}
    return helper.make_node(
        node.op_type, list(node.input), list(node.output), domain=node.domain, **changed
    )


def _model_of(node: onnx.NodeProto, n_features: int, width: int) -> onnx.ModelProto:
    def matrix(name: str, columns: int) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["rows", columns])

    graph = helper.make_graph(
        [node], "trees", [matrix(node.input[0], n_features)], [matrix(node.output[0], width)]
    )
    opsets = [helper.make_opsetid(domain, version) for domain, version in OPSETS.items()]
    return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)


def _session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # as the service has it: more change the last bits
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def _run(session: onnxruntime.InferenceSession, rows: Float32Array) -> Float32Array:
    answer: Float32Array = session.run(None, {session.get_inputs()[0].name: rows})[0]
    return answer
